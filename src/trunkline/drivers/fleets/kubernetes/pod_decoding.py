"""Decodes rendered pods into lightkube's type and finds fields that no pod has. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from lightkube.resources.core_v1 import Pod

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any


def as_pod(rendered: dict[str, Any], *, strictly: bool = True, source: str = "pod_spec or pod_patch") -> Pod:
    """Return a rendered pod as lightkube's type.

    Args:
        rendered: the pod as JSON.
        strictly: whether to look for fields that no pod has, which the library drops.
        source: where the fields come from, for error messages.

    Raises:
        InvalidArgument: a field has the wrong type, or no pod has it.
    """
    try:
        pod = Pod.from_dict(rendered)
    except msgspec.ValidationError as error:
        raise InvalidArgument(
            f"{source} makes a pod that Kubernetes does not know: {error}; correct it"
        ) from error
    if strictly and (unknown := _unknown(rendered, pod.to_dict(), "")):
        raise InvalidArgument(f'{source} sets "{unknown}", which no pod has; correct its name or remove it')
    assert isinstance(pod, Pod)
    return pod


def _unknown(original: object, decoded: object, where: str) -> str:
    """Return the place of a field that was dropped when a value was read."""
    if isinstance(original, dict) and isinstance(decoded, dict):
        for name, value in original.items():
            if name not in decoded and value not in (None, "", [], {}, 0, False):
                return f"{where}.{name}".lstrip(".")
            if place := _unknown(value, decoded.get(name), f"{where}.{name}"):
                return place
    if isinstance(original, list) and isinstance(decoded, list):
        for number, pair in enumerate(zip(original, decoded, strict=False)):
            if place := _unknown(*pair, f"{where}[{number}]"):
                return place
    return ""
