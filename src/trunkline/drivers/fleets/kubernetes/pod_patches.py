"""Merges a pipeline's ``pod_spec`` into a pod and applies its ``pod_patch``. Pure.

``merge`` follows RFC 7386, except that lists whose members have a name are merged by name, as in Kubernetes'
strategic merge: RFC 7386 alone would replace all containers to change one of them. ``apply`` follows RFC 6902
and uses the library jsonpatch. Neither function changes its arguments.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import jsonpatch

from trunkline.errors import InvalidArgument
from trunkline.model.pod_rules import check_operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Lists of a pod spec that are merged by name, and the field that holds the name (as in Kubernetes' types).
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}


def merge(target: Any, patch: Any, field: str = "") -> Any:
    """Return ``target`` with ``patch`` merged over it; null deletes.

    Args:
        target: the JSON value to patch; it is not changed.
        patch: the JSON value to merge.
        field: name of the field that holds ``target``, which decides how lists are merged; empty at the top.

    Members of a list that has a merge key are merged by name and new ones are appended; a member with
    ``"$patch": "delete"`` removes the one of its name. A list with members without a name replaces.

    >>> merge({"containers": [{"name": "user", "image": "a"}]}, {"containers": [{"name": "user", "tty": True}]})
    {'containers': [{'name': 'user', 'image': 'a', 'tty': True}]}
    """
    if isinstance(patch, dict):
        merged = dict(target) if isinstance(target, dict) else {}
        for key, value in patch.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = merge(merged.get(key), value, key)
        return merged
    key = _MERGE_KEYS.get(field)
    if key is not None and isinstance(patch, list) and isinstance(target, list):
        named = all(isinstance(member, dict) and key in member for member in patch)
        if named:
            return _merge_list(target, patch, key)
    return copy.deepcopy(patch)


def _merge_list(target: list[Any], patch: list[dict[str, Any]], key: str) -> list[Any]:
    merged = list(target)
    for member in patch:
        at = next(
            (i for i, old in enumerate(merged) if isinstance(old, dict) and old.get(key) == member[key]), None
        )
        if member.get("$patch") == "delete":
            if at is not None:
                del merged[at]
        elif at is None:
            merged.append(merge(None, member))
        else:
            merged[at] = merge(merged[at], member)
    return merged


def apply(document: Any, operations: Sequence[Mapping[str, Any]], where: str) -> Any:
    """Return ``document`` after the operations of a JSON patch.

    Args:
        document: the JSON value to patch; it is not changed.
        operations: the operations, as in RFC 6902.
        where: the spec field that holds the operations, for error messages.

    Raises:
        InvalidArgument: an operation is malformed or does not fit the document.
    """
    result = copy.deepcopy(document)
    for number, operation in enumerate(operations):
        place = f"{where}[{number}]"
        check_operation(operation, place)
        try:
            result = jsonpatch.apply_patch(result, [operation], in_place=True)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise InvalidArgument(
                f"{place} cannot be applied to the pod: {_reason(operation, error)}; correct the operation"
            ) from error
    return result


def _reason(operation: Mapping[str, Any], error: Exception) -> str:
    """Return why an operation does not fit, without the pod, which the library's messages contain."""
    places = " or ".join(f'"{operation[field]}"' for field in ("from", "path") if field in operation)
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        return f"{places} is not {operation['value']!r}"
    if isinstance(error, jsonpatch.JsonPatchPathNotFound):
        return f"{places} does not exist"
    message = str(error).partition(" in {")[0]
    return f"{operation['op']} {places}: {message}"
