"""Stops a server: on a signal, when a service is lost, or when another server has taken over.

The first SIGTERM or SIGINT begins an orderly stop, the second one ends the process at once. However the stop begins,
the process ends ``STOP_SECONDS`` later at the latest, whatever its threads are doing; the next start
continues interrupted work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.errors import TrunklineError

log = logging.getLogger("trunkline.app")

#: Seconds from the beginning of a stop to the end of the process. Kubernetes and systemd wait longer.
STOP_SECONDS = 20.0


class Stop:
    """The stop of a server. Every method except ``wait`` may be called from any thread."""

    def __init__(self, exit_code: Callable[[TrunklineError], int]) -> None:
        """Create it for the running event loop.

        Args:
            exit_code: returns the code with which an error ends the process.
        """
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._lock = threading.Lock()  # guards the two below
        self._timer: threading.Timer | None = None
        #: Why the server ends; None for a signal.
        self.error: TrunklineError | None = None
        self._exit_code = exit_code

    def listen(self) -> None:
        """Stop the server on SIGTERM and SIGINT. Call this in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not the event loop's own handlers: those run only when the loop is free.
            signal.signal(number, self._on_signal)

    async def wait(self) -> None:
        """Wait until the stop begins."""
        await self._begun.wait()

    def begin(self, error: TrunklineError | None = None) -> None:
        """Begin the stop, because of ``error`` or on request."""
        with self._lock:
            if self._timer is not None:
                return
            self.error = error
            self._timer = threading.Timer(STOP_SECONDS, self._give_up)
            self._timer.daemon = True
            self._timer.start()
        self._loop.call_soon_threadsafe(self._begun.set)

    def finish(self) -> None:
        """End the process by force if threads are left that would keep it alive; else return."""
        remaining = [
            thread.name
            for thread in threading.enumerate()
            if thread is not threading.current_thread() and not thread.daemon
        ]
        if remaining:
            log.warning("stopped; %s did not end and is ended by force", ", ".join(sorted(remaining)))
            self._exit()

    def _on_signal(self, number: int, _frame: object) -> None:
        if self._timer is not None:
            os._exit(128 + number)
        # Not in this frame: the lock may be held by the code that the signal interrupted.
        threading.Thread(target=self.begin, name="stop", daemon=True).start()

    def _give_up(self) -> None:
        log.error("the server did not stop within %.0f s and is ended by force", STOP_SECONDS)
        self._exit()

    def _exit(self) -> None:
        code = 0 if self.error is None else self._exit_code(self.error)
        if self.error is not None:
            sys.stderr.write(f"trunkline: {self.error.message}\n")
        sys.stderr.flush()
        os._exit(code)
