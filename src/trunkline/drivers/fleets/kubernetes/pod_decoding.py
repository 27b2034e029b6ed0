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


def _unknown(given: object, known: object, where: str) -> str:
    """Return the place of a field that was dropped when a value was read."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name not in known and value not in (None, "", [], {}, 0, False):
                return f"{where}.{name}".lstrip(".")
            if found := _unknown(value, known.get(name), f"{where}.{name}"):
                return found
    if isinstance(given, list) and isinstance(known, list):
        for number, (one, other) in enumerate(zip(given, known, strict=False)):
            if found := _unknown(one, other, f"{where}[{number}]"):
                return found
    return ""
