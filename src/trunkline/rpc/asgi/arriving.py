"""Bounds the memory of requests: messages that are not whole yet, and large single ones that are being answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from trunkline import errors
from trunkline.linux import libc

if TYPE_CHECKING:
    from trunkline.model.port_limits import PortLimits

log = logging.getLogger("trunkline.rpc")

#: Bytes of a message that are not counted: with them any call goes on, however many large ones there are.
UNCOUNTED = 64 << 10
#: Bytes of which most have been freed when memory is returned to the operating system: the C library keeps it.
RETURNED = 32 << 20
#: Seconds between two looks at calls whose clients send nothing, while there are too many bytes.
LOOK = 1.0


class Receiving(Protocol):
    """A call whose requests arrive."""

    @property
    def peer(self) -> str:
        """The client's address."""

    def end(self, error: errors.TrunklineError) -> None:
        """End the call with the status for an error."""


class ArrivingRequest:
    """The bytes that one call holds of its requests. Belongs to the event loop's thread."""

    __slots__ = ("_all", "_call", "held", "reading_since")

    def __init__(self, requests: ArrivingRequests, call: Receiving) -> None:
        """Make it.

        Args:
            requests: those of all calls.
            call: that holds the bytes.
        """
        self._all = requests
        self._call = call
        self.held = 0
        #: Since when its client is waited for (the event loop's time); None while it is not.
        self.reading_since: float | None = None

    def hold(self, size: int) -> None:
        """Say how many bytes the call holds now."""
        if size > UNCOUNTED or self.held:
            self._all.count(self, size if size > UNCOUNTED else 0)

    def release(self) -> None:
        """Say that the call holds nothing any more."""
        if self.held:
            self._all.count(self, 0)

    def is_whole(self) -> None:
        """Say that the client is not waited for any more."""
        if self.held:
            self._all.pass_on(self)

    async def room(self) -> None:
        """Return when the call may read on.

        Raises:
            ResourceExhausted: other calls hold far too much.
        """
        if self.held:
            await self._all.room(self)

    def begin(self) -> None:
        """Begin to wait for the client."""
        if self.held:
            self.reading_since = asyncio.get_running_loop().time()

    def end(self) -> None:
        """End the wait."""
        self.reading_since = None

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._call.peer

    def stall(self) -> None:
        """End the call: its client sends nothing, and others need the room."""
        seconds = self._all.limits.request_stall
        self._call.end(
            errors.ResourceExhausted(
                f"the call was ended because its client sent nothing of a message for {seconds:g} s, while the server"
                " has too many bytes of such messages; send it without a pause"
            )
        )


class ArrivingRequests:
    """The bytes of all calls, those of small messages apart. Belongs to the event loop's thread.

    While they are more than ``arriving_requests``, one call at a time reads on until its message is whole, and those
    whose client sends nothing for ``request_stall`` seconds are ended, the longest first. Beyond twice as many bytes,
    calls with large messages are refused.
    """

    def __init__(self, limits: PortLimits) -> None:
        """Make it.

        Args:
            limits: of the port.
        """
        self.limits = limits
        #: Bytes of all calls.
        self.held = 0
        self._calls: dict[ArrivingRequest, None] = {}
        #: The one that reads on although there are too many bytes.
        self._favoured: ArrivingRequest | None = None
        self._waiting: deque[tuple[ArrivingRequest, asyncio.Future[None]]] = deque()
        self._look: asyncio.TimerHandle | None = None
        #: The most bytes since memory was last returned to the operating system.
        self._most = 0

    def count(self, call: ArrivingRequest, size: int) -> None:
        """Count so many bytes for a call, instead of what it had."""
        self.held += size - call.held
        call.held = size
        self._most = max(self._most, self.held)
        if self._most > RETURNED and self.held < self._most // 4:
            self._most = self.held
            asyncio.get_running_loop().call_later(LOOK, _return_memory)  # when the bytes have been freed
        if size:
            self._calls[call] = None
        else:
            self._calls.pop(call, None)
            self.pass_on(call)
        self._watch()

    def pass_on(self, call: ArrivingRequest) -> None:
        """Let others read on instead of a call."""
        if self._favoured is call:
            self._favoured = None
        if self._waiting:
            self._admit()

    async def room(self, call: ArrivingRequest) -> None:
        """Return when a call may read on.

        Args:
            call: that holds bytes.

        Raises:
            ResourceExhausted: all calls hold far too much.
        """
        if self._favoured is call or self.held <= self.limits.arriving_requests:
            return
        if self._favoured is None and not self._waiting and self.held <= 2 * self.limits.arriving_requests:
            self._favoured = call
            return
        if self.held > 2 * self.limits.arriving_requests:
            raise errors.ResourceExhausted(
                f"the server has {self.held:,} bytes of large messages that arrive, the limit is"
                f" {self.limits.arriving_requests:,}; try again later"
            )
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((call, waiter))
        try:
            await waiter
        finally:
            if not waiter.done() or waiter.cancelled():
                self._waiting = deque(entry for entry in self._waiting if entry[1] is not waiter)

    def _admit(self) -> None:
        """Let calls that wait read on: all of them when there is room, else the first one."""
        while self._waiting:
            if self.held > self.limits.arriving_requests and self._favoured is not None:
                return
            call, waiter = self._waiting.popleft()
            if waiter.done():
                continue
            if self.held > self.limits.arriving_requests:
                self._favoured = call
            waiter.set_result(None)

    def _watch(self) -> None:
        if self.held > self.limits.arriving_requests and self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK, self._end_stalled)

    def _end_stalled(self) -> None:
        """End the calls whose client is waited for too long, while there are too many bytes."""
        self._look = None
        stalled_before = asyncio.get_running_loop().time() - self.limits.request_stall
        surplus = self.held - self.limits.arriving_requests
        reading = [
            (call.reading_since, call)
            for call in self._calls
            if call.reading_since is not None and call.reading_since <= stalled_before
        ]
        for _, call in sorted(reading, key=lambda entry: entry[0]):
            if surplus <= 0:
                break
            surplus -= call.held
            call.stall()
            log.warning(
                "a call was ended: its client sent nothing of a message for %g s, while messages that arrive have %d"
                " bytes and the limit is %d",
                self.limits.request_stall, self.held, self.limits.arriving_requests,
                extra={"action": "request_stalled", "peer": call.peer},
            )  # fmt: skip
        self._watch()


def _return_memory() -> None:
    asyncio.get_running_loop().run_in_executor(None, libc.return_memory)
