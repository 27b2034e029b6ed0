"""Workers of another fleet that wait for machines which are only acted; time is the test's."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trunkline.drivers.fleets.simulated import SimulatedFleet
from trunkline.errors import InvalidArgument
from trunkline.model.spec import PipelineSpec
from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting, WorkerSpec

NODE = Machine(name="fargate-1", kind="fargate", instance_type="1vCPU 5GB", region="us-east-1")


@dataclass
class Clock:
    time: float = 1_000.0

    def now(self) -> float:
        return self.time


@dataclass
class Inner:
    """A fleet whose workers run at once."""

    name: str = "inner"
    startup_prior: float = 0.1
    running: dict[str, WorkerSighting] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    closed: float | None = None

    def check(self, spec: WorkerSpec) -> None: ...

    def start(self, spec: WorkerSpec) -> None:
        self.running[spec.worker_id] = WorkerSighting(worker_id=spec.worker_id, phase=WorkerPhase.RUNNING)

    def stop(self, worker_id: str, grace: float) -> None:  # noqa: ARG002
        self.stopped.append(worker_id)
        self.running.pop(worker_id, None)

    def mark(self, worker_id: str, *, busy: bool) -> None: ...

    def observe(self) -> list[WorkerSighting]:
        return list(self.running.values())

    def machines(self) -> list[Machine]:
        return []

    def close(self, grace: float) -> None:
        self.closed = grace


@dataclass(frozen=True)
class StartupScenario:
    waits: tuple[tuple[float, str], ...] = (
        (2.0, "is scheduled"),
        (40.0, "its machine boots"),
        (50.0, "pulls"),
    )
    registered: float = 40.0
    machine: Machine = NODE


def spec(number: int = 1) -> WorkerSpec:
    return WorkerSpec(
        worker_id=f"{number:032x}",
        token="t",
        project="p",
        pipeline="q",
        version=1,
        pipeline_spec=PipelineSpec(),
        memory=1,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def fleet(inner: Inner, clock: Clock) -> SimulatedFleet:
    return SimulatedFleet(inner, "simulation", 50.0, lambda _spec: StartupScenario(), clock)


def test_a_worker_waits_through_its_act_and_runs_then(
    fleet: SimulatedFleet, inner: Inner, clock: Clock
) -> None:
    fleet.start(spec())
    seen = []
    for passed in (0.0, 1.9, 2.0, 39.9, 40.0, 49.9, 50.0):
        clock.time = 1_000.0 + passed
        [sighting] = fleet.observe()
        seen.append((passed, sighting.phase.value, sighting.reason, sighting.machine))

    assert seen == [
        (0.0, "pending", "is scheduled", ""),
        (1.9, "pending", "is scheduled", ""),
        (2.0, "pending", "its machine boots", ""),
        (39.9, "pending", "its machine boots", ""),
        (40.0, "pending", "pulls", "fargate-1"),
        (49.9, "pending", "pulls", "fargate-1"),
        (50.0, "running", "", "fargate-1"),
    ]
    assert list(inner.running) == [spec().worker_id]


def test_a_machine_is_listed_as_pretended_from_being_asked_for_until_its_worker_is_gone(
    fleet: SimulatedFleet, inner: Inner, clock: Clock
) -> None:
    fleet.start(spec())
    [asked] = fleet.machines()
    clock.time += 60.0
    [machine] = fleet.machines()
    inner.running.clear()
    remaining = fleet.machines()

    assert (asked.ready, asked.created, asked.pretended) == (False, 1_000.0, True)
    assert (machine.ready, machine.created, machine.pretended) == (True, 1_040.0, True)
    assert remaining == []


def test_a_worker_that_is_stopped_while_it_waits_never_runs(
    fleet: SimulatedFleet, inner: Inner, clock: Clock
) -> None:
    fleet.start(spec())
    fleet.stop(spec().worker_id, 10.0)
    clock.time += 60.0

    assert fleet.observe() == []
    assert fleet.machines() == []
    assert inner.running == {}


def test_a_worker_that_runs_is_stopped_by_the_fleet_that_runs_it(
    fleet: SimulatedFleet, inner: Inner, clock: Clock
) -> None:
    fleet.start(spec())
    clock.time += 60.0
    fleet.observe()

    fleet.stop(spec().worker_id, 10.0)

    assert inner.stopped == [spec().worker_id]


def test_asking_twice_is_asking_once(fleet: SimulatedFleet, clock: Clock) -> None:
    fleet.start(spec())
    clock.time += 30.0
    fleet.start(spec())
    clock.time += 20.0

    assert [worker.phase for worker in fleet.observe()] == [WorkerPhase.RUNNING]


def test_a_worker_for_which_there_is_no_machine_is_refused(inner: Inner, clock: Clock) -> None:
    def refuse(_spec: WorkerSpec) -> StartupScenario:
        raise InvalidArgument("no machine is that large; ask for less")

    fleet = SimulatedFleet(inner, "simulation", 50.0, refuse, clock)

    for ask in (fleet.check, fleet.start):
        with pytest.raises(InvalidArgument, match="no machine is that large"):
            ask(spec())
    assert fleet.observe() == []


def test_closing_forgets_who_waits_and_closes_the_fleet_below(fleet: SimulatedFleet, inner: Inner) -> None:
    fleet.start(spec())

    fleet.close(3.0)

    assert inner.closed == 3.0
    assert fleet.observe() == []
