"""Events: what changed, as one JSON object each; positions in their log; which events a watcher admits. All pure.

docs/design/events.md describes the format.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Characters of a text in an event.
TEXT = 1_000
_POSITION = re.compile(r"([0-9a-f]{8})-(0|[1-9][0-9]{0,17})")


class EventKind(StrEnum):
    """What an event is about."""

    REPO = "repo"
    COMMIT = "commit"
    PIPELINE = "pipeline"
    JOB = "job"
    DATUM = "datum"
    WORKER = "worker"
    DECISION = "decision"
    #: Only for requests that name it.
    LOG = "log"


_KINDS = frozenset(EventKind)
#: One object for all filters: an empty set takes 216 bytes.
_ANY: frozenset[Any] = frozenset()


class Position(Struct, frozen=True):
    """A place in the log: after the event with this number."""

    #: Of the server that wrote the event, so that numbers of a database that was restored are not mistaken.
    epoch: str
    number: int

    def __str__(self) -> str:
        """Return the position as clients see it, which is the id of its event."""
        return f"{self.epoch}-{self.number}"


#: Before the first event of any log.
BEGINNING = Position("00000000", 0)


def parse_position(text: str) -> Position:
    """Return a position that a client sent.

    Raises:
        InvalidArgument: it is not the id of an event.
    """
    if text == "0":
        return BEGINNING
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidArgument(f'"{text[:100]}" is not the id of an event; send the last id that was received')
    return Position(match[1], int(match[2]))


class Event(NamedTuple):
    """An event before it has a number."""

    kind: EventKind
    #: Seconds since the epoch.
    at: float
    project: str
    #: The object as JSON in ASCII, in one line.
    text: str
    #: What filters ask for; empty where an event has none.
    repo: str = ""
    pipeline: str = ""
    job: str = ""


def event(kind: EventKind, at: float, project: str, **fields: Any) -> Event:
    """Make an event.

    Args:
        kind: what it is about.
        at: seconds since the epoch.
        project: the project of what changed.
        fields: of its kind; texts are cut.
    """
    for name in _TEXTS:
        text = fields.get(name)
        if text and len(text) > TEXT:
            fields[name] = f"{text[: TEXT - 1]}…"
    return _of(
        kind, fields, _encode({"kind": kind.value, "at": at, "project": project, **fields}), at, project
    )


def from_text(text: str) -> Event:
    """Return the event of a stored line."""
    fields = json.loads(text)
    return _of(EventKind(fields["kind"]), fields, text, fields["at"], fields["project"])


def _of(kind: EventKind, fields: dict[str, Any], text: str, at: float, project: str) -> Event:
    job = fields.get("commit" if kind is EventKind.COMMIT else "job", "")
    return Event(kind, at, project, text, fields.get("repo", ""), fields.get("pipeline", ""), job)


#: Fields that hold texts of any length.
_TEXTS = ("error", "reason", "sentence", "description")
# In ASCII, and without spaces; line breaks in texts are escaped, so that a line holds an object.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events a watcher admits. An empty set admits every value, that of kinds all but ``LOG``."""

    kinds: frozenset[EventKind] = _ANY
    projects: frozenset[str] = _ANY
    repos: frozenset[str] = _ANY
    pipelines: frozenset[str] = _ANY
    jobs: frozenset[str] = _ANY

    @classmethod
    def parse(cls, *, kinds: Sequence[str] = (), **sets: Sequence[str]) -> EventFilter:
        """Return the filter that a client asks for.

        Args:
            kinds: names of kinds.
            sets: the other fields.

        Raises:
            InvalidArgument: a kind does not exist.
        """
        for kind in kinds:
            if kind not in _KINDS:
                raise InvalidArgument(
                    f'"{kind[:100]}" is not a kind of events; use one of {", ".join(EventKind)}'
                )
        values = {name: frozenset(entries) for name, entries in sets.items() if entries}
        return cls(kinds=frozenset(map(EventKind, kinds)) if kinds else _ANY, **values)

    def admits(self, event: Event) -> bool:
        """Return whether a watcher gets an event."""
        return (
            (event.kind in self.kinds if self.kinds else event.kind is not EventKind.LOG)
            and (not self.projects or event.project in self.projects)
            and (
                not (self.repos or self.pipelines)
                or event.repo in self.repos
                or event.pipeline in self.pipelines
            )
            and (not self.jobs or event.job in self.jobs)
        )

    def keys(self) -> Iterator[str]:
        """Yield the keys under which it is found: each event that it admits has one of them (``keys_of``)."""
        if self.jobs:
            yield from (f"job:{job}" for job in self.jobs)
        elif self.repos or self.pipelines:
            yield from (f"repo:{repo}" for repo in self.repos)
            yield from (f"pipeline:{pipeline}" for pipeline in self.pipelines)
        elif self.projects:
            yield from (f"project:{project}" for project in self.projects)
        else:
            yield ""


def keys_of(event: Event) -> Iterator[str]:
    """Yield the keys of an event: each filter that admits it is found under one of them."""
    yield ""
    yield f"project:{event.project}"
    if event.repo:
        yield f"repo:{event.repo}"
    if event.pipeline:
        yield f"pipeline:{event.pipeline}"
    if event.job:
        yield f"job:{event.job}"
