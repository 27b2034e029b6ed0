"""Leases of chunk writers.

A writer may name a chunk that it found in the index long before its own transaction records the name. Its
session says that it is still at work: nothing that was in the index when the oldest live session started may
be collected. A session lives while its counter moves; whoever judges it measures the time since it last saw
the counter change with its own monotonic clock (docs/design/states.md, "Leases").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import write_session

if TYPE_CHECKING:
    from collections.abc import Sequence


class SessionRow(Struct, frozen=True):
    """A chunk writer at work."""

    id: str
    #: Moves with each renewal.
    counter: int
    #: Seconds since the epoch; for people and for comparison with a pack's ``created_at``, not for judging the lease.
    started: float


_ADD = Query(write_session.insert())
_RENEW = Query(
    write_session.update()
    .where(write_session.c.id == sa.bindparam("session_id"))
    .values(counter=write_session.c.counter + 1)
)
_END = Query(write_session.delete().where(write_session.c.id == sa.bindparam("session_id")))


def begin(conn: sa.Connection, session_id: str, now: float) -> None:
    """Record that a writer starts.

    Args:
        conn: a write transaction.
        session_id: 32 hexadecimal digits, the writer's own.
        now: seconds since the epoch.
    """
    _ADD.run(conn, id=session_id, counter=0, started=now)


def renew(conn: sa.Connection, session_id: str) -> bool:
    """Move a session's counter; False when the session was ended, so that its writer must start again."""
    return bool(_RENEW.run(conn, session_id=session_id))


def end(conn: sa.Connection, session_ids: Sequence[str]) -> None:
    """Forget sessions: their writers are done, or silent for longer than a lease."""
    for session_id in session_ids:
        _END.run(conn, session_id=session_id)


def list_all(conn: sa.Connection) -> list[SessionRow]:
    """Return all sessions, the oldest first."""
    columns = (write_session.c[name] for name in SessionRow.__struct_fields__)
    query = sa.select(*columns).order_by(write_session.c.started, write_session.c.id)
    return [SessionRow(*row) for row in conn.execute(query)]
