"""A rehearsal: real workers of another fleet, each of which has to wait for a machine that is only acted.

A decorator of the ``Fleet`` port. A worker that is asked for goes through the times of its act (its machine is
asked for, boots, registers, pulls the image) before the fleet below is asked for it; machines are listed as
long as their worker lives, marked as pretended. So policy, waiting, explanations and bills can be watched on a
laptop, with the true controller and the true pipeline.

Level-triggered like every fleet: what is due is done when somebody observes. Nothing outlives the process.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Clock, Fleet


class StartupScenario(Protocol):
    """What one worker's machine acts, fixed when the worker is asked for. Times count from then, in seconds."""

    @property
    def waits(self) -> Sequence[tuple[float, str]]:
        """What is waited for, each with the time when it is over, in order."""

    @property
    def registered(self) -> float:
        """When the machine is there, and is paid for from then on."""

    @property
    def machine(self) -> Machine:
        """The machine; its times are set by the fleet."""


class ScenarioFactory(Protocol):
    """Thinks an act out for each worker."""

    def __call__(self, spec: WorkerSpec) -> StartupScenario:
        """Return the act for a worker, or raise InvalidArgument when no machine there could run it."""


@dataclass(slots=True)
class _Waiting:
    spec: WorkerSpec
    act: StartupScenario
    asked: float
    started: bool = False


class SimulatedFleet:
    """Implements ``ports.Fleet``."""

    def __init__(
        self, inner: Fleet, name: str, startup_prior: float, acting: ScenarioFactory, clock: Clock
    ) -> None:
        """Make the decorator.

        Args:
            inner: runs the workers once their machine is there.
            name: what records call this fleet.
            startup_prior: seconds that a start is taken to last before one was seen.
            acting: thinks out what each worker's machine acts.
            clock: the time.
        """
        self.name = name
        self.startup_prior = startup_prior
        self._inner = inner
        self._acting = acting
        self._clock = clock
        self._lock = threading.Lock()
        self._workers: dict[str, _Waiting] = {}

    def check(self, spec: WorkerSpec) -> None:
        """Refuse a worker that has no act, or no place below; see ``ports.Fleet``."""
        self._inner.check(spec)
        self._acting(spec)

    def start(self, spec: WorkerSpec) -> None:
        """Ask for a machine, and later for the worker; see ``ports.Fleet``."""
        act = self._acting(spec)
        with self._lock:
            self._workers.setdefault(spec.worker_id, _Waiting(spec, act, self._clock.now()))

    def stop(self, worker_id: str, grace: float) -> None:
        """Give up a machine that is not there yet, or end the worker on it; see ``ports.Fleet``."""
        with self._lock:
            waiting = self._workers.get(worker_id)
            if waiting is not None and not waiting.started:
                del self._workers[worker_id]
                return
        self._inner.stop(worker_id, grace)

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Nobody takes a pretended machine away; see ``ports.Fleet``."""
        self._inner.mark(worker_id, busy=busy)

    def observe(self) -> Sequence[WorkerSighting]:
        """Do what is due and return every worker; see ``ports.Fleet``."""
        self._start_due()
        inner = {sighting.worker_id: sighting for sighting in self._inner.observe()}
        now = self._clock.now()
        with self._lock:
            self._drop_gone(set(inner))
            return [self._sight(one, inner.get(worker_id), now) for worker_id, one in self._workers.items()]

    def machines(self) -> Sequence[Machine]:
        """Return the machines that are acted; see ``ports.Fleet``."""
        self.observe()  # so that a machine goes with its worker
        now = self._clock.now()
        with self._lock:
            return [_machine(one, now) for one in self._workers.values()]

    def close(self, grace: float) -> None:
        """Let the machines vanish and close the fleet below; see ``ports.Fleet``."""
        with self._lock:
            self._workers = {key: one for key, one in self._workers.items() if one.started}
        self._inner.close(grace)

    def _start_due(self) -> None:
        now = self._clock.now()
        with self._lock:
            due = [
                one for one in self._workers.values() if not one.started and now >= one.asked + _ready(one)
            ]
            for one in due:
                one.started = True
        for one in due:
            self._inner.start(one.spec)

    def _drop_gone(self, present: set[str]) -> None:
        """Forget the machines whose workers the fleet below has forgotten."""
        for worker_id in [key for key, one in self._workers.items() if one.started and key not in present]:
            del self._workers[worker_id]

    def _sight(self, one: _Waiting, inner: WorkerSighting | None, now: float) -> WorkerSighting:
        name = _machine(one, now).name if now >= one.asked + one.act.registered else ""
        if inner is None:
            passed = now - one.asked
            reason = next(
                (text for until, text in one.act.waits if passed < until),
                "its container is about to be started",
            )
            return WorkerSighting(
                worker_id=one.spec.worker_id, phase=WorkerPhase.PENDING, reason=reason, machine=name
            )
        return replace(inner, machine=name)


def _ready(one: _Waiting) -> float:
    return one.act.waits[-1][0] if one.act.waits else 0.0


def _machine(one: _Waiting, now: float) -> Machine:
    there = now >= one.asked + one.act.registered
    return replace(
        one.act.machine,
        created=one.asked + (one.act.registered if there else 0.0),
        ready=there,
        pretended=True,
    )
