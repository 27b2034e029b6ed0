"""One bound on the memory that all transfers of a store hold together.

Uploads hold messages that are not applied yet, bytes that are not cut into chunks yet, chunks on their way to a
pack, and packs that are not uploaded yet; downloads hold chunks that they read ahead. Without a common bound,
clients could fill the server's memory with transfers that they start and do not continue. When uploads reach
the bound, the largest unfinished packs are uploaded as they are, writers wait for the room this makes, and
uploads read no further messages meanwhile. When all transfers together reach it, downloads stop reading ahead.

A writer never waits for a client, neither its own nor another: what it waits for is done by the server's
threads, so waiting ends. That is why the memory of downloads, which only their clients release, does not count
for writers, and bytes that are not cut yet count up to a quarter of the bound.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from trunkline.formats.chunking import SMALLEST_WINDOW_BYTES, WINDOW_BYTES
from trunkline.linux import libc

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after which a waiting writer looks again even if nobody announced room.
_LOOK_AGAIN = 1.0
#: Seconds between two returns of memory to the operating system, each of which takes some milliseconds.
_RETURN_INTERVAL = 0.1
#: Seconds after which memory is returned once more when transfers hold little again: the last of them, and what the
#: HTTP server holds for them, are freed by then.
_RETURN_AFTER_END = 1.0


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

    @property
    def uncut_bytes(self) -> int:
        """Bytes that its user gathers before they are cut; not part of ``held_bytes``."""

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
        #: Bytes of messages that were received and are not applied yet.
        self._message_bytes = 0
        #: Uploads that wait for room, in the order in which they came.
        self._waiting: deque[Future[None]] = deque()
        #: When unused memory may be returned again, and whether a thread waits to do it then.
        self._next_return = 0.0
        self._return_is_due = False
        #: Whether the limit was reached since unused memory was last returned to the operating system.
        self._was_exhausted = False

    @property
    def held_bytes(self) -> int:
        """Bytes held now."""
        with self._changed:
            readers = sum(reader.held_bytes for reader in self._readers)
            writers = sum(writer.held_bytes + writer.uncut_bytes for writer in self._writers)
            return readers + writers + self._message_bytes

    @property
    def is_short(self) -> bool:
        """Whether a transfer that pauses should store what it holds."""
        return self.held_bytes > self._limit // 8

    @property
    def allows_read_ahead(self) -> bool:
        """Whether downloads may read ahead: they hold at most half of the limit, and all transfers the limit."""
        with self._changed:
            readers = sum(reader.held_bytes for reader in self._readers)
            if (
                readers <= self._limit // 2
                and readers + self._uploads_hold(list(self._writers)) <= self._limit
            ):
                return True
            self._was_exhausted = True
            return False

    @property
    def window_bytes(self) -> int:
        """Bytes that an upload gathers before it cuts them; the more uploads there are, the fewer."""
        with self._changed:
            share = self._limit // 4 // max(1, len(self._writers))
        return max(SMALLEST_WINDOW_BYTES, min(WINDOW_BYTES, share))

    def hold_messages(self, size: int) -> None:
        """Count messages that were received; a thread will apply them whatever their client does."""
        with self._changed:
            self._message_bytes += size

    def release_messages(self, size: int) -> None:
        """Count messages no longer that were applied or dropped."""
        with self._changed:
            self._message_bytes -= size
        self.announce()

    def room_for_messages(self) -> Future[None] | None:
        """Return None when an upload may read further messages, else what is done when it is to ask again.

        Uploads open packs early when that makes room. Does not block.
        """
        with self._changed:
            writers = list(self._writers)
            held = self._uploads_hold(writers)
            if held <= self._limit:
                return None
            self._was_exhausted = True
            waiting: Future[None] = Future()
            self._waiting.append(waiting)
            surplus = held - sum(writer.leaving_bytes for writer in writers) - self._limit
        for writer in sorted(writers, key=lambda writer: writer.open_bytes, reverse=True):
            if surplus <= 0:
                break
            surplus -= writer.open_bytes
            writer.upload_open_pack()
        return waiting

    def _uploads_hold(self, writers: list[Writer]) -> int:
        """Return the bytes of all uploads; those that only clients can release count up to a quarter."""
        uncut = min(sum(writer.uncut_bytes for writer in writers), self._limit // 4)
        return sum(writer.held_bytes for writer in writers) + uncut + self._message_bytes

    def return_memory(self) -> None:
        """Return unused memory to the operating system if transfers have reached the limit lately.

        To be called when a transfer has ended or pauses. The C library keeps what many threads have freed;
        after a burst of transfers that can be a gigabyte.
        """
        with self._changed:
            if not self._was_exhausted or self._return_is_due:
                return
            wait = self._next_return - time.monotonic()
            if wait > 0:  # what is freed meanwhile would stay: nothing may call this again
                self._return_is_due = True
                _start_timer(wait, self._return_now)
                return
        self._return_now()

    def _return_now(self) -> None:
        with self._changed:
            self._return_is_due = False
            self._next_return = time.monotonic() + _RETURN_INTERVAL
            if self.held_bytes <= self._limit // 8:
                self._was_exhausted = False
                _start_timer(_RETURN_AFTER_END, libc.return_memory)
        libc.return_memory()

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
            woken: list[Future[None]] = []
            if self._waiting:
                held = self._uploads_hold(list(self._writers))
                # One at a time, since each will hold what it reads; all when there is much room.
                count = len(self._waiting) if held <= self._limit // 2 else int(held <= self._limit)
                woken = [self._waiting.popleft() for _ in range(count)]
        for waiting in woken:
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(None)

    def wait_for_room(self) -> None:
        """Return when writers hold at most their part of the limit. The caller must hold no lock of a writer."""
        while True:
            with self._changed:
                writers = list(self._writers)
                # Messages wait for their writer, so they leave it some room however many they are.
                messages = min(self._message_bytes, self._limit // 4)
                held = self._uploads_hold(writers) - self._message_bytes + messages
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


def _start_timer(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
