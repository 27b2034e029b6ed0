"""What every fleet promises by ``ports.Fleet``. Each fleet's tests inherit ``FleetContract`` and say how its workers
come to run and how one ends by itself.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from trunkline.model.field_support import Treatment
from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting, WorkerSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.ports import Fleet

#: Seconds that a test waits for a state before it fails.
PATIENCE = 60.0


class Subject(Protocol):
    """A fleet under test."""

    fleet: Fleet

    def spec(self) -> WorkerSpec:
        """Return a worker that was not asked for yet."""

    def let_run(self, spec: WorkerSpec) -> None:
        """Let a worker that was asked for run, as far as that depends on the outside."""

    def let_go(self) -> None:
        """Let stopped workers end, as far as that depends on the outside."""

    def end(self, spec: WorkerSpec) -> None:
        """Let a running worker end by itself."""


def sighting(fleet: Fleet, spec: WorkerSpec) -> WorkerSighting | None:
    seen = [each for each in fleet.observe() if each.worker_id == spec.worker_id]
    assert len(seen) <= 1
    return seen[0] if seen else None


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll: a fleet is observed, it does not call back."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {PATIENCE} s"
        threading.Event().wait(0.01)


def run(subject: Subject) -> WorkerSpec:
    """Start a worker and wait until it runs."""
    spec = subject.spec()
    subject.fleet.start(spec)
    subject.let_run(spec)
    wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.RUNNING)
    return spec


def phase(fleet: Fleet, spec: WorkerSpec) -> WorkerPhase | None:
    seen = sighting(fleet, spec)
    return None if seen is None else seen.phase


def is_away(subject: Subject, spec: WorkerSpec) -> bool:
    """Whether a stopped worker has ended."""
    subject.let_go()
    return phase(subject.fleet, spec) in (WorkerPhase.GONE, None)


class FleetContract:
    """The tests; a subclass has a fixture ``subject``."""

    def test_a_worker_that_was_asked_for_is_seen_at_once(self, subject: Subject) -> None:
        spec = subject.spec()

        subject.fleet.start(spec)

        assert phase(subject.fleet, spec) in (WorkerPhase.PENDING, WorkerPhase.RUNNING)

    def test_a_running_worker_has_no_reason(self, subject: Subject) -> None:
        spec = run(subject)

        seen = sighting(subject.fleet, spec)

        assert seen is not None
        assert (seen.reason, seen.queued) == ("", False)

    def test_asking_again_for_a_running_worker_changes_nothing(self, subject: Subject) -> None:
        spec = run(subject)

        subject.fleet.start(spec)

        assert phase(subject.fleet, spec) is WorkerPhase.RUNNING
        assert len(subject.fleet.observe()) == 1

    def test_unknown_workers_are_ignored(self, subject: Subject) -> None:
        stranger = subject.spec()

        subject.fleet.stop(stranger.worker_id, 1.0)
        subject.fleet.mark(stranger.worker_id, busy=True)

        assert list(subject.fleet.observe()) == []

    def test_a_worker_that_is_stopped_goes(self, subject: Subject) -> None:
        spec = run(subject)

        subject.fleet.stop(spec.worker_id, 0.0)
        wait_until(lambda: is_away(subject, spec))
        subject.fleet.stop(spec.worker_id, 0.0)

        wait_until(lambda: phase(subject.fleet, spec) is None)

    def test_a_worker_that_ended_is_seen_with_its_reason_until_it_is_stopped(self, subject: Subject) -> None:
        spec = run(subject)

        subject.end(spec)
        wait_until(lambda: phase(subject.fleet, spec) is WorkerPhase.GONE)
        seen = sighting(subject.fleet, spec)
        subject.fleet.stop(spec.worker_id, 0.0)

        assert seen is not None
        assert seen.reason
        wait_until(lambda: phase(subject.fleet, spec) is None)

    def test_marks_may_be_repeated(self, subject: Subject) -> None:
        spec = run(subject)

        for busy in (True, True, False, False):
            subject.fleet.mark(spec.worker_id, busy=busy)

        assert phase(subject.fleet, spec) is WorkerPhase.RUNNING

    def test_workers_do_not_disturb_each_other(self, subject: Subject) -> None:
        first, second = run(subject), run(subject)

        subject.fleet.stop(first.worker_id, 0.0)
        wait_until(lambda: is_away(subject, first))

        assert phase(subject.fleet, second) is WorkerPhase.RUNNING

    def test_what_it_says_of_itself_has_the_right_form(self, subject: Subject) -> None:
        fleet, spec = subject.fleet, subject.spec()

        unsupported = fleet.unsupported(spec.pipeline_spec)

        assert fleet.name
        assert fleet.startup_prior > 0
        assert all(isinstance(machine, Machine) for machine in fleet.machines())
        assert all(what.treatment in Treatment and what.why for what in unsupported.values())
        fleet.check(spec)

    def test_it_may_be_closed_twice(self, subject: Subject) -> None:
        run(subject)

        subject.fleet.close(0.0)
        subject.fleet.close(0.0)
