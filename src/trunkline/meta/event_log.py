"""The event log: a row for the events of a transaction (docs/design/events.md, Where events are written).

The one writer numbers events itself. Numbers have no gaps and follow the order in which transactions were committed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence  # noqa: TC003 a field
from typing import NamedTuple

import sqlalchemy as sa

from trunkline.meta.query import Query, like_inside
from trunkline.meta.schema import event_batch
from trunkline.model.events import BEGINNING, Event, Position, from_text

#: Bytes that a row takes beside its body.
_ROW_BYTES = 64
#: Events of a row; what removes many commits at once takes several.
_ROW_EVENTS = 256
#: Rows read at a time.
_PAGE = 250
#: No event has a larger number.
LARGEST = 2**63 - 1


class Batch(NamedTuple):
    """Events that follow each other, written by one server."""

    epoch: str
    #: Number of the first one.
    first: int
    events: Sequence[Event]

    @property
    def last(self) -> Position:
        """The position of the last one."""
        return Position(self.epoch, self.first + len(self.events) - 1)


_NEWEST = Query(sa.select(event_batch.c.id, event_batch.c.stored).order_by(event_batch.c.id.desc()).limit(1))
_NEWEST_POSITION = Query(
    sa.select(event_batch.c.epoch, event_batch.c.id).order_by(event_batch.c.id.desc()).limit(1)
)
_ADD = Query(event_batch.insert())
_FROM = Query(
    sa.select(event_batch.c.id, event_batch.c.epoch, event_batch.c.body)
    .where(event_batch.c.id >= sa.bindparam("number"))
    .order_by(event_batch.c.id)
    .limit(_PAGE)
)
_UP_TO = Query(
    sa.select(event_batch.c.id, event_batch.c.epoch, event_batch.c.body)
    .where(event_batch.c.id <= sa.bindparam("number"))
    .order_by(event_batch.c.id.desc())
    .limit(_PAGE)
)
_TIME_FROM = Query(
    sa.select(event_batch.c.id, event_batch.c.at)
    .where(event_batch.c.id >= sa.bindparam("number"))
    .order_by(event_batch.c.id)
    .limit(1)
)
_OLDEST = Query(
    sa.select(event_batch.c.id, event_batch.c.at, event_batch.c.stored)
    .order_by(event_batch.c.id)
    .limit(sa.bindparam("rows"))
)
_WITH = Query(
    sa.select(event_batch.c.body)
    .where(*(event_batch.c.body.like(sa.bindparam(name), escape="\\") for name in ("first", "second")))
    .order_by(event_batch.c.id.desc())
    .limit(_PAGE)
)
_REMOVE = Query(event_batch.delete().where(event_batch.c.id <= sa.bindparam("up_to")))


class EventWriter:
    """Appends to the log. Used by the thread that writes to the database."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        #: Number and ``stored`` of the newest row; None while they are not certain.
        self._newest: tuple[int, int] | None = None
        self._appended: tuple[int, int] | None = None

    def append(self, conn: sa.Connection, events: Sequence[Event]) -> Batch:
        """Add the events of a transaction. Unless ``committed`` follows, the next ``append`` reads where to go on.

        Args:
            conn: the write transaction.
            events: at least one, in their order.
        """
        newest = self._newest
        if newest is None:
            row = _NEWEST.first(conn)
            newest = (row[0], row[1]) if row is not None else (0, 0)
        number, stored = newest
        first = number + 1
        self._newest = None
        for start in range(0, len(events), _ROW_EVENTS):
            row_events = events[start : start + _ROW_EVENTS]
            body = "\n".join([event.text for event in row_events])
            number += len(row_events)
            stored += len(body) + _ROW_BYTES
            _ADD.send(conn, id=number, epoch=self._epoch, at=row_events[-1].at, stored=stored, body=body)
        self._appended = number, stored
        return Batch(self._epoch, first, events)

    def committed(self) -> None:
        """Go on from the last ``append``, whose transaction is durable."""
        self._newest, self._appended = self._appended, None


def newest(conn: sa.Connection) -> Position:
    """Return the position of the newest event."""
    row = _NEWEST_POSITION.first(conn)
    return Position(*row) if row is not None else BEGINNING


def last(conn: sa.Connection, size: int) -> list[Batch]:
    """Return the newest events, oldest first: those of so many bytes, and the rest of a page."""
    batches: list[Batch] = []
    number, length = LARGEST, 0
    while length < size and (rows := _UP_TO.rows(conn, number=number)):
        for row in rows:
            batches.append(_batch(*row))
            length += len(row[2]) + _ROW_BYTES
        number = batches[-1].first - 1
    return batches[::-1]


def page(conn: sa.Connection, number: int) -> list[Batch]:
    """Return events from the row of the one with a number on, oldest first; none behind the newest."""
    return [_batch(*row) for row in _FROM.rows(conn, number=number)]


def first_from(conn: sa.Connection, at: float) -> int:
    """Return the lowest number whose event, or a later one of its row, happened at that time or later.

    Found by bisection: events have the order of their times. Where the clock was set back, the answer is one of the
    numbers around it.
    """
    row = _NEWEST.first(conn)
    low, high = 1, (row[0] if row is not None else 0) + 1
    while low < high:
        middle = (low + high) // 2
        following = _TIME_FROM.first(conn, number=middle)
        if following is None or following[1] >= at:
            high = middle
        else:
            low = int(following[0]) + 1
    return low


def with_texts(conn: sa.Connection, first: str, second: str) -> Iterator[Event]:
    """Yield the events of rows that contain two texts, newest first: those of the newest ``_PAGE`` such rows.

    It looks at the whole log: for what people ask for now and then.

    Args:
        conn: a snapshot.
        first: a part of an event's JSON.
        second: another part, of the same event or of one in its row.
    """
    for (body,) in _WITH.rows(conn, first=like_inside(first), second=like_inside(second)):
        for line in reversed(body.split("\n")):
            if first in line and second in line:
                yield from_text(line)


def remove_old(conn: sa.Connection, before: float, size: int, rows: int) -> int:
    """Delete the oldest rows; the newest one always stays, because numbers go on from it.

    Args:
        conn: a write transaction.
        before: rows before this time go, seconds since the epoch.
        size: bytes of the newest rows that stay.
        rows: the most rows to delete.

    Returns:
        How many were deleted.
    """
    newest_row = _NEWEST.first(conn)
    if newest_row is None:
        return 0
    up_to = 0
    for number, at, stored in _OLDEST.rows(conn, rows=rows):
        if number == newest_row[0] or (at >= before and stored > newest_row[1] - size):
            break
        up_to = number
    return _REMOVE.run(conn, up_to=up_to) if up_to else 0


def _batch(number: int, epoch: str, body: str) -> Batch:
    """Return the events of a row."""
    stored = [from_text(line) for line in body.split("\n")]
    return Batch(epoch, number - len(stored) + 1, stored)
