"""Leases of chunk writers: they tell a garbage collector of chunks which writes are in progress.

A writer that finds a chunk in the index stores nothing and refers to it later, in its own transaction. Until
then no row refers to the chunk, so a collector would take it for garbage. Every writer that is open for longer
than a tick therefore has a row (``meta.write_sessions``), which this service creates, renews and removes for
all writers of the server in one transaction per tick. Short writes, which are nearly all, cost nothing.

A collector keeps to three rules (docs/design/states.md, Write sessions): it deletes a chunk only after two
ticks and after every session that was there when it chose the chunk has ended or lost its lease, and it ends
the sessions whose lease ran out before it deletes. A writer whose session was ended fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import write_sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

#: Seconds between two renewals.
TICK = 5.0
#: Seconds that a session outlives its writer: the transaction that refers to the chunks follows the writer's end.
LINGER = 600.0
#: Seconds without a renewal after which a session's lease has run out.
LEASE = 60.0


class _Session(Struct):
    """What this service records of a writer."""

    #: Not after the writer's start, seconds since the epoch.
    started: float
    #: Whether there is a row.
    recorded: bool = False
    #: When the writer was first seen closed, seconds on the monotonic clock.
    closed: float | None = None


class WriteSessions:
    """The sessions of one server's writers. Used by one thread at a time.

    Args:
        versions: the store whose writers these are.
    """

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._sessions: dict[str, _Session] = {}

    async def run(self) -> None:
        """Renew until cancelled."""
        await asyncio.to_thread(self.end_earlier)
        while True:
            await asyncio.sleep(TICK)
            await asyncio.to_thread(self.renew)

    def end_earlier(self) -> None:
        """End the sessions of servers before this one. Blocks; for the active server only."""

        def end(write: WriteTransaction) -> None:
            rows = write_sessions.list_all(write.conn)
            write_sessions.end(write.conn, [row.id for row in rows if row.id not in self._sessions])

        self._versions.write(end)

    def renew(self) -> None:
        """Record writers that are open since the last call, renew the others and end what has ended. Blocks."""
        clock = self._versions.clock
        now = clock.monotonic()
        writers = {writer.session: writer for writer in self._versions.chunks.open_writers()}
        lasting = [id for id in writers if id in self._sessions and not self._sessions[id].recorded]
        renewed = [id for id, session in self._sessions.items() if session.recorded]
        for id in writers.keys() - self._sessions.keys():
            self._sessions[id] = _Session(started=clock.now() - TICK)
        for id in self._sessions.keys() - writers.keys():
            session = self._sessions[id]
            session.closed = now if session.closed is None else session.closed
        ended = [id for id, session in self._sessions.items() if _is_over(session, now)]
        if lasting or renewed or ended:
            lost = self._versions.write(self._record, lasting, set(renewed).difference(ended), ended)
            for id in lost & writers.keys():
                writers[id].fail(
                    errors.Aborted(
                        f"write session {id} was ended because it was not renewed for {LEASE:.0f} s; write again"
                    )
                )
        for id in lasting:
            self._sessions[id].recorded = True
        for id in ended:
            del self._sessions[id]

    def _record(
        self, write: WriteTransaction, begun: Iterable[str], renewed: Iterable[str], ended: list[str]
    ) -> set[str]:
        """Write one tick; return the sessions that a collector has ended."""
        for id in begun:
            write_sessions.begin(write.conn, id, self._sessions[id].started)
        lost = {id for id in renewed if not write_sessions.renew(write.conn, id)}
        write_sessions.end(write.conn, [id for id in ended if self._sessions[id].recorded])
        return lost


def _is_over(session: _Session, now: float) -> bool:
    """Return whether a session is no longer needed."""
    if session.closed is None:
        return False
    return not session.recorded or now - session.closed > LINGER
