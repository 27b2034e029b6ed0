"""Values that pass between the controller and a fleet."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WorkerPhase(StrEnum):
    """Where a worker stands, as its fleet sees it."""

    PENDING = "pending"  # asked for; waits for a place, a machine or an image, and says for which
    RUNNING = "running"  # its process exists
    GONE = "gone"  # its process ended; ``reason`` says how


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """A worker that the controller wants to exist."""

    #: 32 hex digits, unique for ever.
    worker_id: str
    #: Secret that the worker presents to the server's worker API; dies with the worker.
    token: str
    project: str
    pipeline: str
    #: Image name as the pipeline spec gives it.
    image: str
    #: Requested memory in bytes; the fleet admits against it.
    memory: int
    #: Requested CPUs; the process fleet time-shares and ignores it.
    cpu: float = 0.0
    #: User to run commands as (``transform.user``); empty for the fleet's own.
    user: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSighting:
    """A worker that a fleet knows of."""

    worker_id: str
    phase: WorkerPhase
    #: One sentence for people: why it is pending or how it ended. Empty when running.
    reason: str = ""
