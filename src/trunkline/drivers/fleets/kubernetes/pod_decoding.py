"""Rendered pods as values of the library, which finds what no pod has. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from lightkube.resources.core_v1 import Pod

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any


def as_pod(rendered: dict[str, Any], *, strictly: bool = True) -> Pod:
    """Return a rendered pod as the library's value.

    Args:
        rendered: the pod as JSON.
        strictly: whether to look for fields that no pod has, which the library drops.

    Raises:
        InvalidArgument: something in it is not as pods are.
    """
    try:
        pod = Pod.from_dict(rendered)
    except msgspec.ValidationError as error:
        raise InvalidArgument(
            f"pod_spec or pod_patch makes a pod that Kubernetes does not know: {error}; correct it"
        ) from error
    if strictly and (unknown := _unknown(rendered, pod.to_dict(), "")):
        raise InvalidArgument(
            f'pod_spec or pod_patch sets "{unknown}", which no pod has; correct its name or remove it'
        )
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
