"""Gathers log lines and ships them in batches.

The main thread adds lines; the side thread ships a batch when its oldest line has waited ``MAX_WAIT`` or
the batch has reached ``MAX_BATCH``; before results are handed in the main thread ships the rest itself,
so that whoever sees a datum finished finds all of its lines. A lock keeps the order.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trunkline.rpc.gen import worker_api_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.worker.api import ServerAPI

#: Seconds. People who follow a log don't notice; a talkative command costs five calls a second.
MAX_WAIT = 0.2
#: Bytes of lines in one batch; a quarter of the frame size that moves fastest, to keep calls short.
MAX_BATCH = 256 << 10
#: Bytes of lines kept while the server does not answer; beyond, the main thread waits for it.
MAX_KEPT = 32 << 20


class Logs:
    """The lines of one worker that the server does not have yet."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """``wake`` is called when the first line of a batch arrives and when the batch is full."""
        self._wake = wake
        self._lock = threading.Lock()  # guards the two below
        self._lines: list[pb.LogLine] = []
        self._size = 0
        self._shipping = threading.Lock()  # held while lines are on their way: keeps their order
        self._since = 0.0
        self._claim = ""

    def open(self, claim_id: str) -> None:
        """Take lines for this claim from now on; what is left of the one before is dropped."""
        with self._shipping, self._lock:
            self._claim, self._lines, self._size = claim_id, [], 0

    def add(self, datum: int, ts_ns: int, message: bytes, system: bool = False) -> None:
        """Add a line."""
        line = pb.LogLine(datum=datum, ts_ns=ts_ns, message=message, system=system)
        with self._lock:
            first = not self._lines
            self._lines.append(line)
            before, self._size = self._size, self._size + len(message) + 32  # 32: what surrounds it
            if first:
                self._since = time.monotonic()
        if first or before < MAX_BATCH <= self._size:
            self._wake()

    @property
    def overfull(self) -> bool:
        """Whether more is kept than should be."""
        return self._size > MAX_KEPT

    def due(self) -> float | None:
        """Seconds until a batch must be shipped; None when there is nothing to ship."""
        with self._lock:
            if not self._lines:
                return None
            if self._size >= MAX_BATCH:
                return 0.0
            return max(0.0, self._since + MAX_WAIT - time.monotonic())

    def ship(self, api: ServerAPI) -> None:
        """Ship all lines there are now.

        Raises:
            TrunklineError: the server did not take them; they are kept.
        """
        with self._shipping:
            while True:
                with self._lock:
                    count = size = 0
                    for line in self._lines:
                        count, size = count + 1, size + len(line.message) + 32
                        if size >= MAX_BATCH:
                            break
                    batch = self._lines[:count]
                if not batch:
                    return
                api.log(self._claim, batch)
                with self._lock:
                    del self._lines[:count]
                    self._size -= size
                    self._since = time.monotonic()
