"""The chunks of bundles: found in memory, and copied into packs of the object store.

A bundle is a small pack as a row of the database (docs/design/format.md, Packs). Its chunks have no rows in the chunk
index, because each row falls on a page of its own there and would cost more of the database's log than the chunk. The
bundles of the last seconds are few, so their tables are in memory; a look-up that misses a chunk asks the database for
bundles that are newer than the last one in memory.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trunkline.errors import DataLoss
from trunkline.formats import codecs, pack_format
from trunkline.storage.chunks import ChunkId, Location
from trunkline.storage.open_pack import OpenPack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.ports import ObjectStore
    from trunkline.storage.chunks import PackRecord

log = logging.getLogger("trunkline.pfs.bundles")


class Bundle(Struct, frozen=True):
    """A bundle as the database holds it."""

    number: int
    pack: str
    body: bytes

    def locations(self) -> dict[ChunkId, Location] | None:
        """Return where each chunk is; None when the table was changed in the database."""
        body = self.body
        try:
            table = pack_format.read_table(
                self.pack, len(body), lambda start, length: body[start : start + length]
            )
        except DataLoss:
            return None
        return {
            ChunkId(id): Location(self.pack, offset, stored, length, codec, body[offset : offset + stored])
            for id, offset, stored, length, codec in pack_format.table_rows(table)
        }


class RecentBundles:
    """Bundles that are in memory. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[ChunkId, Location] = {}
        self._chunks: dict[int, tuple[ChunkId, ...]] = {}
        self._newest = 0
        #: Bundles up to this one have been copied.
        self._copied = 0

    @property
    def newest(self) -> int:
        """Number of the newest bundle that was ever in memory."""
        return self._newest

    @property
    def copied(self) -> int:
        """Number of the newest bundle that was copied and forgotten."""
        return self._copied

    def find(self, ids: Iterable[ChunkId]) -> dict[ChunkId, Location]:
        """Return the locations of those chunks that are in a bundle in memory."""
        places = self._places
        if not places:
            return {}
        with self._lock:
            return {id: places[id] for id in ids if id in places}

    def add(self, bundles: Sequence[Bundle]) -> dict[ChunkId, Location]:
        """Remember bundles; return where their chunks are, also of bundles that were copied meanwhile."""
        places: dict[ChunkId, Location] = {}
        for bundle in bundles:
            located = bundle.locations()
            if located is None:
                _log_damage(
                    bundle,
                    "its table was changed in the database; restore a backup of the row, or put the files again",
                )
                located = {}
            places.update(located)
            with self._lock:
                self._newest = max(self._newest, bundle.number)
                if bundle.number > self._copied and bundle.number not in self._chunks:
                    self._chunks[bundle.number] = tuple(located)
                    self._places.update(located)
        return places

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget bundles that the chunk index names packs for now."""
        with self._lock:
            self._copied = max(self._copied, *numbers) if numbers else self._copied
            for number in numbers:
                for id in self._chunks.pop(number, ()):
                    self._places.pop(id, None)


class Copies(Struct):
    """The result of copying bundles."""

    #: Packs for the chunk index.
    packs: list[PackRecord] = field(default_factory=list)
    #: Bundles of the database whose chunks these packs hold.
    numbers: list[int] = field(default_factory=list)
    #: What the totals count for these bundles: chunks, stored bytes, bytes of the chunks.
    counted: tuple[int, int, int] = (0, 0, 0)

    def count(self, number: int, places: Iterable[Location]) -> None:
        """Count a bundle of the database."""
        self.numbers.append(number)
        chunks, stored, length = self.counted
        for place in places:
            chunks, stored, length = chunks + 1, stored + place.stored, length + place.length
        self.counted = (chunks, stored, length)


def copy(objects: ObjectStore, bundles: Iterable[Bundle]) -> Copies:
    """Copy the chunks of bundles into packs of the object store, durably.

    Each chunk is checked on the way. A damaged one is logged and copied as it is: reads name it, and putting the same
    content again repairs it, as in any pack (docs/design/decisions/0028-damage.md).

    Args:
        objects: the object store.
        bundles: to copy; one whose table is damaged stays where it is, one with number 0 is not in the database.
    """
    copies = Copies()
    copied: set[ChunkId] = set()
    pack = OpenPack()
    for bundle in bundles:
        places = bundle.locations()
        if places is None:
            continue
        if bundle.number:
            copies.count(bundle.number, places.values())
        for id, place in places.items():
            stored = place.inline
            if id in copied or stored is None:
                continue
            data = codecs.decode(id, place.codec, place.length, stored)
            if data is None:
                _log_damage(bundle, f"chunk {id.hex()} does not match its id; put its file again")
                data = bytes(place.length)  # stands for the length only
            copied.add(id)
            pack.take([id], [data], [place.codec], [stored])
            if pack.layout.is_full:
                copies.packs.append(_put(objects, pack))
                pack = OpenPack()
    if pack.parts:
        copies.packs.append(_put(objects, pack))
    return copies


def _log_damage(bundle: Bundle, detail: str) -> None:
    log.error("bundle %d: %s", bundle.number, detail, extra={"action": "bundle_damaged", "pack": bundle.pack})


def _put(objects: ObjectStore, pack: OpenPack) -> PackRecord:
    pack.finish(verify=False)  # each chunk was checked on the way, and a damaged one is copied as it is
    objects.put(pack.key, pack.parts)
    return pack.record(inline=False)
