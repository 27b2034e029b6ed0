"""Which fields two specifications differ in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class FieldChange(Struct, frozen=True):
    """A field whose value differs; values are JSON text, empty for one that is not set."""

    #: Names from the outermost object, joined by dots.
    path: str
    before: str
    after: str


def field_changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[FieldChange]:
    """Return the fields that differ, in the order of their paths. Lists are compared as a whole.

    Args:
        before: a specification as JSON.
        after: the other one.
    """
    return sorted(_changes("", before, after), key=lambda change: change.path)


def _changes(prefix: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[FieldChange]:
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(f"{prefix}{name}.", old, new)
        else:
            yield FieldChange(f"{prefix}{name}", _text(old), _text(new))


def _text(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
