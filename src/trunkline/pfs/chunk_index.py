"""The chunk index of ``storage`` in the database, with the chunks of bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import chunks
from trunkline.pfs.bundles import Bundle, RecentBundles
from trunkline.runtime import failpoints
from trunkline.storage.chunks import TRANSACTION_CHUNKS, ChunkId, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx
    from trunkline.meta.query import Row
    from trunkline.storage.chunks import PackRecord

#: Bundles read at a time when a chunk is missing; after a crash there may be some thousands.
_PAGE = 256


class DatabaseChunkIndex:
    """Returns where chunks are stored. May be used from any thread but the database's own writer.

    Args:
        db: the database.
        now: returns seconds since the epoch.
    """

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now
        #: The bundles that are in memory.
        self.recent = RecentBundles()

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return the locations of those chunks that are recorded."""
        places: dict[ChunkId, Location] = {}
        missing = list(ids)
        while missing:
            copied = self.recent.copied
            self._find(missing, places)
            missing = [id for id in missing if id not in places]
            if self.recent.copied == copied:
                break
            # Bundles moved while they were looked for: what was not in memory yet may be in the index by now.
        return places

    def _find(self, ids: Sequence[ChunkId], places: dict[ChunkId, Location]) -> None:
        """Look for chunks in memory, in the database, and in bundles that are not in memory yet."""
        places.update(self.recent.find(ids))
        missing = [id for id in ids if id not in places] if places else ids
        while missing:
            rows, bundles = self._db.read_blocking(_look, missing, self.recent.newest)
            places.update((ChunkId(row[0]), Location(*row[1:])) for row in rows)
            if bundles:
                fresh = self.recent.add(bundles)
                places.update((id, fresh[id]) for id in missing if id in fresh)
            missing = [id for id in missing if id not in places]
            places.update(self.recent.find(missing))  # another thread may have read a bundle meanwhile
            if len(bundles) < _PAGE:
                return

    def record(self, pack: PackRecord) -> None:
        """Record a pack whose bytes are durable, in transactions between which the database serves others.

        Each takes the next range of the sorted ids, so it changes neighbouring pages of the index.
        """
        if pack.body is not None or len(pack) <= TRANSACTION_CHUNKS:
            self._db.run_blocking(lambda tx: chunks.add(tx.conn, [pack], 0, self._now()))
            return
        rows = chunks.sorted_entries(pack)
        number = self._db.run_blocking(lambda tx: chunks.add_pack(tx.conn, pack, self._now()))
        for start in range(0, len(rows), TRANSACTION_CHUNKS):
            self._db.run_blocking(
                _add_entries, number, rows[start : start + TRANSACTION_CHUNKS], pack.replaces
            )
            failpoints.reach("chunk_index.partly_recorded")


def _add_entries(tx: Tx, pack_id: int, rows: Sequence[Row], replaces: frozenset[ChunkId]) -> None:
    chunks.add_entries(tx.conn, pack_id, rows, replaces)


def _look(conn: sa.Connection, ids: Sequence[ChunkId], newest: int) -> tuple[list[Row], list[Bundle]]:
    """Look chunks up, and bundles that are newer than ``newest``, in one snapshot."""
    rows = chunks.find(conn, ids)
    if len(rows) == len(ids):
        return rows, []
    return rows, [Bundle(*row) for row in chunks.bundles(conn, newest, _PAGE)]
