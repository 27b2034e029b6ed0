"""A fleet whose workers come and go when the test says so."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trunkline.model.workers import WorkerPhase, WorkerSighting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import Machine, WorkerSpec


class HeldFleet:
    """A fleet in memory. Workers stay pending until the test lets them come."""

    name = "held"
    startup_prior = 0.5

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.specs: dict[str, WorkerSpec] = {}
        self._sightings: dict[str, WorkerSighting] = {}
        #: Ids of all workers ever asked for, and the number asked for so far at each call of ``observe``.
        self.asked: list[str] = []
        #: What ``mark`` was last told of each worker.
        self.marks: dict[str, bool] = {}
        self.rented: list[Machine] = []
        #: Raised by ``start`` when set.
        self.refusal: Exception | None = None

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:  # noqa: ARG002
        return MappingProxyType({})

    def check(self, spec: WorkerSpec) -> None:  # noqa: ARG002
        if self.refusal is not None:
            raise self.refusal

    def start(self, spec: WorkerSpec) -> None:
        with self._lock:
            if self.refusal is not None:
                raise self.refusal
            if spec.worker_id in self.specs:
                return
            self.asked.append(spec.worker_id)
            self.specs[spec.worker_id] = spec
            self._sightings[spec.worker_id] = WorkerSighting(
                worker_id=spec.worker_id, phase=WorkerPhase.PENDING, reason="held by the test"
            )

    def stop(self, worker_id: str, grace: float) -> None:  # noqa: ARG002 - nothing here needs time to go
        with self._lock:
            self.specs.pop(worker_id, None)
            self._sightings.pop(worker_id, None)

    def observe(self) -> Sequence[WorkerSighting]:
        with self._lock:
            return list(self._sightings.values())

    def mark(self, worker_id: str, *, busy: bool) -> None:
        with self._lock:
            self.marks[worker_id] = busy

    def machines(self) -> Sequence[Machine]:
        return list(self.rented)

    def close(self, grace: float) -> None:  # noqa: ARG002
        with self._lock:
            self._sightings.clear()

    def show(self, worker_id: str, phase: WorkerPhase, reason: str = "", **facts: Any) -> None:
        """Let a worker be seen in a phase."""
        with self._lock:
            if worker_id in self.specs:
                self._sightings[worker_id] = WorkerSighting(
                    worker_id=worker_id, phase=phase, reason=reason, **facts
                )

    def leave_behind(self, worker_id: str) -> None:
        """Let a worker be seen that nobody asked for: an earlier server did."""
        with self._lock:
            self._sightings[worker_id] = WorkerSighting(worker_id=worker_id, phase=WorkerPhase.RUNNING)

    def present(self, pipeline: str) -> list[str]:
        """Return the ids of a pipeline's workers, oldest first."""
        with self._lock:
            return [number for number, spec in self.specs.items() if spec.pipeline == pipeline]
