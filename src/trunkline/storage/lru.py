"""A least-recently-used cache bounded by bytes. For immutable values only."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """A mapping that holds at most so many bytes. May be used from several threads.

    Args:
        limit: bytes held at most; a value larger than a quarter of it is not cached, so that one large
            value does not evict everything else.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the value, or None when it is not held."""
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                return None
            self._values.move_to_end(key)
            return entry[0]

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
            self._values[key] = (value, size)
            self._held += size
            while self._held > self._limit:
                self._held -= self._values.popitem(last=False)[1][1]
