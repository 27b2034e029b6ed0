"""Collects log lines and sends them in batches.

The main thread adds lines; the side thread sends a batch when its oldest line has waited ``MAX_WAIT`` or the batch
has reached ``MAX_BATCH``: one at a time, because it renews the claim between two of them. Before the main thread
reports results it sends the remaining lines itself, so that all lines of a finished datum can be read. A lock keeps
the order. The main thread stops adding lines when the buffer is
``overfull``, so that a command that prints faster than the server accepts is blocked.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from trunkline.rpc.gen import worker_api_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.worker.api import ServerAPI

#: Seconds. Not noticeable to users who follow a log; a verbose command costs five calls a second.
MAX_WAIT = 0.2
#: Bytes of lines in one batch; a quarter of the frame size with the highest throughput, to keep calls short.
MAX_BATCH = 256 << 10
#: Bytes of memory that unsent lines may use.
MAX_KEPT = 32 << 20
#: Bytes of overhead per line in a message, and in memory.
_IN_MESSAGE, _IN_MEMORY = 32, 250


class Logs:
    """The unsent log lines of one worker."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """``wake`` is called when the first line of a batch arrives and when the batch is full."""
        self._wake = wake
        self._lock = threading.Lock()  # guards the three below
        #: Datum, nanoseconds since the epoch, text, whether it is the worker's own line.
        self._lines: deque[tuple[int, int, bytes, bool]] = deque()
        self._size = 0
        self._since = 0.0
        self._shipping = threading.Lock()  # held while lines are being sent: keeps their order
        self._claim = ""

    def open(self, claim_id: str) -> None:
        """Collect lines for this claim from now on; unsent lines of the previous claim are dropped."""
        with self._shipping, self._lock:
            self._claim, self._size = claim_id, 0
            self._lines.clear()

    def add(self, datum: int, ts_ns: int, message: bytes, system: bool = False) -> None:
        """Add a line.

        Args:
            datum: position of the datum in its assignment.
            ts_ns: nanoseconds since the epoch.
            message: the line without its newline.
            system: whether it is the worker's own line.
        """
        with self._lock:
            first = not self._lines
            self._lines.append((datum, ts_ns, message, system))
            before, self._size = self._size, self._size + len(message) + _IN_MESSAGE
            if first:
                self._since = time.monotonic()
        if first or before < MAX_BATCH <= self._size:
            self._wake()

    @property
    def overfull(self) -> bool:
        """Whether no more lines should be added until some are sent."""
        return self._size + len(self._lines) * (_IN_MEMORY - _IN_MESSAGE) > MAX_KEPT

    def due(self) -> float | None:
        """Seconds until the side thread must send a batch; None when there are no lines."""
        if self._shipping.locked():
            return MAX_WAIT  # the main thread sends them
        with self._lock:
            if not self._lines:
                return None
            if self._size >= MAX_BATCH:
                return 0.0
            return max(0.0, self._since + MAX_WAIT - time.monotonic())

    def ship_batch(self, api: ServerAPI) -> None:
        """Send the oldest lines, one batch at most, unless another thread is sending.

        Raises:
            TrunklineError: the server did not accept them; they stay in the buffer.
        """
        if self._shipping.acquire(blocking=False):
            try:
                self._send(api)
            finally:
                self._shipping.release()

    def ship(self, api: ServerAPI) -> None:
        """Send all lines; for the end of a datum, when no more are added.

        Raises:
            TrunklineError: the server did not accept them; they stay in the buffer.
        """
        with self._shipping:
            while self._send(api):
                pass

    def _send(self, api: ServerAPI) -> bool:
        """Send a batch while ``_shipping`` is held; return whether there were lines."""
        batch: list[pb.LogLine] = []
        size = 0
        with self._lock:
            for datum, ts_ns, message, system in self._lines:
                batch.append(pb.LogLine(datum=datum, ts_ns=ts_ns, message=message, system=system))
                size += len(message) + _IN_MESSAGE
                if size >= MAX_BATCH:
                    break
        if not batch:
            return False
        api.log(self._claim, batch)
        with self._lock:
            for _ in batch:
                self._lines.popleft()
            self._size -= size
            self._since = time.monotonic()
        return True
