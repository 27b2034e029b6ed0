"""Instructions of a step of the autoscaler. ``pps.autoscaling.autoscaler`` applies each once, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from trunkline.model.states import WorkerState
    from trunkline.model.workers import Machine, WorkerEnding
    from trunkline.scaling import policy


class LoseWorkers(Struct, frozen=True):
    """Remove workers that are gone or do not answer: their claims become free, and their remaining processes stop."""

    #: (worker, why it ended, whether it crashed)
    workers: tuple[tuple[str, str, WorkerEnding], ...]


class SetMachines(Struct, frozen=True):
    """Record on which machines workers are."""

    workers: tuple[tuple[str, Machine], ...]


class SetReasons(Struct, frozen=True):
    """Record what workers wait for."""

    #: (worker, its state, the reason)
    workers: tuple[tuple[str, WorkerState, str], ...]


class BeginWorkers(Struct, frozen=True):
    """Record that processes of workers exist."""

    workers: tuple[str, ...]


class LearnStarts(Struct, frozen=True):
    """Record how long starts took."""

    #: (kind of machine, seconds)
    starts: tuple[tuple[str, float], ...]


class FailPipeline(Struct, frozen=True):
    """Set the pipeline to FAILURE and stop its jobs: only an update of its spec can help."""

    reason: str


class LimitWorkers(Struct, frozen=True):
    """Give no more work to workers beyond this number, so that they retire; None for no limit."""

    number: int | None


class RecordDecision(Struct, frozen=True):
    """Record a decision that differs from the last one, with its inputs."""

    target: int
    sentence: str
    demand: policy.Demand
    rules: policy.Policy
    observed: policy.Observed


class MarkWorkers(Struct, frozen=True):
    """Set which workers the fleet must not evict, and which it may."""

    busy: tuple[str, ...]
    idle: tuple[str, ...]


class RetireWorkers(Struct, frozen=True):
    """Cancel workers that are not ready; let the others finish what they run and end."""

    workers: tuple[str, ...]


class StopWorker(Struct, frozen=True):
    """End a worker by force."""

    worker: str
    #: Seconds until it is killed.
    grace: float


class StartWorkers(Struct, frozen=True):
    """Request new workers."""

    number: int
    #: Seconds that each may continue when its machine is taken away.
    grace: float


class LookAgainAt(Struct, frozen=True):
    """Take the next step at this time, even if nothing changes (seconds since the epoch)."""

    at: float


Instruction = (
    LoseWorkers
    | SetMachines
    | SetReasons
    | BeginWorkers
    | LearnStarts
    | FailPipeline
    | LimitWorkers
    | RecordDecision
    | MarkWorkers
    | RetireWorkers
    | StopWorker
    | StartWorkers
    | LookAgainAt
)
