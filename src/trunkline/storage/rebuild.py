"""Reads the chunk index from the packs of a store alone: their ends say which chunks are where.

Used when the database is lost. It lists the packs, reads the end of each (one range; a second one where a pack has
more than 1,500 chunks), many at once, and yields what the chunk index records of a pack. A pack of format 1 has its
table in an object of its own. It reads no chunks, falls back to no other source, and changes nothing.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import DataLoss, FailedPrecondition, NotFound
from trunkline.formats import detached_tables
from trunkline.formats.pack_format import read_table, table_rows
from trunkline.storage.chunks import PackRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.ports import ObjectStore

#: Prefix of the keys of packs.
PACKS = "packs/"
#: Ends that are read at a time: each is a round trip of a bucket, and a table of 2 MiB where files are small.
READS = 16


class UnreadablePack(NamedTuple):
    """A pack whose end cannot be read; its chunks are not in the index that is built."""

    pack: str
    #: What is wrong with it and what to do.
    message: str


def pack_records(objects: ObjectStore) -> Iterator[PackRecord | UnreadablePack]:
    """Yield what the chunk index records of each pack, or why it cannot be known, in no order.

    A chunk may be in several packs; any of them will do. A pack that is deleted meanwhile is left out.

    Raises:
        Unavailable: the store does not answer; what was yielded before holds.
    """
    pool = ThreadPoolExecutor(READS, "rebuild")
    try:
        packs = objects.list(PACKS)
        coming = deque(pool.submit(_read, objects, *pack) for pack in islice(packs, READS))
        while coming:
            record = coming.popleft().result()
            coming.extend(pool.submit(_read, objects, *pack) for pack in islice(packs, 1))
            if record is not None:
                yield record
    finally:
        pool.shutdown(cancel_futures=True)


def _read(objects: ObjectStore, pack: str, size: int) -> PackRecord | UnreadablePack | None:
    """Return the record of a pack of so many bytes, why it cannot be read, or None if it is gone."""
    try:
        table = _read_table(objects, pack, size)
    except NotFound:
        return None
    except (DataLoss, FailedPrecondition) as error:
        return UnreadablePack(pack, error.message)
    stored = length = 0
    for _, _, own, whole, _ in table_rows(table):
        stored += own
        length += whole
    return PackRecord(pack, size, table, stored_bytes=stored, chunk_bytes=length)


def _read_table(objects: ObjectStore, pack: str, size: int) -> bytes:
    """Read the table at the end of a pack, or the object with the table of a pack of format 1."""
    try:
        return read_table(pack, size, partial(objects.get, pack))
    except DataLoss:
        try:
            detached = objects.get(detached_tables.key_of(pack))
        except NotFound:
            detached = None
        if detached is None:
            raise
    return detached_tables.read(pack, size, detached)
