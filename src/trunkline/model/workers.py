"""Values that pass between the controller and a fleet."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import PipelineSpec, Service

#: Bytes that a worker requests when its spec requests nothing (Pachyderm: PIPELINE_DEFAULT_MEMORY_REQUEST).
DEFAULT_MEMORY = 256 << 20


class WorkerPhase(StrEnum):
    """The phase of a worker, as its fleet sees it."""

    PENDING = "pending"  # requested; waits for room, a machine or an image; ``reason`` says for which
    RUNNING = "running"  # its process exists
    GONE = "gone"  # its process ended; ``reason`` says how


class WorkerEnding(StrEnum):
    """Why a worker's process ended: decides whether it counts as a crash and as an attempt of its datum."""

    CRASHED = (
        "crashed"  # exited by itself, or was killed for its own behaviour, such as using too much memory
    )
    REMOVED = "removed"  # evicted, deleted or drained, or its machine was removed: not the worker's fault
    STOPPED = "stopped"  # the controller stopped it


class PublishedService(Struct, frozen=True, kw_only=True):
    """A port that the workers of a pipeline's version answer on, to be reached from outside."""

    project: str
    pipeline: str
    version: int
    service: Service
    #: Of the pipeline's metadata.
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class WorkerSpec(Struct, frozen=True, kw_only=True):
    """A worker that the controller wants to exist."""

    #: 32 hex digits, never reused.
    worker_id: str
    #: Secret that authenticates the worker to the server's worker API; valid while the worker exists.
    token: str
    project: str
    pipeline: str
    #: Version of the pipeline, from 1.
    version: int
    #: The pipeline's spec. A fleet uses the fields that it supports: image, resources, labels, placement.
    pipeline_spec: PipelineSpec
    #: Requested memory in bytes, the default included; the fleet admits against it.
    memory: int
    #: Seconds that the worker has to complete its datum when its machine is removed.
    grace: float = 60.0

    @property
    def image(self) -> str:
        """The image's name in the pipeline spec."""
        return self.pipeline_spec.transform.image if self.pipeline_spec.transform is not None else ""


class WorkerSighting(Struct, frozen=True, kw_only=True):
    """What a fleet reports about a worker."""

    worker_id: str
    phase: WorkerPhase
    #: One sentence for users: why it is pending or how it ended. Empty when running.
    reason: str = ""
    #: Pending, and waiting alone does not help: the image does not exist, or nothing can supply a machine.
    unsatisfiable: bool = False
    #: Unsatisfiable for lack of a machine. An administrator may add one, so this never fails the pipeline.
    lacks_machine: bool = False
    #: Pending until other workers of the fleet end. This time does not count as start-up time.
    queued: bool = False
    #: Why it ended; only meaningful in phase GONE.
    ending: WorkerEnding = WorkerEnding.CRASHED
    #: Name of the machine it is on or will be on; empty while it has none.
    machine: str = ""


class Machine(Struct, frozen=True, kw_only=True):
    """A machine that workers run on, as its fleet sees it."""

    name: str
    #: local, joined, node, node group, karpenter or fargate.
    kind: str
    #: Node group, pool or Fargate profile that it belongs to; empty when it belongs to none.
    group: str = ""
    #: The provider's name of its size, such as ``m5.xlarge`` or ``0.25vCPU 0.5GB``; empty when unknown.
    instance_type: str = ""
    region: str = ""
    #: Rented at the spot price; the provider may reclaim it.
    spot: bool = False
    #: CPUs and bytes of memory that are available to workers.
    cpu: float = 0.0
    memory: int = 0
    #: Seconds since the epoch.
    created: float = 0.0
    ready: bool = True
    #: How many workers it takes; 0 where only memory limits them.
    slots: int = 0
    #: Simulated: nobody pays for it.
    pretended: bool = False
    #: Seconds of its lifetime per second of real time; a simulation may run faster.
    speed: float = 1.0


def memory_request(spec: PipelineSpec) -> int:
    """Return the bytes of memory that a worker of a pipeline requests."""
    requests = spec.resource_requests
    if requests is None or not requests.memory:
        return DEFAULT_MEMORY
    return parse_bytes(requests.memory, "resource_requests.memory")
