"""Converts packs: those that the database holds become objects, those that are objects get a table.

Both need the chunks of a pack, which the chunk index does not find by itself: an index over it exists meanwhile.
Each step is repeated after an interruption without harm: a pack that was stored and not recorded is an object that
nothing refers to, a table that was stored and not counted is there already.
"""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trunkline.errors import AlreadyExists, DataLoss
from trunkline.formats import detached_tables
from trunkline.meta import conversion
from trunkline.pps.conversion.progress import Progress
from trunkline.runtime import cancellation, failpoints
from trunkline.storage.chunks import ChunkId
from trunkline.storage.open_pack import OpenPack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from trunkline.meta.conversion import State
    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx
    from trunkline.ports import ObjectStore

log = logging.getLogger("trunkline.pps.conversion")

#: Chunk id, offset, stored bytes, length, codec.
_Row = tuple[bytes, int, int, int, int]

#: Packs of the database read at a time; each has 32 KiB at most.
_INLINE_PAGE = 256
#: Tables written at a time, their bytes, and threads that write them: each is a round trip of a bucket.
_TABLES_PAGE = 64
_TABLES_BYTES = 64 << 20
_THREADS = 8


def convert(db: Database, objects: ObjectStore, state: State, now: float) -> None:
    """Convert all packs of format 1.

    Args:
        db: the database.
        objects: the object store.
        state: how far an interrupted conversion is.
        now: seconds since the epoch.
    """
    if state.packs_done:
        return
    log.info("converting to format 2: indexing the chunks by pack", extra={"action": "conversion"})
    conversion.index_packs(db.engine)
    progress = Progress("packs", db.read_blocking(conversion.count_packs, state))
    _move_inline(db, objects, progress, now)
    _write_tables(db, objects, state, progress)
    progress.end()
    db.run_blocking(_end, replace(state, packs_done=True))


def _end(tx: Tx, state: State) -> None:
    conversion.end_packs(tx.conn, state)


def _chunks(db: Database, pack: int) -> Iterator[_Row]:
    """Yield the chunks of a pack in the order of their bytes; one of tiny files has millions."""
    start = 0
    while rows := db.read_blocking(conversion.chunks_of, pack, start):
        yield from rows
        start = rows[-1][1] + rows[-1][2]


class _Copy:
    """A pack of the object store that packs of the database are copied into."""

    def __init__(self) -> None:
        self.pack = OpenPack()
        #: The packs that are copied, and their bytes.
        self.numbers: list[int] = []
        self.old_bytes = 0
        #: Offset in this pack, and id, of each chunk.
        self.places: list[tuple[int, bytes]] = []

    def add(self, number: int, body: bytes, rows: Iterable[_Row]) -> None:
        """Add the chunks of a pack of the database as they are stored; a read checks them.

        Args:
            number: of the pack.
            body: the pack.
            rows: its chunks as the chunk index has them.
        """
        self.numbers.append(number)
        self.old_bytes += len(body)
        for id, offset, stored, length, codec in rows:
            self.places.append((self.pack.layout.size, id))
            # Of the content, the layout takes the length only.
            piece = body[offset : offset + stored]
            self.pack.take([ChunkId(id)], [bytes(length)], [codec], [piece])


def _move_inline(db: Database, objects: ObjectStore, progress: Progress, now: float) -> None:
    """Move the packs of the database into packs of the object store."""
    while packs := db.read_blocking(conversion.inline_packs, _INLINE_PAGE):
        copy = _Copy()
        for number, body in packs:
            cancellation.check()
            copy.add(number, body, _chunks(db, number))
            progress.step()
        stored_bytes = copy.pack.layout.stored_bytes - copy.old_bytes
        if copy.pack.parts:
            copy.pack.finish(verify=False)  # a read checks them
            objects.put(copy.pack.key, copy.pack.parts)
        failpoints.reach("conversion.pack_stored")
        db.run_blocking(_record_copy, copy, stored_bytes, now)
        failpoints.reach("conversion.pack_recorded")


def _record_copy(tx: Tx, copy: _Copy, stored_bytes: int, now: float) -> None:
    pack = (copy.pack.key, copy.pack.layout.size)
    conversion.move_inline(tx.conn, copy.numbers, pack, copy.places, stored_bytes, now)


def _write_tables(db: Database, objects: ObjectStore, state: State, progress: Progress) -> None:
    """Write the tables of the packs that are objects."""

    def write(name: str, data: bytes) -> None:
        with contextlib.suppress(AlreadyExists):  # written before an interruption
            objects.put(detached_tables.key_of(name), [data])

    with ThreadPoolExecutor(_THREADS, "tables") as pool:
        while packs := db.read_blocking(conversion.packs_after, state, _TABLES_PAGE):
            writes: list[Future[None]] = []
            waiting = 0
            for number, name, size in packs:
                cancellation.check()
                try:
                    data = detached_tables.encode(name, size, _chunks(db, number))
                except DataLoss as error:
                    log.error("%s", error.message, extra={"action": "conversion_damage", "pack": name})
                else:
                    writes.append(pool.submit(write, name, data))
                    waiting += len(data)
                if waiting >= _TABLES_BYTES:
                    _wait(writes)
                    waiting = 0
                progress.step()
            _wait(writes)
            failpoints.reach("conversion.tables_stored")
            state = replace(state, tables=packs[-1][0])
            db.run_blocking(_record_state, state)
            failpoints.reach("conversion.tables_recorded")


def _wait(writes: list[Future[None]]) -> None:
    """Wait until tables are stored; raise what storing one raised."""
    while writes:
        writes.pop().result()


def _record_state(tx: Tx, state: State) -> None:
    conversion.put_state(tx.conn, state)
