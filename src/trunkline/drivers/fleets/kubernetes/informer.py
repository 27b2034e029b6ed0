"""Lists and watches one kind of Kubernetes object and reports every change to its reader.

A list gives the state, a watch the changes after it. A watch that ends or breaks continues from the last
version it reported. A version that is too old (410 Gone), or an answer that cannot be decoded, starts a new
list. A list is also repeated from time to time, so that a missed change does not stay missed. Bookmarks keep
the version recent, and a watch without them counts as dead.

An error of the reader concerns one object: it is logged with the object's name, and the others are reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trunkline.drivers.fleets.kubernetes import client as kube

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R", bound=Any)

log = logging.getLogger("trunkline.kubernetes")

#: Seconds after which the API server ends a watch.
WATCH_SECONDS = 300
#: Seconds without any event, bookmarks included, after which a watch counts as dead. The API server sends
#: bookmarks about once a minute.
SILENCE_SECONDS = 150.0
#: Seconds between two lists when nothing went wrong.
RESYNC_SECONDS = 600.0
#: Seconds before the next try after a failure; they double up to the second value.
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
        changed: Callable[[str, R], None],
        failed: Callable[[Exception], None],
        listed: Callable[[set[str], float], None] | None = None,
    ) -> None:
        """Define what to follow.

        Args:
            connection: the connection to the API server.
            kind: the type of the objects.
            namespace: their namespace; None for objects of the whole cluster.
            labels: label selector.
            fields: field selector.
            changed: receives ADDED, MODIFIED or DELETED and the object. A list reports all its objects as ADDED.
            failed: receives each failed call. What was reported before it is still the last known state.
            listed: receives the names in a complete list, after ``changed``, and the monotonic time at which
                the list was requested: changes made before it are in the list.
        """
        self._client: Any = connection.client
        self._kind: Any = kind
        self._where: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
        self._where |= {"labels": dict(labels or {}) or None, "fields": dict(fields or {}) or None}
        self._changed = changed
        self._listed = listed
        self._failed = failed
        #: Version to watch from; empty when a list is due.
        self._version = ""
        self._listed_at = 0.0

    async def list(self) -> None:
        """Read all objects once.

        Raises:
            Exception: one of ``client.FAILURES``.
        """
        requested_at = time.monotonic()
        answer = self._client.list(self._kind, **self._where)
        members = [member async for member in answer]
        for member in members:
            self._report("ADDED", member)
        if self._listed is not None:
            self._listed({_name(member) for member in members}, requested_at)
        self._version = answer.resourceVersion
        self._listed_at = requested_at

    async def follow(self) -> None:
        """Report changes until cancelled."""
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
        """Watch until the API server or the time ends it. Returns whether there was any event."""
        active = False
        deadline = time.monotonic() + WATCH_SECONDS
        watch = self._client.watch(
            self._kind, resource_version=self._version, server_timeout=WATCH_SECONDS, **self._where
        )
        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(watch), asyncio.timeout(SILENCE_SECONDS) as silence:
                async for change, member in watch:
                    active = True
                    if change != "BOOKMARK":
                        self._report(change, member)
                    self._version = member.metadata.resourceVersion
                    now = time.monotonic()
                    if now > deadline:
                        break
                    silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
        return active

    def _report(self, change: str, member: R) -> None:
        try:
            self._changed(change, member)
        except Exception:
            # A fault of ours with one object must not hide the others.
            log.exception(
                "cannot process the change %s of %s %s; its last state stays",
                change,
                self._kind.__name__.lower(),
                _name(member),
                extra={"action": "informer_error", "object": _name(member)},
            )


def _name(member: Any) -> str:
    metadata = member.metadata
    return (metadata.name if metadata is not None else "") or ""
