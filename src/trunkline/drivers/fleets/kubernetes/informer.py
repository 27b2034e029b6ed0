"""List and watch: keeps a reader told of what is in the cluster, whatever the connection does.

A list gives the truth, a watch its changes from there on. A watch that ends or breaks goes on from the last
version it told; one whose version is too old (410 Gone), or that made no sense, begins with a list; and a list
is made anew from time to time whatever the watch says, so that nothing missed stays missed. Bookmarks keep the
version young, and their absence tells a connection that is dead without knowing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trunkline.drivers.fleets.kubernetes import client as kube

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R", bound=Any)

#: Seconds after which the server ends a watch.
WATCH_SECONDS = 300
#: Seconds without a word, bookmarks included, after which a watch counts as dead. The server sends bookmarks
#: about once a minute.
SILENCE_SECONDS = 150.0
#: Seconds between lists when nothing went wrong.
RESYNC_SECONDS = 600.0
#: Seconds to the next try after a failure; doubles up to the last.
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0


class Informer(Generic[R]):
    """Follows one kind of object. Its methods run in the connection's thread."""

    def __init__(
        self,
        connection: kube.Connection,
        kind: type[R],
        *,
        namespace: str | None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        listed: Callable[[list[R], float], None],
        changed: Callable[[str, R], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Say what to follow.

        Args:
            connection: where.
            kind: which type of objects.
            namespace: where they are; None for objects of the whole cluster.
            labels: which ones.
            fields: which ones.
            listed: is given all of them, and the monotonic time before which what was done is in the list.
            changed: is given ADDED, MODIFIED or DELETED and the object.
            failed: is told of each failure; what was said before still holds as far as anybody knows.
        """
        self._client: Any = connection.client
        self._kind: Any = kind
        self._where: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
        self._where |= {"labels": dict(labels or {}) or None, "fields": dict(fields or {}) or None}
        self._listed = listed
        self._changed = changed
        self._failed = failed
        #: Version to watch from; empty when a list is due.
        self._version = ""
        self._listed_at = 0.0

    async def list(self) -> None:
        """Read all once.

        Raises:
            Exception: one of ``client.FAILURES``.
        """
        begun = time.monotonic()
        found = self._client.list(self._kind, **self._where)
        members = [member async for member in found]
        self._listed(members, begun)
        self._version = found.resourceVersion
        self._listed_at = begun

    async def follow(self) -> None:
        """Tell of changes until cancelled."""
        failures = 0
        while True:
            try:
                if not self._version or time.monotonic() - self._listed_at > RESYNC_SECONDS:
                    await self.list()
                if await self._watch():
                    failures = 0
            except kube.FAILURES as error:
                if kube.code(error) == 410:
                    self._version = ""
                    continue
                if not kube.is_lost_connection(error):
                    self._version = ""
                failures += 1
                self._failed(error)
                pause = min(LAST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
                await asyncio.sleep(max(pause * random.uniform(0.5, 1.0), kube.retry_after(error)))

    async def _watch(self) -> bool:
        """Watch until the server or the time ends it. Returns whether it said anything."""
        told = False
        deadline = time.monotonic() + WATCH_SECONDS
        watch = self._client.watch(
            self._kind, resource_version=self._version, server_timeout=WATCH_SECONDS, **self._where
        )
        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(watch), asyncio.timeout(SILENCE_SECONDS) as silence:
                async for change, thing in watch:
                    told = True
                    if change != "BOOKMARK":
                        self._changed(change, thing)
                    self._version = thing.metadata.resourceVersion
                    now = time.monotonic()
                    if now > deadline:
                        break
                    silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
        return told
