"""Writes chunks: dedups, compresses, gathers them in packs, and uploads packs while writing goes on.

Who does what. The caller's thread names each chunk and drops those this writer has seen. What is left
goes in batches to the store's pool, where one look-up in the chunk index drops those stored before and
one call compresses the rest (zstd lets other threads run). Under the writer's lock, one at a time, the
results are appended to the open pack; a full pack is uploaded by the store's upload threads. So a single
stream keeps all processors busy, and many streams share them.

Bounds. ``add`` waits while more than ``IN_FLIGHT`` bytes are on their way to a pack or more than
``UPLOADS`` packs on their way out. It waits for other threads only, never for itself.

Errors. What fails in another thread is raised by the next ``add`` or by ``seal``, and by each after that.

Bytes first, metadata last: ``seal`` returns when everything is durable, and only then may the caller tell
the chunk index and name the chunks elsewhere. Two writers may store the same chunk at the same time; the
index keeps either place.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from blake3 import blake3

from trunkline.errors import TrunklineError
from trunkline.storage.chunks import ENTRY, ChunkId, Location, PackRecord, decode, encode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from trunkline.ports import ObjectStore
    from trunkline.storage.chunks import ChunkIndex, ChunkSource

#: Bytes of a pack before its hash. Large objects are what disks and clouds write best; larger ones would
#: only lengthen the wait at the end of a write.
PACK_BYTES = 64 << 20
#: A pack up to this size stays in the chunk index. The index's own transaction makes it durable then, where
#: an object of its own costs two more flushes on a disk (1.3 of 6 ms of a one-file commit each) and a round
#: trip to a remote store. Large enough for a small commit's files and tree, too small to weigh on the database.
INLINE_BYTES = 32 << 10
#: Bytes of chunks that make a batch: large enough that hand-over and look-up vanish beside the work, also of
#: files of a kilobyte (0.4 µs each at 256 KiB).
_BATCH_BYTES = 1 << 20
#: Bytes of chunks between ``add`` and their pack.
IN_FLIGHT = 32 << 20
#: Packs on their way to the object store.
UPLOADS = 2

#: The hash at the end of a pack.
_HASH_BYTES = 32
#: The place of a chunk that the index knew.
_STORED_BEFORE = -1


class ChunkWriter:
    """One write. Made by ``ChunkStore.writer``; used by one thread at a time; ends by seal or abort.

    Attributes:
        bytes_in: bytes of all chunks given.
        bytes_stored: bytes added to packs, after compression.
    """

    def __init__(
        self,
        objects: ObjectStore,
        index: ChunkIndex,
        store: ChunkSource,
        pool: Executor,
        uploads: Executor,
        inline_bytes: int,
    ) -> None:
        self._objects = objects
        self._index = index
        self._store = store
        self._pool = pool
        self._uploads = uploads
        self._inline_bytes = inline_bytes
        self.bytes_in = 0
        self._repeated = 0
        self._known_before = 0
        self.bytes_stored = 0
        self._closed = False
        #: Every chunk given: its bytes while it waits for its pack, then its place: pack number << 32 |
        #: entry number, or ``_STORED_BEFORE``.
        self._seen: dict[ChunkId, bytes | memoryview | int] = {}
        self._batch = _Batch()
        # Below: shared with the pools' threads, guarded by the condition's lock.
        self._changed = threading.Condition()
        self._packs = [_Pack()]
        self._waiting_bytes = 0
        self._uploading = 0
        self._jobs = 0
        self._error: BaseException | None = None

    @property
    def bytes_deduplicated(self) -> int:
        """Bytes given that were stored before, by this write or an earlier one. Complete after ``seal``."""
        return self._repeated + self._known_before

    def add(self, data: bytes | memoryview) -> ChunkId:
        """Store a chunk unless it is stored already; return its id at once.

        Args:
            data: not empty; must not change afterwards.

        Raises:
            TrunklineError: an upload failed; the writer must be aborted.
        """
        return self.add_many((data,))[0]

    def add_many(self, pieces: Sequence[bytes | memoryview]) -> list[ChunkId]:
        """Do what ``add`` does for each piece, cheaper by the dozen."""
        seen, batch = self._seen, self._batch
        ids = [ChunkId(blake3(piece).digest()) for piece in pieces]
        fresh = {id: piece for id, piece in zip(ids, pieces, strict=True) if id not in seen}
        size = sum(map(len, pieces))
        self.bytes_in += size
        if len(fresh) < len(ids):
            self._repeated += size - sum(map(len, fresh.values()))
        seen.update(fresh)
        for id, piece in fresh.items():
            batch.ids.append(id)
            batch.pieces.append(piece)
            batch.size += len(piece)
            if batch.size >= _BATCH_BYTES:
                self._submit()
                batch = self._batch
        return ids

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes, also of one that is not sealed yet."""
        with self._changed:
            found = self._seen.get(id, _STORED_BEFORE)
            if isinstance(found, bytes | memoryview):
                return bytes(found)
            if found == _STORED_BEFORE:
                pack = None
            else:
                pack = self._packs[found >> 32]
                location, stored = pack.look(found & 0xFFFFFFFF)
        if pack is None:
            return self._store.read(id)
        if stored is None:
            stored = self._objects.get(pack.key, location.offset, location.stored)
        return decode(id, location, stored)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Bring chunks close that will be read soon, in any order. Only small ones are worth it."""
        with self._changed:
            elsewhere = [id for id in ids if self._seen.get(id, _STORED_BEFORE) == _STORED_BEFORE]
        self._store.prefetch(elsewhere)

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield chunks one by one; a write reads few."""
        return (self.read(id) for id in ids)

    def seal(self) -> list[PackRecord]:
        """Make every chunk durable; return the packs that the chunk index must now be told about.

        Raises:
            TrunklineError: something could not be stored; abort and do not name any of the chunks.
        """
        if self._batch.ids and not self._jobs:
            self._process(self._next_batch())  # a small write: no hand-over
        elif self._batch.ids:
            self._submit()
        with self._changed:
            self._changed.wait_for(lambda: self._jobs == 0)
            last = self._packs[-1]
        if self._error is None and last.entries and not self._stays_inline(last):
            last.close()
            self._upload(last)
        with self._changed:
            self._changed.wait_for(lambda: self._uploading == 0)
        self._raise_error()
        self._closed = True
        return [pack.record(inline=self._stays_inline(pack)) for pack in self._packs if pack.entries]

    def abort(self) -> None:
        """Give up what was written; nothing of it may be named. After ``seal`` it does nothing."""
        if self._closed:
            return
        self._closed = True
        with self._changed:
            self._changed.wait_for(lambda: self._jobs == 0 and self._uploading == 0)
        for pack in self._packs:
            if pack.uploaded:
                # What cannot be deleted now is swept later: no index knows it.
                with contextlib.suppress(TrunklineError):
                    self._objects.delete(pack.key)

    def _stays_inline(self, pack: _Pack) -> bool:
        """Tell whether a pack is a write's only one and small enough for the index to keep."""
        return not pack.uploaded and len(self._packs) == 1 and pack.size <= self._inline_bytes

    def _submit(self) -> None:
        """Hand the batch to the pool, waiting for room first."""
        self._raise_error()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._error is not None
                    or (self._waiting_bytes <= IN_FLIGHT and self._uploading <= UPLOADS)
                    or self._jobs + self._uploading == 0
                )
            )
        self._pool.submit(self._process, self._next_batch())

    def _next_batch(self) -> _Batch:
        batch, self._batch = self._batch, _Batch()
        with self._changed:
            self._jobs += 1
            self._waiting_bytes += batch.size
        return batch

    def _process(self, batch: _Batch) -> None:
        """Look a batch up, compress what is new, append it. Runs in the pool."""
        full: list[_Pack] = []
        try:
            if self._error is None:
                known = self._index.find(batch.ids)
                if known:
                    self._drop(batch, known)
                if batch.ids:
                    codecs, stored = encode(batch.pieces)
                    with self._changed:
                        full = self._append(batch, codecs, stored)
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread, which raises it
            with self._changed:
                self._error = self._error or error
        with self._changed:
            self._uploading += len(full)
            self._jobs -= 1
            self._waiting_bytes -= batch.size
            self._changed.notify_all()
        for pack in full:
            self._uploads.submit(self._put, pack)

    def _drop(self, batch: _Batch, known: Collection[ChunkId]) -> None:
        """Take the chunks that were stored before out of a batch."""
        with self._changed:
            for id, piece in zip(batch.ids, batch.pieces, strict=True):
                if id in known:
                    self._known_before += len(piece)
                    self._seen[id] = _STORED_BEFORE
        batch.pieces = [piece for id, piece in zip(batch.ids, batch.pieces, strict=True) if id not in known]
        batch.ids = [id for id in batch.ids if id not in known]

    def _append(self, batch: _Batch, codecs: list[int], stored: list[bytes | memoryview]) -> list[_Pack]:
        """Append a batch to the open pack; return the packs that became full. Needs the lock."""
        full = []
        start = 0
        while start < len(batch.ids):
            pack, number = self._packs[-1], len(self._packs) - 1
            first = number << 32 | pack.entries
            taken = pack.take(batch.ids[start:], batch.pieces[start:], codecs[start:], stored[start:])
            self._seen.update(zip(batch.ids[start : start + taken], range(first, first + taken), strict=True))
            start += taken
            if pack.size >= PACK_BYTES:
                pack.close()
                full.append(pack)
                self._packs.append(_Pack())
        self.bytes_stored += sum(map(len, stored))
        return full

    def _upload(self, pack: _Pack) -> None:
        """Upload the last pack in the caller's own thread."""
        with self._changed:
            self._uploading += 1
        self._put(pack)

    def _put(self, pack: _Pack) -> None:
        try:
            if self._error is None:
                self._objects.put(pack.key, pack.parts)
                pack.release()
        except BaseException as error:  # noqa: BLE001  # handed to the caller's thread, which raises it
            with self._changed:
                self._error = self._error or error
        with self._changed:
            self._uploading -= 1
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class _Batch:
    """Chunks on their way to a pack together."""

    __slots__ = ("ids", "pieces", "size")

    def __init__(self) -> None:
        self.ids: list[ChunkId] = []
        self.pieces: list[bytes | memoryview] = []
        self.size = 0


