"""The newest log records of this process, held in memory for clients that ask for the logs of the server."""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.telemetry.logs import ROOT, TextFormatter, fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes of text that are held; older records are dropped.
HELD = 4 << 20
#: Bytes of a record; the end of a longer one is cut off.
LONGEST = 16 << 10


class Record(Struct, frozen=True):
    """A log record as text."""

    #: Seconds since the epoch.
    ts: float
    #: Level of ``logging``.
    level: int
    #: ``project/name`` of the pipeline that it is about; empty for none.
    pipeline: str
    text: str


class RecentRecords(logging.Handler):
    """Holds the newest records."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        self._guard = threading.Lock()
        self._records: deque[Record] = deque()
        self._size = 0
        #: Records that were ever added.
        self._added = 0
        self._listeners: list[Callable[[], object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record and drop the oldest ones beyond ``HELD``."""
        text = self.format(record)[:LONGEST]
        pipeline = str(fields(record).get("pipeline", ""))
        with self._guard:
            self._records.append(Record(record.created, record.levelno, pipeline, text))
            self._size += len(text)
            while self._size > HELD:
                self._size -= len(self._records.popleft().text)
            self._added += 1
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def after(self, number: int) -> tuple[int, list[Record]]:
        """Return how many records were ever added, and those that are held of the ones after the first ``number``."""
        with self._guard:
            count = min(len(self._records), self._added - number)
            return self._added, list(self._records)[len(self._records) - count :]

    @contextmanager
    def listening(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call ``listener`` after each new record, in the thread that logs, while the context is open."""
        with self._guard:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._guard:
                self._listeners.remove(listener)

    def __iter__(self) -> Iterator[Record]:
        """Return the records, oldest first."""
        with self._guard:
            return iter(list(self._records))


@contextmanager
def recent_records() -> Iterator[RecentRecords]:
    """Hold the newest records of Trunkline while the context is open."""
    recent, logger = RecentRecords(), logging.getLogger(ROOT)
    logger.addHandler(recent)
    try:
        yield recent
    finally:
        logger.removeHandler(recent)
