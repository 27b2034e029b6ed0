"""Splits local files into chunks and computes their ids in threads, ahead of the upload.

Threads process batches of files in order: a long file is a batch of its own, short files share one. The parts of a
batch are queued until it is its turn. A thread that is ``AHEAD_BYTES`` ahead of the reader waits, unless its batch
is the one being read; this bounds memory and cannot deadlock.

Of a long file only the chunk ids are kept: missing chunks are read a second time, from the system's cache. That is
cheap, because usually most chunks are not missing, and unlike a memory mapping it survives a file that is truncated
meanwhile. A file that changes during the upload ends the upload.

It must not depend on the caller or on what is missing.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import FailedPrecondition, NotFound
from trunkline.formats.chunking import MIN_BYTES, WINDOW_BYTES, chunk_name, chunk_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from trunkline.cli.transfer.upload_plan import Upload

#: Maximum bytes ahead of the reader: few enough to be in the system's cache when they are sent.
AHEAD_BYTES = 256 << 20
#: Bytes and number of the short files of a batch, and bytes of a part of a long file.
BATCH_BYTES = 8 << 20
BATCH_FILES = 512
PART_BYTES = 16 << 20


class FilePart(NamedTuple):
    """Consecutive chunks of a file."""

    upload: Upload
    #: Id and size in bytes of each.
    chunks: list[tuple[bytes, int]]
    #: Offset of the first chunk in the file.
    start: int
    #: The content of a short file; the open file of a long one.
    content: bytes | OpenFile
    #: Whether the file ends here.
    last: bool

    @property
    def size(self) -> int:
        """Bytes of all chunks."""
        return sum(size for _, size in self.chunks)

    def read(self, at: int, size: int) -> bytes:
        """Return bytes of the file."""
        if isinstance(self.content, OpenFile):
            return self.content.read(at, size)
        return self.content[at : at + size]


class OpenFile:
    """A file that must not change until it is sent."""

    def __init__(self, source: str) -> None:
        self._source = source
        try:
            self._handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(
                f"{source} disappeared before it was read; nothing was put, put again without it"
            ) from error
        self._before = os.fstat(self._handle)
        self.size = self._before.st_size

    def read_into(self, view: memoryview) -> int:
        """Fill ``view`` with the next bytes; return their number."""
        return os.readv(self._handle, [view])

    def read_all(self) -> bytes:
        """Return all bytes of a short file."""
        data = os.read(self._handle, self.size + 1)
        self.check(len(data))
        return data

    def read(self, at: int, size: int) -> bytes:
        """Return ``size`` bytes from ``at``."""
        data = os.pread(self._handle, size, at)
        if len(data) != size:
            self._refuse()
        return data

    def check(self, size: int) -> None:
        """Check that the file has not changed and has ``size`` bytes.

        Raises:
            FailedPrecondition: it has changed.
        """
        now, before = os.fstat(self._handle), self._before
        if (size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or now.st_size != size:
            self._refuse()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _refuse(self) -> None:
        raise FailedPrecondition(
            f"{self._source} changed while it was read ({self.size} bytes when it was opened,"
            f" {os.fstat(self._handle).st_size} now); nothing was put, put it again when no process writes to it"
        )


class ParallelChunker:
    """Splits files while the context is open. ``parts`` may be read once, by the thread that opened it."""

    def __init__(self, uploads: Sequence[Upload]) -> None:
        self._batches = list(_batches(uploads))
        self._threads = [
            threading.Thread(target=self._work, name=f"cut-{number}")
            for number in range(min(os.cpu_count() or 1, len(self._batches)))
        ]
        # Below: guarded by the condition's lock.
        self._changed = threading.Condition()
        #: Parts of each batch in order, followed by None or the error that ended it.
        self._ready: list[deque[list[FilePart] | BaseException | None]] = [deque() for _ in self._batches]
        self._next = 0
        self._current = 0
        self._held = 0
        self._stopped = False
        self._open: set[OpenFile] = set()

    def parts(self) -> Iterator[FilePart]:
        """Yield the parts of all files in order; a file is closed after its last part.

        Raises:
            OSError: a file cannot be read.
            FailedPrecondition: a file changed while it was read.
        """
        for number, ready in enumerate(self._ready):
            while True:
                with self._changed:
                    self._current = number
                    self._changed.notify_all()
                    while not ready:
                        self._changed.wait()
                    parts = ready.popleft()
                    if isinstance(parts, list):
                        self._held -= _size(parts)
                if parts is None:
                    break
                if not isinstance(parts, list):
                    raise parts
                yield from parts

    def sent(self, part: FilePart) -> None:
        """Release a part that has been sent.

        Raises:
            FailedPrecondition: its file has changed since it was split.
        """
        file = part.content
        if isinstance(file, OpenFile):
            file.check(file.size)
            if part.last:
                self._open.discard(file)
                file.close()

    def __enter__(self) -> ParallelChunker:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for file in self._open:
            file.close()

    def _work(self) -> None:
        window = bytearray(WINDOW_BYTES)
        while True:
            with self._changed:
                number = self._next
                self._next += 1
                if self._stopped or number >= len(self._batches):
                    return
            try:
                end: BaseException | None = None
                for parts in self._cut(self._batches[number], window):
                    self._hand_over(number, parts)
            except _StoppedError:
                return
            except BaseException as error:  # noqa: BLE001  # the reader raises it
                end = error
            with self._changed:
                self._ready[number].append(end)
                self._changed.notify_all()

    def _hand_over(self, number: int, parts: list[FilePart]) -> None:
        size = _size(parts)
        ready = self._ready[number]
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or self._held + size <= AHEAD_BYTES
                    or (number == self._current and not ready)
                )
            )
            if self._stopped:
                raise _StoppedError
            self._held += size
            ready.append(parts)
            self._changed.notify_all()

    def _cut(self, batch: Sequence[Upload], window: bytearray) -> Iterator[list[FilePart]]:
        short: list[FilePart] = []
        for upload in batch:
            file = OpenFile(upload.source)
            if file.size > MIN_BYTES:
                self._open.add(file)
                yield from _long(upload, file, window)
                continue
            try:
                data = file.read_all()
            finally:
                file.close()
            short.append(
                FilePart(upload, [(chunk_name(data), len(data))] if data else [], 0, data, last=True)
            )
        if short:
            yield short


class _StoppedError(Exception):
    """The context has been closed."""


def _long(upload: Upload, file: OpenFile, window: bytearray) -> Iterator[list[FilePart]]:
    chunks: list[tuple[bytes, int]] = []
    start = end = 0
    for chunk in chunk_names(file.read_into, window):
        chunks.append(chunk)
        end += chunk[1]
        if end - start >= PART_BYTES:
            yield [FilePart(upload, chunks, start, file, last=False)]
            chunks, start = [], end
    file.check(end)
    yield [FilePart(upload, chunks, start, file, last=True)]


def _batches(uploads: Sequence[Upload]) -> Iterator[list[Upload]]:
    batch: list[Upload] = []
    size = 0
    for upload in uploads:
        batch.append(upload)
        size += upload.size or 0
        if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(parts: Sequence[FilePart]) -> int:
    return sum(part.size for part in parts)