class _Pack:
    """A pack being filled, then uploaded, then only its table."""

    def __init__(self) -> None:
        name = uuid.uuid4().hex
        self.key = f"packs/{name[:2]}/{name}"
        self.size = 0
        self.entries = 0
        self.chunk_bytes = 0
        self.uploaded = False
        self._columns = bytearray()
        self.parts: list[bytes | memoryview] = []
        self._starts: list[int] = []
        self._hash = blake3()

    def take(
        self,
        ids: list[ChunkId],
        pieces: list[bytes | memoryview],
        codecs: list[int],
        stored: list[bytes | memoryview],
    ) -> int:
        """Append chunks until the pack is full; return how many."""
        ends = list(accumulate(map(len, stored), initial=self.size))
        count = min(bisect_left(ends, PACK_BYTES), len(stored))
        lengths = list(map(len, pieces[:count]))
        # The shortest of the columns, ``lengths``, says how many rows there are.
        self._columns += b"".join(map(ENTRY.pack, ids, ends, map(len, stored), lengths, codecs))
        part = stored[0] if count == 1 else b"".join(stored[:count])
        self._starts.append(self.size)
        self.parts.append(part)
        self._hash.update(part)
        self.entries += count
        self.chunk_bytes += sum(lengths)
        self.size = ends[count]
        return count

    def close(self) -> None:
        """End the pack with its hash."""
        self.parts.append(self._hash.digest())
        self._starts.append(self.size)
        self.size += _HASH_BYTES

    def release(self) -> None:
        """Let the bytes go: they are in the object store."""
        self.uploaded = True
        self.parts = []

    def look(self, entry: int) -> tuple[Location, bytes | None]:
        """Return a chunk's place and, unless the pack has been uploaded, its stored bytes."""
        _, offset, stored, length, codec = ENTRY.unpack_from(self._columns, entry * ENTRY.size)
        location = Location(self.key, offset, stored, length, codec)
        if not self.parts:
            return location, None
        part = bisect_right(self._starts, offset) - 1
        start = offset - self._starts[part]
        return location, bytes(self.parts[part][start : start + stored])

    def record(self, *, inline: bool) -> PackRecord:
        """Return what the chunk index must be told."""
        body = b"".join(self.parts) if inline else None
        stored_bytes = self.size if inline else self.size - _HASH_BYTES
        return PackRecord(self.key, self.size, bytes(self._columns), stored_bytes, self.chunk_bytes, body)
