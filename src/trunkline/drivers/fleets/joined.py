"""Machines that have joined: they run workers beside those of this machine (docs/design/fleets.md).

A decorator of the ``Fleet`` port. Each machine reports what it has, about once a second, and gets the list of what it
should have; so a lost report or answer is repaired by the next one. A machine that does not report for ``SILENCE``
counts as gone with its workers: what they ran is run elsewhere, and their results are refused if they come later.

Nothing is stored. After a restart of the server machines report again; until then their workers, which the database
names, count as running.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.machine_choice import Room, choose
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Clock, Fleet

#: Seconds without a report after which a machine counts as gone: as long as the lease of a claim and half as much.
SILENCE = 15.0
KIND = "joined"


class AssignedWorker(Struct):
    """A worker that a machine should have."""

    worker_id: str
    #: None when an earlier server started it.
    spec: WorkerSpec | None = None
    #: As the machine last reported it; None before that.
    sighting: WorkerSighting | None = None
    #: Seconds after which it is ended by force; None while it should run.
    stop: float | None = None


class _Joined(Struct):
    machine: Machine
    slots: int
    #: Monotonic time of its last report.
    heard: float
    workers: dict[str, AssignedWorker]
    #: Wakes the call that waits for a change.
    wake: Callable[[], None]


class JoinedMachines:
    """Implements ``ports.Fleet``."""

    def __init__(self, inner: Fleet, clock: Clock, needs_server: Callable[[WorkerSpec], bool]) -> None:
        """Create the fleet without joined machines.

        Args:
            inner: runs workers on this machine.
            clock: the time.
            needs_server: whether a worker uses what only this machine has, such as an image's environment.
        """
        self.name = inner.name
        self.startup_prior = inner.startup_prior
        self._inner = inner
        self._clock = clock
        self._needs_server = needs_server
        self._lock = threading.Lock()  # guards the three below
        self._joined: dict[str, _Joined] = {}
        #: Specs of the workers of this machine.
        self._local: dict[str, WorkerSpec] = {}
        #: Workers of earlier servers by the name of the machine that has not reported yet.
        self._expected: dict[str, str] = {}
        self._began = clock.monotonic()

    def expect(self, workers: Mapping[str, str]) -> None:
        """Count workers of an earlier server as running until their machines have had time to report.

        Args:
            workers: names of their machines by worker.
        """
        with self._lock:
            self._expected = dict(workers)

    # the port

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:
        """Return the fields that are not honoured; see ``ports.Fleet``."""
        return self._inner.unsupported(spec)

    def check(self, spec: WorkerSpec) -> None:
        """See ``ports.Fleet``."""
        self._inner.check(spec)

    def start(self, spec: WorkerSpec) -> None:
        """Request a worker on the machine that is then the least loaded; see ``ports.Fleet``."""
        with self._lock:
            if self._find(spec.worker_id) is not None:
                return
            joined = None if spec.worker_id in self._local else self._choose(spec)
            if joined is not None:
                joined.workers[spec.worker_id] = AssignedWorker(spec.worker_id, spec)
                joined.wake()
                return
            self._local[spec.worker_id] = spec
        self._inner.start(spec)

    def stop(self, worker_id: str, grace: float) -> None:
        """Request the end of a worker; see ``ports.Fleet``."""
        with self._lock:
            self._local.pop(worker_id, None)
            self._expected.pop(worker_id, None)
            joined = self._find(worker_id)
            if joined is not None:
                worker = joined.workers[worker_id]
                seen = worker.sighting
                is_running = seen is not None and seen.phase is WorkerPhase.RUNNING
                if not is_running or self._is_silent(joined):
                    del joined.workers[worker_id]
                else:
                    worker.stop = grace if worker.stop is None else min(grace, worker.stop)
                joined.wake()
                return
        self._inner.stop(worker_id, grace)

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """See ``ports.Fleet``."""
        self._inner.mark(worker_id, busy=busy)

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker; see ``ports.Fleet``."""
        seen = list(self._inner.observe())
        with self._lock:
            for joined in self._joined.values():
                seen += [self._sighting(joined, worker) for worker in joined.workers.values()]
            if self._expected and self._clock.monotonic() - self._began > SILENCE:
                self._expected = {}
            seen += [
                WorkerSighting(worker_id=worker_id, phase=WorkerPhase.RUNNING, machine=machine)
                for worker_id, machine in self._expected.items()
            ]
        return seen

    def machines(self) -> Sequence[Machine]:
        """Return this machine and those that have joined; see ``ports.Fleet``."""
        with self._lock:
            self._forget_empty()
            joined = [
                replace(each.machine, ready=not self._is_silent(each)) for each in self._joined.values()
            ]
        return [*self._inner.machines(), *joined]

    def close(self, grace: float) -> None:
        """Stop the workers of this machine; those of others wait for the next server. See ``ports.Fleet``."""
        self._inner.close(grace)

    # what machines report

    def report(
        self,
        machine_id: str,
        machine: Machine,
        slots: int,
        sightings: Sequence[WorkerSighting],
        wake: Callable[[], None],
    ) -> tuple[bool, list[AssignedWorker]]:
        """Take a report over.

        Args:
            machine_id: of the machine, new at each start of its program.
            machine: what it is; the fleet completes its name, kind and time.
            slots: how many workers it takes.
            sightings: all workers that it has.
            wake: is called, from any thread, when what it should have changes.

        Returns:
            Whether it has other workers than it should have; all that it should have.

        Raises:
            InvalidArgument: the report is not valid.
        """
        if not 1 <= slots <= limits.SLOTS:
            raise InvalidArgument(
                f"a machine takes 1 to {limits.SLOTS:,} workers, and it reports {slots} slots; give another --slots"
            )
        with self._lock:
            joined = self._joined.get(machine_id)
            if joined is None:
                name = f"{machine.name[:200]}-{machine_id[:6]}"
                machine = replace(machine, name=name, kind=KIND, slots=slots, created=self._clock.now())
                joined = self._joined[machine_id] = _Joined(machine, slots, 0.0, {}, wake)
            joined.heard, joined.wake = self._clock.monotonic(), wake
            self._take_over(joined, sightings)
            moves = self._moves()
            assigned = list(joined.workers.values())
            reported = {each.worker_id for each in sightings if each.phase is not WorkerPhase.GONE}
        for spec in moves:
            self._inner.stop(spec.worker_id, 0.0)
            self.start(spec)
        differs = reported != {each.worker_id for each in assigned if each.stop is None}
        return differs, assigned

    def leave(self, machine_id: str) -> None:
        """Forget a machine whose workers have ended."""
        with self._lock:
            joined = self._joined.get(machine_id)
            if joined is not None:
                joined.heard = float("-inf")

    def _take_over(self, joined: _Joined, sightings: Sequence[WorkerSighting]) -> None:
        reported = {each.worker_id: each for each in sightings}
        for worker_id, sighting in reported.items():
            if worker_id in self._expected:
                del self._expected[worker_id]
                joined.workers[worker_id] = AssignedWorker(worker_id)
            if worker_id in joined.workers:
                joined.workers[worker_id].sighting = sighting
        for worker_id, worker in list(joined.workers.items()):
            if worker_id in reported or worker.sighting is None:
                continue
            if worker.stop is not None:
                del joined.workers[worker_id]
            elif worker.sighting.phase is not WorkerPhase.GONE:
                worker.sighting = WorkerSighting(
                    worker_id=worker_id,
                    phase=WorkerPhase.GONE,
                    reason=f"machine {joined.machine.name} has it no more",
                    ending=WorkerEnding.REMOVED,
                )

    def _moves(self) -> list[WorkerSpec]:
        """Return the workers that wait for memory of this machine and that another one has room for."""
        queued = {each.worker_id for each in self._inner.observe() if each.queued}
        for worker_id, spec in self._local.items():
            if worker_id in queued and self._choose(spec) is not None:
                return [self._local.pop(worker_id)]  # one with each report
        return []

    # placement

    def _find(self, worker_id: str) -> _Joined | None:
        return next((each for each in self._joined.values() if worker_id in each.workers), None)

    def _is_silent(self, joined: _Joined) -> bool:
        return self._clock.monotonic() - joined.heard > SILENCE

    def _forget_empty(self) -> None:
        for machine_id, joined in list(self._joined.items()):
            if not joined.workers and self._is_silent(joined):
                del self._joined[machine_id]

    def _choose(self, spec: WorkerSpec) -> _Joined | None:
        """Return the joined machine for a worker; None for this machine."""
        candidates = [each for each in self._joined.values() if not self._is_silent(each)]
        if not candidates or self._needs_server(spec):
            return None
        present = [each.worker_id for each in self._inner.observe() if each.phase is not WorkerPhase.GONE]
        taken_memory = sum(self._local[each].memory for each in present if each in self._local)
        memory = sum(each.memory for each in self._inner.machines())
        own = Room(os.cpu_count() or 1, len(present), memory - taken_memory, is_limited=False)
        position = choose([own, *map(_room, candidates)], spec.memory)
        return candidates[position - 1] if position else None

    def _sighting(self, joined: _Joined, worker: AssignedWorker) -> WorkerSighting:
        name = joined.machine.name
        if self._is_silent(joined):
            return WorkerSighting(
                worker_id=worker.worker_id,
                phase=WorkerPhase.GONE,
                reason=f"machine {name} has not reported for {SILENCE:g} s",
                ending=WorkerEnding.REMOVED,
                machine=name,
            )
        if worker.sighting is None:
            reason = f"waits for machine {name} to start it"
            return WorkerSighting(worker_id=worker.worker_id, phase=WorkerPhase.PENDING, reason=reason)
        running = worker.sighting.phase is WorkerPhase.RUNNING
        return replace(worker.sighting, machine=name if running else "")


def _room(joined: _Joined) -> Room:
    present = [
        each
        for each in joined.workers.values()
        if each.sighting is None or each.sighting.phase is not WorkerPhase.GONE
    ]
    memory = joined.machine.memory - sum(each.spec.memory for each in present if each.spec is not None)
    return Room(joined.slots, len(present), memory, is_limited=True)
