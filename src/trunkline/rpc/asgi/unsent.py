"""Bounds the memory of answers that wait for their clients."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trunkline.model.port_limits import PortLimits

log = logging.getLogger("trunkline.rpc")

#: Seconds between two looks at answers that wait, while there are too many bytes of them.
LOOK = 1.0


class Answering(Protocol):
    """A call that sends parts of its answer, one after the other."""

    @property
    def peer(self) -> str:
        """The client's address."""

    def abandon(self) -> None:
        """End the call at once, without a status."""


class UnsentAnswers:
    """The parts of answers that are being sent. Belongs to the event loop's thread.

    While they have more bytes than ``unsent_answers`` together, those that have waited for ``answer_stall`` seconds are
    ended without a status, the longest first and no more than is necessary. What follows each is in memory too.
    """

    def __init__(self, limits: PortLimits) -> None:
        """Make it.

        Args:
            limits: of the port.
        """
        self._limits = limits
        #: Since when a part waits (the event loop's time), and its bytes; the longest first.
        self._waiting: dict[Answering, tuple[float, int]] = {}
        self._bytes = 0
        self._look: asyncio.TimerHandle | None = None

    def begin(self, call: Answering, size: int) -> None:
        """Count a part of a call's answer."""
        loop = asyncio.get_running_loop()
        self._waiting[call] = (loop.time(), size)
        self._bytes += size
        if self._bytes > self._limits.unsent_answers and self._look is None:
            self._look = loop.call_later(LOOK, self._end_stalled)

    def end(self, call: Answering) -> None:
        """Count the part no longer."""
        self._bytes -= self._waiting.pop(call)[1]

    def _end_stalled(self) -> None:
        loop = asyncio.get_running_loop()
        surplus = self._bytes - self._limits.unsent_answers
        self._look = None
        for call, (since, size) in tuple(self._waiting.items()):
            if surplus <= 0 or since + self._limits.answer_stall > loop.time():
                break
            surplus -= size
            call.abandon()  # a status would wait behind the part, and keep it
            log.warning(
                "a call was ended: its client took nothing of %d bytes for %d s, while %d bytes of answers waited for"
                " their clients and the limit is %d",
                size, self._limits.answer_stall, self._bytes, self._limits.unsent_answers,
                extra={"action": "answer_stalled", "peer": call.peer},
            )  # fmt: skip
        if self._bytes > self._limits.unsent_answers:
            self._look = loop.call_later(LOOK, self._end_stalled)
