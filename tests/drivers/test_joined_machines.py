"""The fleet that machines join keeps the promises of all fleets, with reports instead of machines."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fleet_contract import FleetContract, phase, sighting

sys.path.append(str(Path(__file__).parents[1]))
from held_fleet import HeldFleet
from test_fleet_contracts import new_spec

from trunkline.drivers.fleets.joined import SILENCE, JoinedMachines
from trunkline.errors import InvalidArgument
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting, WorkerSpec

RUNNING, GONE = WorkerPhase.RUNNING, WorkerPhase.GONE


@dataclass
class Clock:
    time: float = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@dataclass
class Reporting:
    """A fleet with one joined machine, which does what it is asked when the test says so."""

    clock: Clock = field(default_factory=Clock)
    inner: HeldFleet = field(default_factory=HeldFleet)
    has: dict[str, WorkerPhase] = field(default_factory=dict)
    machine_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    slots: int = 1_000

    def __post_init__(self) -> None:
        self.fleet = JoinedMachines(self.inner, self.clock, lambda _spec: False)
        self.report()

    def report(self) -> set[str]:
        machine = Machine(name="host", kind="", memory=1 << 40)
        seen = [
            WorkerSighting(worker_id=id, phase=what, reason="x" * (what is GONE))
            for id, what in self.has.items()
        ]
        _, assigned = self.fleet.report(self.machine_id, machine, self.slots, seen, lambda: None)
        return {each.worker_id for each in assigned if each.stop is None}

    def obey(self) -> None:
        assigned = self.report()
        self.has = {id: self.has.get(id, RUNNING) for id in assigned}
        self.report()

    def spec(self) -> WorkerSpec:
        return new_spec()

    def let_run(self, spec: WorkerSpec) -> None:  # noqa: ARG002
        self.obey()

    def let_go(self) -> None:
        self.obey()

    def end(self, spec: WorkerSpec) -> None:
        self.has[spec.worker_id] = GONE
        self.report()


@pytest.fixture
def subject(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # the server's machine is loaded by its first worker
    return Reporting()


def running(subject: Reporting) -> WorkerSpec:
    spec = subject.spec()
    subject.fleet.start(spec)
    subject.obey()
    return spec


class TestJoined(FleetContract):
    pass


def test_a_worker_is_placed_on_the_joined_machine_and_seen_there(subject):
    spec = running(subject)

    seen = sighting(subject.fleet, spec)

    assert subject.inner.asked == []
    assert seen is not None
    assert seen.machine in {each.name for each in subject.fleet.machines() if each.kind == "joined"}


def test_workers_of_a_machine_that_falls_silent_are_removed_without_a_crash(subject):
    spec = running(subject)

    subject.clock.time += SILENCE + 1
    seen = sighting(subject.fleet, spec)

    assert seen is not None
    assert (seen.phase, seen.ending) == (GONE, WorkerEnding.REMOVED)


def test_a_silent_machine_gets_no_workers_and_is_forgotten_when_it_has_none(subject):
    subject.clock.time += SILENCE + 1

    subject.fleet.start(subject.spec())

    assert len(subject.inner.asked) == 1
    assert subject.fleet.machines() == []


def test_a_machine_that_comes_back_is_not_given_the_workers_that_were_replaced(subject):
    spec = running(subject)
    subject.clock.time += SILENCE + 1
    subject.fleet.stop(spec.worker_id, 0.0)

    assigned = subject.report()

    assert assigned == set()


def test_a_machine_takes_no_more_workers_than_slots(subject):
    joined = Reporting(slots=1)

    first, second = running(joined), running(joined)

    assert [phase(joined.fleet, each) for each in (first, second)].count(RUNNING) == 1


def test_workers_of_an_earlier_server_count_as_running_until_their_machine_reports(subject):
    old = subject.spec()
    subject.fleet.expect({old.worker_id: "host-1"})
    expected = phase(subject.fleet, old)

    subject.has[old.worker_id] = RUNNING
    assigned = subject.report()

    assert expected is RUNNING
    assert assigned == {old.worker_id}
    assert phase(subject.fleet, old) is RUNNING


def test_workers_of_an_earlier_server_are_gone_when_their_machine_does_not_report(subject):
    old = subject.spec()
    subject.fleet.expect({old.worker_id: "host-1"})

    subject.clock.time += SILENCE + 1

    assert phase(subject.fleet, old) is None


def test_a_report_without_slots_is_refused(subject):
    subject.slots = 0

    with pytest.raises(InvalidArgument):
        subject.report()
