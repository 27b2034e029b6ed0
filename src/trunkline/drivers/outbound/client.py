"""Dispatches outbound transfers by the scheme of their URL, after the rules have allowed it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument, ResourceExhausted
from trunkline.model import limits, outbound

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from contextlib import AbstractContextManager

    from trunkline.drivers.outbound.objects import Buckets, Files
    from trunkline.model.outbound import Rules, Target
    from trunkline.ports import OutboundDatabase


class OutboundClient:
    """Implements ``ports.Outbound``. Libraries are imported when a URL needs them.

    Args:
        rules: what is allowed.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._places = threading.BoundedSemaphore(limits.URL_TRANSFERS)
        self._lock = threading.Lock()
        self._buckets: Buckets | None = None

    def check(self, url: str) -> None:
        """See ``ports.Outbound``."""
        self._rules.check(outbound.parse(url))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See ``ports.Outbound``."""
        if not self._places.acquire(blocking=False):
            raise ResourceExhausted(
                f"{limits.URL_TRANSFERS} transfers from and to URLs run already; try again when one has ended"
            )
        try:
            yield
        finally:
            self._places.release()

    def read(self, url: str) -> Generator[bytes]:
        """See ``ports.Outbound``."""
        target = self._allowed(url)
        if target.scheme in ("http", "https"):
            from trunkline.drivers.outbound import web

            return web.read(self._rules, target)
        return self._objects(target).read(target)

    def objects(self, url: str) -> Iterator[tuple[str, int]]:
        """See ``ports.Outbound``."""
        target = self._allowed(url)
        if target.scheme in ("http", "https"):
            raise InvalidArgument(
                f"{target} cannot be listed; name one file, or objects of a store (s3, gs, az)"
            )
        return self._objects(target).objects(target)

    def write(self, url: str, pieces: Iterable[bytes], size: int) -> None:
        """Store an object; see ``ports.Outbound``.

        Args:
            url: of the object.
            pieces: its bytes.
            size: how many there are.

        Raises:
            InvalidArgument: it is not the URL of an object.
        """
        target = outbound.destination(url)
        self._rules.check(target)
        self._objects(target).write(target, pieces, size)

    def database(self, url: str, password: str) -> AbstractContextManager[OutboundDatabase]:
        """See ``ports.Outbound``."""
        from trunkline.drivers.outbound import databases

        target = outbound.database(url)
        self._rules.check(target)
        return databases.transaction(self._rules, target, password)

    def _allowed(self, url: str) -> Target:
        target = outbound.parse(url)
        self._rules.check(target)
        return target

    def _objects(self, target: Target) -> Buckets | Files:
        from trunkline.drivers.outbound import objects

        if target.scheme == "file":
            return objects.Files(self._rules.folders("file"))
        if target.scheme not in outbound.OBJECTS:
            raise InvalidArgument(f"{target} names no file and no object; use http, https, s3, gs or az")
        with self._lock:
            if self._buckets is None:
                self._buckets = objects.Buckets()
            return self._buckets
