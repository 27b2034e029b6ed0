"""Instructions of a step of the autoscaler. ``pps.autoscaling.autoscaler`` applies each once, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.model.states import WorkerState
    from trunkline.model.workers import Machine, WorkerEnding
    from trunkline.scaling import policy


@dataclass(frozen=True, slots=True)
class LoseWorkers:
    """Remove workers that are gone or do not answer: their claims become free, and their remaining processes stop."""

    #: (worker, why it ended, whether it crashed)
    workers: tuple[tuple[str, str, WorkerEnding], ...]


@dataclass(frozen=True, slots=True)
class SetMachines:
    """Record on which machines workers are."""

    workers: tuple[tuple[str, Machine], ...]


@dataclass(frozen=True, slots=True)
class SetReasons:
    """Record what workers wait for."""

    #: (worker, its state, the reason)
    workers: tuple[tuple[str, WorkerState, str], ...]


@dataclass(frozen=True, slots=True)
class BeginWorkers:
    """Record that processes of workers exist."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LearnStarts:
    """Record how long starts took."""

    #: (kind of machine, seconds)
    starts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class FailPipeline:
    """Set the pipeline to FAILURE and stop its jobs: only an update of its spec can help."""

    reason: str


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """Record a decision that differs from the last one, with its inputs."""

    target: int
    sentence: str
    demand: policy.Demand
    rules: policy.Policy
    observed: policy.Observed


@dataclass(frozen=True, slots=True)
class MarkWorkers:
    """Set which workers the fleet must not evict, and which it may."""

    busy: tuple[str, ...]
    idle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetireWorkers:
    """Cancel workers that are not ready; let the others finish what they run and end."""

    workers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopWorker:
    """End a worker by force."""

    worker: str
    #: Seconds until it is killed.
    grace: float


@dataclass(frozen=True, slots=True)
class StartWorkers:
    """Request new workers."""

    number: int
    #: Seconds that each may continue when its machine is taken away.
    grace: float


@dataclass(frozen=True, slots=True)
class LookAgainAt:
    """Take the next step at this time, even if nothing changes (seconds since the epoch)."""

    at: float


Instruction = (
    LoseWorkers
    | SetMachines
    | SetReasons
    | BeginWorkers
    | LearnStarts
    | FailPipeline
    | RecordDecision
    | MarkWorkers
    | RetireWorkers
    | StopWorker
    | StartWorkers
    | LookAgainAt
)
