"""Values that pass between the controller and a fleet."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

#: Bytes that a worker requests when its spec requests nothing (Pachyderm: PIPELINE_DEFAULT_MEMORY_REQUEST).
DEFAULT_MEMORY = 256 << 20


class WorkerPhase(StrEnum):
    """Where a worker stands, as its fleet sees it."""

    PENDING = "pending"  # asked for; waits for a place, a machine or an image, and says for which
    RUNNING = "running"  # its process exists
    GONE = "gone"  # its process ended; ``reason`` says how


class WorkerEnding(StrEnum):
    """Why a worker's process ended: whether it counts as a crash, and whether its datum lost an attempt."""

    CRASHED = "crashed"  # by itself, or killed for what it did, such as using too much memory
    REMOVED = (
        "removed"  # evicted, deleted or drained, or its machine went away: says nothing about the worker
    )
    STOPPED = "stopped"  # the controller told it to stop


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """A worker that the controller wants to exist."""

    #: 32 hex digits, unique for ever.
    worker_id: str
    #: Secret that the worker presents to the server's worker API; dies with the worker.
    token: str
    project: str
    pipeline: str
    #: Version of the pipeline, from 1.
    version: int
    #: The pipeline's spec. A fleet takes from it what it can honour: image, resources, labels, placement.
    wanted: PipelineSpec
    #: Requested memory in bytes, the default included; the fleet admits against it.
    memory: int
    #: Seconds that the worker is given to hand in its datum when its machine goes.
    grace: float = 60.0

    @property
    def image(self) -> str:
        """Image name as the pipeline spec gives it."""
        return self.wanted.transform.image if self.wanted.transform is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSighting:
    """A worker that a fleet knows of."""

    worker_id: str
    phase: WorkerPhase
    #: One sentence for people: why it is pending or how it ended. Empty when running.
    reason: str = ""
    #: Pending, and waiting alone does not help: the image does not exist, or nothing can supply a machine.
    unsatisfiable: bool = False
    #: Unsatisfiable for lack of a machine. Somebody may add one, so this never fails the pipeline.
    lacks_machine: bool = False
    #: Pending until other workers of the fleet end. This time does not count as the time of a start.
    queued: bool = False
    #: Why it ended; only meaningful when it is gone.
    ending: WorkerEnding = WorkerEnding.CRASHED
    #: Name of the machine it is on or will be on; empty while it has none.
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that workers run on, as its fleet sees it."""

    name: str
    #: local, node, node group, karpenter or fargate.
    kind: str
    #: Node group, pool or Fargate profile that it belongs to; empty when there is none.
    group: str = ""
    #: What the provider calls its size, such as ``m5.xlarge`` or ``0.25vCPU 0.5GB``; empty when unknown.
    instance_type: str = ""
    region: str = ""
    #: Rented at the spot price, and may be taken away.
    spot: bool = False
    #: CPUs and bytes of memory that it has for workers.
    cpu: float = 0.0
    memory: int = 0
    #: Seconds since the epoch.
    created: float = 0.0
    ready: bool = True
    #: Simulated: nobody pays for it.
    pretended: bool = False
    #: Seconds of its life that pass in a second; a simulation may run faster.
    speed: float = 1.0


def memory_request(spec: PipelineSpec) -> int:
    """Return the bytes of memory that a worker of a pipeline requests."""
    requests = spec.resource_requests
    if requests is None or not requests.memory:
        return DEFAULT_MEMORY
    return parse_bytes(requests.memory, "resource_requests.memory")
