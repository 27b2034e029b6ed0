"""One bound on the memory that all transfers of a store hold together.

Writers hold chunks on their way to a pack and packs that are not uploaded yet; readers hold chunks that they
read ahead. Without a common bound, clients could fill the server's memory with transfers that they start and
do not continue. When writers reach the bound, the largest unfinished packs are uploaded as they are, and
writers wait for the room this makes. When all transfers together reach it, readers stop reading ahead.

A writer never waits for a client, neither its own nor another: what it waits for is done by the store's
threads, so waiting ends. That is why the memory of readers, which only their clients release, does not count
for writers.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Protocol

#: Seconds after which a waiting writer looks again even if nobody announced room.
_LOOK_AGAIN = 1.0


class Reader:
    """A transfer that reads ahead.

    Attributes:
        held_bytes: bytes in memory.
    """

    __slots__ = ("__weakref__", "held_bytes")

    def __init__(self) -> None:
        self.held_bytes = 0


class Writer(Protocol):
    """A transfer that gathers what it is given in an open pack until the pack is uploaded."""

    @property
    def held_bytes(self) -> int:
        """Bytes in memory."""

    @property
    def open_bytes(self) -> int:
        """Those of the open pack."""

    @property
    def leaving_bytes(self) -> int:
        """Those that are being uploaded."""

    def upload_open_pack(self) -> bool:
        """Upload the open pack early; False when it is not possible now."""


class MemoryBudget:
    """The bytes that transfers may hold. May be used from any thread.

    Args:
        limit: bytes from which on writers wait and readers do not read ahead.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Weak references: a transfer that its owner drops without closing counts no longer.
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._writers: weakref.WeakSet[Writer] = weakref.WeakSet()
        self._changed = threading.Condition()
        #: Whether the limit was reached since unused memory was last returned to the operating system.
        self._was_exhausted = False

    @property
    def held_bytes(self) -> int:
        """Bytes held now."""
        with self._changed:
            readers = sum(reader.held_bytes for reader in self._readers)
            return readers + sum(writer.held_bytes for writer in self._writers)

    @property
    def is_exhausted(self) -> bool:
        """Whether more than the limit is held."""
        if self.held_bytes <= self._limit:
            return False
        self._was_exhausted = True
        return True

    def return_memory(self) -> None:
        """Return unused memory to the operating system once transfers that reached the limit have ended.

        The C library keeps what many threads have freed; after a burst of transfers that can be a gigabyte.
        """
        if self._was_exhausted and self.held_bytes <= self._limit // 8:
            self._was_exhausted = False
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
            if trim is not None:
                trim(0)

    def add_reader(self) -> Reader:
        """Return a reader whose bytes count from now on."""
        reader = Reader()
        with self._changed:
            self._readers.add(reader)
        return reader

    def add_writer(self, writer: Writer) -> None:
        """Count what a writer holds, and upload its open pack early when memory is short."""
        with self._changed:
            self._writers.add(writer)

    def announce(self) -> None:
        """Wake writers that wait for room: something was released, or can be uploaded now."""
        with self._changed:
            self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Return when writers hold at most the limit. The caller must hold no lock of a writer."""
        while True:
            with self._changed:
                writers = list(self._writers)
                held = sum(writer.held_bytes for writer in writers)
                if held <= self._limit:
                    return
                self._was_exhausted = True
                # Bytes of packs that are being uploaded leave without further help.
                staying = held - sum(writer.leaving_bytes for writer in writers)
                if staying <= self._limit:
                    self._changed.wait(_LOOK_AGAIN)
                    continue
            largest = max(writers, key=lambda writer: writer.open_bytes)
            if not largest.upload_open_pack():
                with self._changed:
                    self._changed.wait(_LOOK_AGAIN)
