"""Renders the pods that a pipeline's workers would have, for plans, with the fleet's own driver.

Nothing here needs a cluster. The server's address and images do not affect sizes and rules and are left empty.
Settings of an installation for all its workers are not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.drivers.fleets.kubernetes import pods
from trunkline.model.workers import WorkerSpec, memory_request
from trunkline.ports import ServerAddress

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec


def manifest(spec: PipelineSpec, namespace: str) -> dict[str, Any]:
    """Return the pod of one worker of a pipeline.

    Args:
        spec: completed and validated.
        namespace: where workers run.

    Raises:
        InvalidArgument: no pod can satisfy the spec.
    """
    worker = WorkerSpec(
        worker_id="0" * 32,
        token="",
        project=spec.project,
        pipeline=spec.name,
        version=1,
        pipeline_spec=spec,
        memory=memory_request(spec),
    )
    settings = pods.PodSettings(
        cluster="trunkline", namespace=namespace, server=ServerAddress(""), worker_image=""
    )
    return pods.render(worker, settings)
