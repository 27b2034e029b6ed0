"""A least-recently-used cache bounded by bytes. For immutable values only.

Moving a value to the end of the order costs more than finding it, so that is done once in a while only: a value keeps
its place until an eighth of the limit has been put in since it got there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: Parts of the limit in which values keep their place.
_PARTS = 8


class ByteCache(Generic[K, V]):
    """A mapping that holds at most so many bytes. May be used from several threads.

    Args:
        limit: bytes held at most; a value larger than a quarter of it is not cached, so that one large
            value does not evict everything else.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._added = 0
        #: Bytes put in at most until the present time ends, and its number.
        self._time = 0
        self._values: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, or None when it is not held."""
        entry = self._values.get(key)  # without the lock: one look-up in a dictionary
        if entry is None:
            return None
        if entry.time != self._time:
            with self._lock:
                entry.time = self._time
                if key in self._values:
                    self._values.move_to_end(key)
        return entry.value

    def put(self, key: K, value: V, size: int) -> None:
        """Hold a value of ``size`` bytes.

        Args:
            key: key of the value; an older value of the key is replaced.
            value: the value.
            size: memory that the value takes, in bytes.
        """
        if size > self._limit // 4:
            return
        with self._lock:
            if key in self._values:
                return
            self._values[key] = _Entry(value, size, self._time)
            self._held += size
            self._added += size
            self._time = self._added * _PARTS // max(self._limit, 1)
            while self._held > self._limit:
                self._held -= self._values.popitem(last=False)[1].size


class _Entry(Generic[V]):
    """A value, and when it got its place in the order."""

    __slots__ = ("size", "time", "value")

    def __init__(self, value: V, size: int, time: int) -> None:
        self.value = value
        self.size = size
        self.time = time
