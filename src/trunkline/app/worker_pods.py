"""The pods that a pipeline's workers would be, for plans: rendered by the fleet's own driver.

A plan that rendered by itself would drift from what runs. Nothing here talks to a cluster or needs one; what
a server adds (its address, its images) has no part in sizes and rules and is left empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.drivers.fleets.kubernetes import pods
from trunkline.model.quantities import parse_bytes
from trunkline.model.workers import WorkerSpec

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

#: What the controller says for a pipeline that asks for no memory. It is ``pps.spec_cache.DEFAULT_MEMORY``, which
#: cannot be imported without the database's library, a fifth of a second; a test holds the two together.
DEFAULT_MEMORY = 256 << 20  # bytes


def manifest(spec: PipelineSpec, namespace: str) -> dict[str, Any]:
    """Return the pod of one worker of a pipeline.

    Args:
        spec: completed and validated.
        namespace: where workers run.

    Raises:
        InvalidArgument: the spec asks for what no pod can have.
    """
    asked = spec.resource_requests.memory if spec.resource_requests is not None else ""
    worker = WorkerSpec(
        worker_id="0" * 32,
        token="",
        project=spec.project,
        pipeline=spec.name,
        version=1,
        wanted=spec,
        memory=parse_bytes(asked, "resource_requests.memory") if asked else DEFAULT_MEMORY,
    )
    settings = pods.PodSettings(cluster="trunkline", namespace=namespace, server="", worker_image="")
    return pods.render(worker, settings)
