"""The chunk index of ``storage`` in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import chunks
from trunkline.storage.chunks import ChunkId, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx
    from trunkline.storage.chunks import PackRecord


class DatabaseChunkIndex:
    """Returns where chunks are stored. May be used from any thread but the database's own writer.

    Args:
        db: the database.
        now: returns seconds since the epoch.
    """

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return the locations of those chunks that are recorded."""
        rows = self._db.read_blocking(chunks.find, ids)
        return {ChunkId(row[0]): Location(*row[1:]) for row in rows}

    def record(self, pack: PackRecord) -> None:
        """Record a pack whose bytes are durable, in a transaction of its own."""

        def add(tx: Tx) -> None:
            chunks.add(tx.conn, [pack], 0, self._now())

        self._db.run_blocking(add)
