"""The process fleet and the simulated one keep the promises of all fleets."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fleet_contract import FleetContract

from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.drivers.fleets.simulated import SimulatedFleet
from trunkline.model.spec import PipelineSpec, Transform
from trunkline.model.workers import Machine, WorkerSpec
from trunkline.ports import ServerAddress

sys.path.append(str(Path(__file__).parents[1] / "worker"))
sys.path.append(str(Path(__file__).parents[1] / "pps"))
from fake_server import FakeServer
from held_fleet import HeldFleet

from trunkline.model.workers import WorkerPhase

if TYPE_CHECKING:
    from trunkline.ports import Fleet


def new_spec() -> WorkerSpec:
    return WorkerSpec(
        worker_id=uuid.uuid4().hex,
        token="t",
        project="default",
        pipeline="edges",
        version=1,
        pipeline_spec=PipelineSpec(transform=Transform()),
        memory=1 << 20,
    )


@dataclass
class Processes:
    fleet: Fleet
    server: FakeServer

    def spec(self) -> WorkerSpec:
        return new_spec()

    def let_run(self, spec: WorkerSpec) -> None: ...

    def let_go(self) -> None: ...

    def end(self, spec: WorkerSpec) -> None:  # noqa: ARG002 - the newest
        self.server.wait_until(lambda: self.server.registered)
        os.kill(self.server.registered[-1], 9)


@pytest.fixture
def processes(tmp_path):
    server = FakeServer()
    server.retire_when_empty = False
    images = ImageEnvironments(tmp_path / "images")
    fleet = ProcessFleet(ServerAddress(server.address), tmp_path / "fleet", images)
    yield Processes(fleet, server)
    fleet.close(0.0)
    images.close()
    server.close()


class TestProcesses(FleetContract):
    @pytest.fixture
    def subject(self, processes):
        return processes


@dataclass
class Clock:
    time: float = 1_000.0

    def now(self) -> float:
        return self.time


MACHINE = Machine(name="fargate-1", kind="fargate")


@dataclass(frozen=True)
class Scenario:
    waits: tuple[tuple[float, str], ...] = ((5.0, "its machine boots"),)
    registered: float = 5.0
    machine: Machine = MACHINE


class TestSimulated(FleetContract):
    @pytest.fixture
    def subject(self, processes):
        clock = Clock()

        class Simulated(Processes):
            def let_run(self, spec: WorkerSpec) -> None:  # noqa: ARG002 - all of them
                clock.time += 60.0

        fleet = SimulatedFleet(processes.fleet, "simulated", 50.0, lambda _: Scenario(), clock)
        return Simulated(fleet, processes.server)


@dataclass
class Held:
    """The fleet that tests of the control plane use."""

    fleet: HeldFleet = field(default_factory=HeldFleet)

    def spec(self) -> WorkerSpec:
        return new_spec()

    def let_run(self, spec: WorkerSpec) -> None:
        self.fleet.show(spec.worker_id, WorkerPhase.RUNNING)

    def let_go(self) -> None: ...

    def end(self, spec: WorkerSpec) -> None:
        self.fleet.show(spec.worker_id, WorkerPhase.GONE, "ended as asked")


class TestHeld(FleetContract):
    @pytest.fixture
    def subject(self):
        return Held()
