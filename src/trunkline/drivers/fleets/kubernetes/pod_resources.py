"""Resource requests and limits of a worker's containers. Pure.

Three sources, the first that names a resource wins: the pipeline's spec, the installation's pod defaults, and the
values here. A default limit does not apply to a resource that the spec requests, since it may be lower.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from trunkline.model.quantities import parse_bytes
from trunkline.model.spec import ResourceSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.workers import WorkerSpec

#: CPUs that a command requests when nothing else is said: the smallest Fargate pod. (Pachyderm: 1 CPU and 1 GiB of
#: disk.)
DEFAULT_CPU = "250m"
#: What Trunkline's own containers request. Python with its buffers takes about 60 MB. No CPU, as in Pachyderm: a
#: few hundredths more than the round number that a spec requests would make Fargate give, and bill, twice that.
SIDECAR_CPU, SIDECAR_MEMORY = "0", "128Mi"


def user_resources(spec: WorkerSpec, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources of the container for commands.

    Args:
        spec: the worker.
        defaults: the installation's default ``resources`` of that container.
    """
    requested, limited = _amounts(spec.pipeline_spec.resource_requests, spec.pipeline_spec.resource_limits)
    own = {"cpu": DEFAULT_CPU, "memory": str(spec.memory)}
    # Kubernetes takes the limit for a request that is missing.
    own = {name: amount for name, amount in own.items() if name not in defaults.get("limits", {})}
    return _combined(requested, limited, {**own, **defaults.get("requests", {})}, defaults.get("limits", {}))


def sidecar_resources(
    requests: ResourceSpec | None, limits: ResourceSpec | None, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the resources of a container of ours; what the spec requests replaces the defaults, as in Pachyderm.

    Args:
        requests: the spec's ``sidecar_resource_requests``.
        limits: the spec's ``sidecar_resource_limits``.
        defaults: the installation's default ``resources`` of that container.
    """
    requested, limited = _amounts(requests, limits)
    if requests is not None:
        return _combined(requested, limited, {}, defaults.get("limits", {}))
    # Written out, not left out: a namespace may have defaults for containers without requests.
    own = {"cpu": SIDECAR_CPU, "memory": SIDECAR_MEMORY, **defaults.get("requests", {})}
    for name, amount in limited.items():
        if name == "memory" and parse_bytes(amount, name) < parse_bytes(str(own["memory"]), name):
            own["memory"] = amount
    resources = _combined(requested, {}, own, defaults.get("limits", {}))
    if all_limits := {**resources.get("limits", {}), **limited}:
        resources["limits"] = all_limits
    return resources


def _combined(
    requested: Mapping[str, str],
    limited: Mapping[str, str],
    default_requests: Mapping[str, Any],
    default_limits: Mapping[str, Any],
) -> dict[str, Any]:
    requests = {
        **{name: str(amount) for name, amount in default_requests.items() if name not in limited},
        **requested,
    }
    limits = {
        **{name: str(amount) for name, amount in default_limits.items() if name not in requested},
        **limited,
    }
    resources: dict[str, Any] = {}
    if requests:
        resources["requests"] = requests
    if limits:
        resources["limits"] = limits
    return resources


def _amounts(
    requests: ResourceSpec | None, limits: ResourceSpec | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return requests and limits of a spec as Kubernetes names and writes them."""
    requested = _written(requests or ResourceSpec())
    limited = _written(limits or ResourceSpec())
    for resources in (requests, limits):
        if resources is not None and resources.gpu is not None:
            # Devices cannot be overcommitted: the request is the limit.
            requested[resources.gpu.type] = limited[resources.gpu.type] = str(resources.gpu.number)
    return requested, limited


def _written(resources: ResourceSpec) -> dict[str, str]:
    amounts = {}
    if resources.cpu:
        amounts["cpu"] = f"{max(1, math.ceil(round(resources.cpu * 1000, 6)))}m"
    if resources.memory:
        amounts["memory"] = _bytes(resources.memory)
    if resources.disk:
        amounts["ephemeral-storage"] = _bytes(resources.disk)
    return amounts


def _bytes(text: str) -> str:
    """Return an amount as Kubernetes writes it; fractions of bytes are rounded up."""
    return text if re.fullmatch(r"[0-9]+(?:[kMGTPE]|[KMGTPE]i)?", text) else str(parse_bytes(text, "amount"))
