"""What a pipeline's ``pod_spec`` and ``pod_patch`` do to a pod: merging and patching JSON. Pure.

``merge`` is RFC 7386, with one thing from Kubernetes' strategic merge: lists whose members have a name are
merged by it. A merge that replaces all containers to change one of them serves nobody. ``apply`` is RFC 6902.
Neither changes its arguments.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.model.pod_rules import check_operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Lists of a pod spec that are merged, and the field that names their members (as in Kubernetes' types).
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
        document: what is patched; it stays as it is.
        operations: as RFC 6902 has them.
        where: the field that they come from, for messages.

    Raises:
        InvalidArgument: an operation is malformed or does not fit the document; the message says which.
    """
    result = copy.deepcopy(document)
    for number, operation in enumerate(operations):
        place = f"{where}[{number}]"
        check_operation(operation, place)
        try:
            result = _one(result, operation)
        except _Misfit as misfit:
            path = operation["from"] if misfit.source else operation["path"]
            raise InvalidArgument(
                f'{place} ({operation["op"]}) does not fit: "{path}" {misfit}; correct its path'
            ) from None
    return result


class _Misfit(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        #: The fault is in "from".
        self.source = False


def _one(document: Any, operation: Mapping[str, Any]) -> Any:
    op, path = operation["op"], _tokens(operation["path"])
    if op == "test":
        if _get(document, path) != operation["value"]:
            raise _Misfit(f"is not {operation['value']!r}")
        return document
    if op in ("move", "copy"):
        source = _tokens(operation["from"])
        try:
            value = copy.deepcopy(_get(document, source))
            if op == "move":
                if path[: len(source)] == source and path != source:
                    raise _Misfit("cannot be moved into itself")
                document = _remove(document, source)
        except _Misfit as misfit:
            misfit.source = True
            raise
        return _add(document, path, value)
    if op == "remove":
        return _remove(document, path)
    if op == "replace":
        _get(document, path)
        if not path:
            return copy.deepcopy(operation["value"])
        parent, last = _get(document, path[:-1]), path[-1]
        parent[_index(parent, last) if isinstance(parent, list) else last] = copy.deepcopy(operation["value"])
        return document
    return _add(document, path, copy.deepcopy(operation["value"]))


def _tokens(path: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _get(document: Any, path: Sequence[str]) -> Any:
    for token in path:
        if isinstance(document, dict):
            if token not in document:
                raise _Misfit("is not there")
            document = document[token]
        elif isinstance(document, list):
            document = document[_index(document, token)]
        else:
            raise _Misfit("goes through a plain value")
    return document


def _index(members: list[Any], token: str, extra: int = 0) -> int:
    if not token.isascii() or not token.isdigit() or (len(token) > 1 and token[0] == "0"):
        raise _Misfit(f'has "{token[:40]}" where the number of a list\'s member is wanted')
    if int(token) >= len(members) + extra:
        raise _Misfit(f"is beyond the end of a list of {len(members)}")
    return int(token)


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, 1), value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _Misfit("goes through a plain value")
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        raise _Misfit("is the whole document, which cannot be removed")
    _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[_index(parent, last) if isinstance(parent, list) else last]
    return document
