"""The chunk index as storage asks for it, answered by the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import chunks
from trunkline.storage.chunks import ChunkId, Location

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.meta.database import Database


class DatabaseChunkIndex:
    """Says where chunks lie. May be asked from any thread but the database's own writer."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return the places of those chunks that are known; the others are left out."""
        found = self._db.read_blocking(chunks.find, ids)
        return {ChunkId(row[0]): Location(*row[1:]) for row in found}
