"""Writes chunks: deduplicates and compresses them, gathers them in packs, and uploads packs meanwhile.

Threads. The caller's thread computes the id of each chunk and drops those that this writer has seen. The rest
goes in batches to the store's pool, where one look-up in the chunk index drops those that are stored already
and one call compresses the others (zstd releases the interpreter lock). Under the writer's lock, one batch at
a time, the results are appended to the open pack; the store's upload threads upload full packs. So a single
stream keeps all processors busy, and many streams share them.

Verification. A complete pack is decoded from memory and compared with the ids of its chunks before it is stored
(docs/design/decisions/0040-verified-packs.md): in the upload threads, where zstd and BLAKE3 release the interpreter
lock too, and piece by piece, so that it needs a megabyte beside the pack.

Bounds. ``add`` waits while more than ``IN_FLIGHT`` bytes are on their way to a pack, while more than
``UPLOADS`` packs are being uploaded, and while all transfers together exceed the store's memory budget. It
waits for the store's threads only. A write of many chunks has the chunk index record uploaded packs early and
forgets their tables, so what it remembers does not grow with its length. ``seal`` has packs of many chunks recorded
too: the transaction that refers to them would hold the database for long.

Errors. What fails in another thread is raised by the next ``add`` or by ``seal``, and by each later one.

Bytes first, metadata last: ``seal`` returns when everything is durable, and only then may the caller record
the packs and refer to the chunks. Two writers may store the same chunk at the same time; the index keeps one
of the copies.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from trunkline.errors import TrunklineError
from trunkline.formats.codecs import encode
from trunkline.formats.pack_format import VERIFY_MEMORY
from trunkline.storage.chunks import TRANSACTION_CHUNKS, ChunkId, ChunkSource, Location, PackRecord, decode
from trunkline.storage.open_pack import OpenPack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from trunkline.ports import ObjectStore
    from trunkline.storage.memory_budget import MemoryBudget

#: A pack up to this size stays in the chunk index. The index's own transaction makes it durable then, where
#: an object of its own costs two more flushes on a disk (1.3 of 6 ms of a one-file commit each) and a round
#: trip to a remote store. Large enough for a small commit's files and tree, too small to weigh on the database.
INLINE_BYTES = 32 << 10
#: Bytes of chunks in a batch: large enough that hand-over and look-up cost little beside the work, also for
#: files of a kilobyte (0.4 µs each at 256 KiB).
_BATCH_BYTES = 1 << 20
#: Bytes that a chunk takes in memory beside its own, while it is on its way to a pack.
_BESIDE_BYTES = 320
#: Bytes of chunks between ``add`` and their pack.
IN_FLIGHT = 32 << 20
#: Packs of one writer that are being uploaded.
UPLOADS = 2
#: Chunks in uploaded packs that a writer remembers (some 300 bytes each) before it has packs recorded early.
#: Below that, a write that is aborted leaves nothing behind.
REMEMBERED_CHUNKS = 1 << 15

#: The location of a chunk that the index has.
_STORED_BEFORE = -1


class PackStore(ChunkSource, Protocol):
    """What a writer asks of the store."""

    def find_intact(self, ids: Sequence[ChunkId]) -> tuple[Mapping[ChunkId, Location], frozenset[ChunkId]]:
        """Return the locations of chunks with an intact copy, and the chunks whose only copy is damaged."""

    def read_at(self, id: ChunkId, location: Location) -> bytes:
        """Return a chunk from a pack that the index need not know yet."""

    def record(self, pack: PackRecord) -> None:
        """Record a pack in the chunk index before its writer is sealed."""

    def remember(self, chunks: Sequence[tuple[ChunkId, bytes | memoryview]]) -> None:
        """Hold the chunks of a small write in the cache: whoever continues it reads them next."""


class ChunkWriter:
    """One write. Made by ``ChunkStore.writer``; used by one thread at a time; ends by seal or abort.

    Args:
        objects: where full packs go.
        store: knows the chunks that are stored already.
        pool: threads that compress.
        uploads: threads that verify and upload packs.
        inline_bytes: bytes up to which the only pack of a write stays in the chunk index.
        budget: what all transfers may hold.
        verify: whether packs are decoded and compared before they are stored.

    Attributes:
        session: identity of the write.
        bytes_in: bytes of all chunks added.
        bytes_stored: bytes added to packs, after compression.
        held_bytes: bytes in memory: batches on their way, the open pack, and packs that are not uploaded.
        leaving_bytes: those of packs that are being uploaded.
        uncut_bytes: bytes that the caller gathers for further chunks; set by the caller.
    """

    def __init__(
        self,
        objects: ObjectStore,
        store: PackStore,
        pool: Executor,
        uploads: Executor,
        inline_bytes: int,
        budget: MemoryBudget,
        *,
        verify: bool,
    ) -> None:
        self._objects = objects
        self._store = store
        self._pool = pool
        self._uploads = uploads
        self._inline_bytes = inline_bytes
        self._budget = budget
        self._verify = verify
        self.bytes_in = 0
        self.bytes_stored = 0
        self.held_bytes = 0
        self.leaving_bytes = 0
        self.uncut_bytes = 0
        self._closed = False
        #: Identity of this write, for leases.
        self.session = uuid.uuid4().hex
        #: Chunks added: the bytes of one that waits for its pack, then its location: pack number << 32 |
        #: entry number, or ``_STORED_BEFORE``. Those that the index has may be dropped at any time.
        self._seen: dict[ChunkId, bytes | memoryview | int] = {}
        self._batch = _Batch()
        # Below: shared with the pools' threads, guarded by the condition's lock.
        self._changed = threading.Condition()
        #: By number; packs that were recorded early are gone from it.
        self._packs = {0: OpenPack()}
        self._open_number = 0
        self._stored_before = 0
        self._waiting_bytes = 0
        self._uploading = 0
        self._jobs = 0
        self._error: BaseException | None = None
        budget.add_writer(self)

    @property
    def is_open(self) -> bool:
        """Whether the writer is neither sealed nor aborted."""
        return not self._closed

    def fail(self, error: TrunklineError) -> None:
        """Let the write fail: ``add`` and ``seal`` raise ``error`` from now on. May be called from any thread."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def window_bytes(self) -> int:
        """Bytes to gather before they are cut."""
        return self._budget.window_bytes

    @property
    def open_bytes(self) -> int:
        """Bytes of the open pack that ``upload_open_pack`` would free."""
        with self._changed:
            ended = self._closed or self._error is not None
            return 0 if ended else self._packs[self._open_number].layout.size

    def add(self, data: bytes | memoryview) -> ChunkId:
        """Store a chunk unless it is stored already; return its id at once.

        Args:
            data: not empty; must not change afterwards.

        Raises:
            TrunklineError: an upload failed; the writer must be aborted.
        """
        return self.add_many((data,))[0]

    def add_many(self, pieces: Sequence[bytes | memoryview]) -> list[ChunkId]:
        """Store chunks as ``add`` does; cheaper for many small ones."""
        batch = self._batch
        ids = [ChunkId(blake3(piece).digest()) for piece in pieces]
        with self._changed:
            seen = self._seen
            fresh = {id: piece for id, piece in zip(ids, pieces, strict=True) if id not in seen}
            if len(fresh) < len(pieces):
                fresh = {id: _alone(piece) for id, piece in fresh.items()}
            seen.update(fresh)
        self.bytes_in += sum(map(len, pieces))
        for id, piece in fresh.items():
            batch.ids.append(id)
            batch.pieces.append(piece)
            batch.size += len(piece) + _BESIDE_BYTES
            if batch.size >= _BATCH_BYTES:
                self._submit()
                batch = self._batch
        return ids

    def send_batch(self) -> None:
        """Give the chunks that wait for a batch to the pool; worth it when they are views of large buffers.

        Raises:
            TrunklineError: an upload failed; the writer must be aborted.
        """
        if self._batch.ids:
            self._submit()

    def drain(self) -> None:
        """Hold little until the next chunk, which may be long in coming: store the open pack when memory is short.

        Raises:
            TrunklineError: an upload failed; the writer must be aborted.
        """
        self.send_batch()
        if self._budget.is_short:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs == 0)
            self.upload_open_pack()

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes, also of one that is not sealed yet."""
        with self._changed:
            seen = self._seen.get(id, _STORED_BEFORE)
            if isinstance(seen, bytes | memoryview):
                return bytes(seen)
            pack = None
            if seen != _STORED_BEFORE:
                pack = self._packs[seen >> 32]
                location, stored = pack.locate(seen & 0xFFFFFFFF)
        if pack is None:
            return self._store.read(id)
        return self._store.read_at(id, location) if stored is None else decode(id, location, stored)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Load chunks that will be read soon into the store's cache. Worth it for small ones only."""
        self._store.prefetch([id for id in ids if self._is_elsewhere(id)])

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order of ``ids``; those of earlier writes are read together."""
        for is_elsewhere, group in groupby(ids, self._is_elsewhere):
            if is_elsewhere:
                yield from self._store.read_many(group)
            else:
                yield from map(self.read, group)

    def _is_elsewhere(self, id: ChunkId) -> bool:
        """Return whether a chunk is in no pack that this writer remembers."""
        with self._changed:
            return self._seen.get(id, _STORED_BEFORE) == _STORED_BEFORE

    def upload_open_pack(self) -> bool:
        """Upload the open pack although it is not full, to free its memory; return whether there was one."""
        with self._changed:
            if self._closed or self._error is not None:
                return False
            number = self._open_number
            pack = self._packs[number]
            if not pack.entries:
                return False
            self._close_open_pack(pack)
            self._uploading += 1
        self._uploads.submit(self._put, number, pack)
        return True

    def seal(self) -> list[PackRecord]:
        """Make every chunk durable; return the packs that the chunk index must record now.

        Packs of more than ``TRANSACTION_CHUNKS`` chunks are recorded when this returns, and not among them.
        Blocks; not for a thread that is in a transaction.

        Raises:
            TrunklineError: something could not be stored; abort, and refer to none of the chunks.
        """
        small: list[tuple[ChunkId, bytes | memoryview]] = []
        if self._batch.ids and not self._jobs:
            batch = self._next_batch()  # a small write: no hand-over
            small = list(zip(batch.ids, batch.pieces, strict=True))
            self._process(batch)
        elif self._batch.ids:
            self._submit()
        with self._changed:
            self._changed.wait_for(lambda: self._jobs == 0)
            number = self._open_number
            last = self._packs[number]
            upload = self._error is None and last.entries > 0 and not self._stays_inline(number, last)
            if upload:
                self._close_open_pack(last)
                self._uploading += 1
        if upload:
            self._put(number, last, sealing=True)
        elif self._error is None and last.entries:
            try:
                last.finish(verify=self._verify)
            except TrunklineError as error:
                self.fail(error)
        with self._changed:
            self._changed.wait_for(lambda: self._uploading == 0)
            self._raise_error()
            packs = {number: pack for number, pack in self._packs.items() if pack.entries}
        for pack in packs.values():
            if pack.uploaded and pack.entries > TRANSACTION_CHUNKS:
                pack.named = True
                self._store.record(pack.record(inline=False))
        self._closed = True
        if any(self._stays_inline(number, pack) for number, pack in packs.items()):
            self._store.remember(small)
        records = [
            pack.record(inline=self._stays_inline(number, pack))
            for number, pack in packs.items()
            if not pack.named
        ]
        self._release_all()
        return records

    def abort(self) -> None:
        """Discard what was written; nothing may refer to it. After ``seal`` it does nothing.

        Packs that the chunk index may name stay: another writer may refer to their chunks by now.
        """
        if self._closed:
            return
        self._closed = True
        with self._changed:
            self._changed.wait_for(lambda: self._jobs == 0 and self._uploading == 0)
        for pack in self._packs.values():
            if pack.uploaded and not pack.named:
                # One that cannot be deleted now is an object that no index knows; it does no harm.
                with contextlib.suppress(TrunklineError):
                    self._objects.delete(pack.key)
        # Dropped here, whoever still holds the writer: memory is returned to the system next.
        self._packs, self._seen, self._batch = {}, {}, _Batch()
        self._release_all()

    def _release_all(self) -> None:
        """Count nothing of this writer any more."""
        self.held_bytes = self.leaving_bytes = self.uncut_bytes = 0
        self._budget.announce()
        self._budget.return_memory()

    def _stays_inline(self, number: int, pack: OpenPack) -> bool:
        """Return whether a pack is a write's only one and small enough for the index to keep."""
        return number == 0 and not pack.closed and pack.layout.most_bytes <= self._inline_bytes

    def _submit(self) -> None:
        """Give the batch to the pool, after waiting for room."""
        self._raise_error()
        with self._changed:
            self._changed.wait_for(
                lambda: (self._waiting_bytes < IN_FLIGHT and self._uploading <= UPLOADS) or self._error
            )
        self._budget.wait_for_room()
        self._pool.submit(self._process, self._next_batch())

    def _next_batch(self) -> _Batch:
        batch, self._batch = self._batch, _Batch()
        with self._changed:
            self._jobs += 1
            self._waiting_bytes += batch.size
            self.held_bytes += batch.size
        return batch

    def _process(self, batch: _Batch) -> None:
        """Drop the chunks of a batch that are stored already; compress the others and append them to packs."""
        full: list[tuple[int, OpenPack]] = []
        size = batch.size
        stored_bytes = 0
        try:
            if self._error is None:
                intact, damaged = self._store.find_intact(batch.ids)
                if intact:
                    self._drop(batch, intact)
                if batch.ids:
                    codecs, stored = encode(batch.pieces)
                    with self._changed:
                        full = self._append(batch, codecs, stored, damaged)
                    stored_bytes = sum(map(len, stored))
        except BaseException as error:  # noqa: BLE001  # given to the caller's thread, which raises it
            with self._changed:
                self._error = self._error or error
        with self._changed:
            self._uploading += len(full)
            self._jobs -= 1
            self._waiting_bytes -= size
            self.held_bytes += stored_bytes - size
            self.bytes_stored += stored_bytes
            self._changed.notify_all()
        self._budget.announce()
        for number, pack in full:
            self._uploads.submit(self._put, number, pack)

    def _drop(self, batch: _Batch, intact: Collection[ChunkId]) -> None:
        """Take the chunks that are stored already out of a batch."""
        with self._changed:
            self._seen.update(dict.fromkeys(intact, _STORED_BEFORE))
            self._stored_before += len(intact)
            if self._stored_before > REMEMBERED_CHUNKS:
                self._seen = {id: seen for id, seen in self._seen.items() if seen != _STORED_BEFORE}
                self._stored_before = 0
        batch.pieces = [
            _alone(piece) for id, piece in zip(batch.ids, batch.pieces, strict=True) if id not in intact
        ]
        batch.ids = [id for id in batch.ids if id not in intact]

    def _append(
        self,
        batch: _Batch,
        codecs: list[int],
        stored: list[bytes | memoryview],
        damaged: frozenset[ChunkId],
    ) -> list[tuple[int, OpenPack]]:
        """Append a batch to the open pack; return the packs that became full. Needs the lock."""
        full = []
        start = 0
        while start < len(batch.ids):
            number = self._open_number
            pack = self._packs[number]
            first = number << 32 | pack.entries
            count = pack.take(batch.ids[start:], batch.pieces[start:], codecs[start:], stored[start:])
            ids = batch.ids[start : start + count]
            self._seen.update(zip(ids, range(first, first + count), strict=True))
            if damaged:
                pack.replaces |= damaged.intersection(ids)
            start += count
            if pack.layout.is_full:
                self._close_open_pack(pack)
                full.append((number, pack))
        return full

    def _close_open_pack(self, pack: OpenPack) -> None:
        """End the open pack and open another. Needs the lock."""
        pack.closed = True
        self.leaving_bytes += pack.layout.size
        self._open_number += 1
        self._packs[self._open_number] = OpenPack()

    def _put(self, number: int, pack: OpenPack, *, sealing: bool = False) -> None:
        """Upload a pack. Runs in an upload thread; when sealing, for the last pack, in the caller's."""
        size = pack.layout.size
        if self._verify:
            size += VERIFY_MEMORY
            with self._changed:
                self.held_bytes += VERIFY_MEMORY
                self.leaving_bytes += VERIFY_MEMORY
        try:
            if self._error is None:
                pack.finish(verify=self._verify)
                self._objects.put(pack.key, pack.parts)
                pack.release()
                if not sealing:  # the caller records the last pack at once
                    self._record_early(number, pack)
        except BaseException as error:  # noqa: BLE001  # given to the caller's thread, which raises it
            with self._changed:
                self._error = self._error or error
        with self._changed:
            self._uploading -= 1
            self.leaving_bytes = max(0, self.leaving_bytes - size)
            self.held_bytes = max(0, self.held_bytes - size)
            self._changed.notify_all()
        self._budget.announce()
        self._budget.return_memory()

    def _record_early(self, number: int, pack: OpenPack) -> None:
        """Have the index record a pack if this writer remembers many chunks already, and forget its table."""
        with self._changed:
            remembered = sum(other.entries for other in self._packs.values() if other.uploaded)
        if remembered <= REMEMBERED_CHUNKS:
            return
        pack.named = True
        self._store.record(pack.record(inline=False))
        with self._changed:
            del self._packs[number]
            for id in pack.ids():
                seen = self._seen.get(id)
                if isinstance(seen, int) and seen >> 32 == number:
                    del self._seen[id]

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error


def _alone(piece: bytes | memoryview) -> bytes:
    """Return a chunk as bytes of its own.

    Views of a buffer keep all of it in memory. That is right while all of the buffer is on its way to a pack,
    but not when other chunks of it are stored already.
    """
    return bytes(piece)


class _Batch:
    """Chunks on their way to a pack together."""

    __slots__ = ("ids", "pieces", "size")

    def __init__(self) -> None:
        self.ids: list[ChunkId] = []
        self.pieces: list[bytes | memoryview] = []
        self.size = 0
