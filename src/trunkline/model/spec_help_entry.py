"""The entry of a field in the tables of ``spec_help``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

PODS_ONLY = "Kubernetes only; on other fleets the server warns that it has no effect."


class Entry(NamedTuple):
    """What a field of a message means. ``spec_help.Field`` describes each part."""

    summary: str
    #: The object that holds the field, with a value of it; within a spec it is valid.
    example: Mapping[str, object]
    details: str = ""
    #: In words, when it is not the default of the wire.
    default: str = ""
    unit: str = ""
    range: str = ""
    fleets: str = ""
    #: The object that holds the field, with a value that is refused.
    mistake: Mapping[str, object] | None = None
    since: str = "0.1.0"
