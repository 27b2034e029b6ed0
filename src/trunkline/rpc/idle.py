"""Ends calls that wait for their client for too long."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING

from trunkline.errors import DeadlineExceeded

if TYPE_CHECKING:
    from types import TracebackType


# Of all timers: by default each has a copy of its task's.
_CONTEXT = contextvars.Context()


class IdleTimeout:
    """Bounds each wait of a call for its client. A context of the task that answers the call.

    Entering and leaving a wait costs a fraction of a microsecond: one timer serves all waits of the call.
    """

    __slots__ = ("_expired", "_limit", "_since", "_task", "_timer", "_why")

    def __init__(self, limit: float, why: str) -> None:
        """Make the bound.

        Args:
            limit: seconds.
            why: what the client did not do, and what to do about it: the end of the error message.
        """
        self._limit = limit
        self._why = why
        self._since: float | None = None
        self._expired = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._limit, self._check, context=_CONTEXT)

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._expired and kind is asyncio.CancelledError:
            if self._task is not None:
                self._task.uncancel()
            raise DeadlineExceeded(f"the call was ended because for {self._limit:,} seconds {self._why}")

    def begin(self) -> None:
        """Begin to wait for the client."""
        self._since = time.monotonic()

    def end(self) -> None:
        """End the wait."""
        self._since = None

    def _check(self) -> None:
        now = time.monotonic()
        due = (now if self._since is None else self._since) + self._limit
        if self._since is not None and due <= now and self._task is not None:
            self._expired = True
            self._task.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(due - now, self._check, context=_CONTEXT)
