"""Simulates the start-up of machines for the workers of another fleet.

A decorator of the ``Fleet`` port. The scenario of a worker defines how long its machine takes to be provisioned,
boot, register and pull the image; then the worker is started by the inner fleet. Machines are listed as long as their
worker exists, marked as pretended. So policy, waiting, explanations and bills can be observed on a laptop, with the
real controller and a real pipeline.

Level-triggered like every fleet: ``observe`` does what is due. No state outlives the process.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import Clock, Fleet


class StartupScenario(Protocol):
    """How the machine of a worker starts, fixed when the worker is requested. Times are seconds from then."""

    @property
    def waits(self) -> Sequence[tuple[float, str]]:
        """The steps of the wait, each with its end, in order."""

    @property
    def registered(self) -> float:
        """When the machine is ready and starts to cost money."""

    @property
    def machine(self) -> Machine:
        """The machine; its times are set by the fleet."""


class ScenarioFactory(Protocol):
    """Creates a scenario for each worker."""

    def __call__(self, spec: WorkerSpec) -> StartupScenario:
        """Return the scenario for a worker.

        Raises:
            InvalidArgument: no machine of this kind could run it.
        """


class _Waiting(Struct):
    spec: WorkerSpec
    scenario: StartupScenario
    #: When it was requested, seconds since the epoch.
    requested: float
    started: bool = False


class SimulatedFleet:
    """Implements ``ports.Fleet``."""

    def __init__(
        self, inner: Fleet, name: str, startup_prior: float, scenarios: ScenarioFactory, clock: Clock
    ) -> None:
        """Create the decorator.

        Args:
            inner: runs the workers once their machine is ready.
            name: the fleet's name in records.
            startup_prior: expected seconds of a start before one has been measured.
            scenarios: creates the scenario of each worker.
            clock: the time.
        """
        self.name = name
        self.startup_prior = startup_prior
        self._inner = inner
        self._scenarios = scenarios
        self._clock = clock
        self._lock = threading.Lock()
        self._workers: dict[str, _Waiting] = {}

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:
        """Return the fields that the inner fleet does not honour; see ``ports.Fleet``."""
        return self._inner.unsupported(spec)

    def check(self, spec: WorkerSpec) -> None:
        """Refuse a worker that has no scenario, or that the inner fleet refuses; see ``ports.Fleet``."""
        self._inner.check(spec)
        self._scenarios(spec)

    def start(self, spec: WorkerSpec) -> None:
        """Begin the scenario, at the end of which the worker is started; see ``ports.Fleet``."""
        scenario = self._scenarios(spec)
        with self._lock:
            self._workers.setdefault(spec.worker_id, _Waiting(spec, scenario, self._clock.now()))

    def stop(self, worker_id: str, grace: float) -> None:
        """Drop a machine that is not ready yet, or end the worker on it; see ``ports.Fleet``."""
        with self._lock:
            waiting = self._workers.get(worker_id)
            if waiting is not None and not waiting.started:
                del self._workers[worker_id]
                return
        self._inner.stop(worker_id, grace)

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Pass the mark to the inner fleet; see ``ports.Fleet``."""
        self._inner.mark(worker_id, busy=busy)

    def observe(self) -> Sequence[WorkerSighting]:
        """Do what is due and return every worker; see ``ports.Fleet``."""
        self._start_due()
        inner = {sighting.worker_id: sighting for sighting in self._inner.observe()}
        now = self._clock.now()
        with self._lock:
            self._drop_gone(set(inner))
            return [
                self._sight(worker, inner.get(worker_id), now) for worker_id, worker in self._workers.items()
            ]

    def machines(self) -> Sequence[Machine]:
        """Return the pretended machines; see ``ports.Fleet``."""
        self.observe()  # so that a machine is removed with its worker
        now = self._clock.now()
        with self._lock:
            return [_machine(worker, now) for worker in self._workers.values()]

    def close(self, grace: float) -> None:
        """Drop machines without a worker and close the inner fleet; see ``ports.Fleet``."""
        with self._lock:
            self._workers = {key: worker for key, worker in self._workers.items() if worker.started}
        self._inner.close(grace)

    def _start_due(self) -> None:
        now = self._clock.now()
        with self._lock:
            due = [
                worker
                for worker in self._workers.values()
                if not worker.started and now >= worker.requested + _begins(worker)
            ]
            for worker in due:
                worker.started = True
        for worker in due:
            self._inner.start(worker.spec)

    def _drop_gone(self, present: set[str]) -> None:
        """Drop the machines of workers that the inner fleet does not know any more."""
        for worker_id in [
            key for key, worker in self._workers.items() if worker.started and key not in present
        ]:
            del self._workers[worker_id]

    def _sight(self, worker: _Waiting, inner: WorkerSighting | None, now: float) -> WorkerSighting:
        name = _machine(worker, now).name if now >= worker.requested + worker.scenario.registered else ""
        if inner is None:
            passed = now - worker.requested
            reason = next(
                (text for until, text in worker.scenario.waits if passed < until),
                "its container is about to be started",
            )
            return WorkerSighting(
                worker_id=worker.spec.worker_id, phase=WorkerPhase.PENDING, reason=reason, machine=name
            )
        return replace(inner, machine=name)


def _begins(worker: _Waiting) -> float:
    """Return when the inner fleet starts the worker, in seconds from its request."""
    return worker.scenario.waits[-1][0] if worker.scenario.waits else 0.0


def _machine(worker: _Waiting, now: float) -> Machine:
    ready = now >= worker.requested + worker.scenario.registered
    return replace(
        worker.scenario.machine,
        created=worker.requested + (worker.scenario.registered if ready else 0.0),
        ready=ready,
        pretended=True,
    )
