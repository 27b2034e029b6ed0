"""Rules for the pod settings of a pipeline spec that can be checked without a cluster.

Without these checks Kubernetes refuses the pod later, and the pipeline waits forever. What depends on the cluster
(its secrets, priority classes and nodes) is not checked here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trunkline.model.spec import PipelineSpec, ResourceSpec, Toleration

#: RFC 1123 subdomain: names of most objects.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
#: What operations of a JSON patch need beside "op".
_OPERATIONS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}
#: Folders of a worker's pod where no secret may be mounted.
_TAKEN = ("/", "/pfs", "/launcher")


def check(spec: PipelineSpec) -> None:
    """Check the pod settings of a completed spec.

    Raises:
        InvalidArgument: a setting is not valid; the message says which, where and how to fix it.
    """
    for number, toleration in enumerate(spec.tolerations, 1):
        _toleration(toleration, f"toleration {number}/{len(spec.tolerations)}")
    _labels(spec)
    _names(spec)
    _limits("resource", spec.resource_requests, spec.resource_limits)
    _limits("sidecar_resource", spec.sidecar_resource_requests, spec.sidecar_resource_limits)
    pod_spec = _json("pod_spec", spec.pod_spec)
    if pod_spec is not None and not isinstance(pod_spec, dict):
        raise InvalidArgument(
            "pod_spec is not an object; write the part of a pod's spec that is to be merged"
        )
    patch = _json("pod_patch", spec.pod_patch)
    if patch is not None and not isinstance(patch, list):
        raise InvalidArgument("pod_patch is not a list; write a list of JSON patch operations")
    for number, operation in enumerate(patch or ()):
        check_operation(operation, f"pod_patch[{number}]")


def check_operation(operation: object, place: str) -> None:
    """Check one operation of a JSON patch.

    Raises:
        InvalidArgument: it is not an operation of RFC 6902.
    """
    if not isinstance(operation, dict):
        raise InvalidArgument(f"{place} is not an object; write an object with op, path and usually value")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise InvalidArgument(f"{place}.op is {op!r}; write {', '.join(_OPERATIONS)}")
    for field in _OPERATIONS[op]:
        if field not in operation:
            raise InvalidArgument(f'{place} has no "{field}", which "{op}" needs; add it')
        value = operation[field]
        if field != "value" and (not isinstance(value, str) or (value and not value.startswith("/"))):
            raise InvalidArgument(f'{place}.{field} is {value!r}; a path starts with "/"')


def _toleration(toleration: Toleration, where: str) -> None:
    if toleration.operator == "EMPTY":
        raise InvalidArgument(f"{where} has no operator; write EXISTS or EQUAL")
    if toleration.operator == "EXISTS" and toleration.value:
        raise InvalidArgument(
            f'{where} has operator EXISTS and value "{toleration.value}"; write EQUAL or remove the value'
        )
    if toleration.operator == "EQUAL" and not toleration.key:
        raise InvalidArgument(f"{where} has operator EQUAL and no key; add the key or write EXISTS")
    if toleration.toleration_seconds is not None and toleration.effect != "NO_EXECUTE":
        raise InvalidArgument(
            f"{where} has toleration_seconds, which needs effect NO_EXECUTE; set that effect or remove it"
        )


def _labels(spec: PipelineSpec) -> None:
    for field, pairs in _pairs(spec):
        for key, value in pairs.items():
            prefix, slash, name = key.rpartition("/")
            if not _LABEL.fullmatch(name) or (slash and (len(prefix) > 253 or not _NAME.fullmatch(prefix))):
                raise InvalidArgument(
                    f'{field} has the key "{key}", but keys are letters, digits, "-", "_" and "." (63 at most), '
                    "after an optional domain and slash; correct it"
                )
            if field != "metadata.annotations" and value and not _LABEL.fullmatch(value):
                raise InvalidArgument(
                    f'{field}.{key} is "{value}", but values are letters, digits, "-", "_" and "." '
                    "(63 at most), the first and last a letter or digit; correct it"
                )


def _pairs(spec: PipelineSpec) -> Iterator[tuple[str, Mapping[str, str]]]:
    if spec.metadata is not None:
        yield "metadata.labels", spec.metadata.labels
        yield "metadata.annotations", spec.metadata.annotations
    if spec.scheduling_spec is not None:
        yield "scheduling_spec.node_selector", spec.scheduling_spec.node_selector


def _names(spec: PipelineSpec) -> None:
    named = []
    if spec.transform is not None:
        for number, secret in enumerate(spec.transform.secrets):
            where = f"transform.secrets[{number}]"
            named.append((f"{where}.name", secret.name))
            path = secret.mount_path
            if path and (not path.startswith("/") or ":" in path or (path.rstrip("/") or "/") in _TAKEN):
                raise InvalidArgument(
                    f'{where}.mount_path "{path}" cannot hold a secret; write the absolute path of another '
                    "folder, without a colon"
                )
        for number, name in enumerate(spec.transform.image_pull_secrets):
            named.append((f"transform.image_pull_secrets[{number}]", name))
    if spec.scheduling_spec is not None and spec.scheduling_spec.priority_class_name:
        named.append(("scheduling_spec.priority_class_name", spec.scheduling_spec.priority_class_name))
    for field, name in named:
        if len(name) > 253 or not _NAME.fullmatch(name):
            raise InvalidArgument(
                f'{field} is "{name}", but names in Kubernetes are lowercase letters, digits, "-" and "."; correct it'
            )


def _limits(field: str, requests: ResourceSpec | None, limits: ResourceSpec | None) -> None:
    """Check that no limit is below its request."""
    if requests is None or limits is None:
        return
    amounts: tuple[tuple[str, Callable[[ResourceSpec], float]], ...] = (
        ("cpu", lambda each: each.cpu or 0.0),
        ("memory", lambda each: parse_bytes(each.memory or "0", f"{field}s.memory")),
        ("disk", lambda each: parse_bytes(each.disk or "0", f"{field}s.disk")),
    )
    for kind, amount in amounts:
        if getattr(limits, kind) and amount(requests) > amount(limits):
            raise InvalidArgument(
                f"{field}_requests.{kind} is {getattr(requests, kind)}, more than {field}_limits.{kind}, "
                f"{getattr(limits, kind)}; lower the request or raise the limit"
            )
    if requests.gpu is not None and limits.gpu is not None and requests.gpu != limits.gpu:
        raise InvalidArgument(
            f"{field}_requests.gpu and {field}_limits.gpu differ, but devices cannot be overcommitted; "
            "write the same or leave the request out"
        )


def _json(field: str, text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{field} is not JSON: {error}; write JSON, as a string") from error
