"""Interruptions of a running command: one flag per reason, and one descriptor to wait on.

The heartbeat thread and the SIGTERM handler raise flags. The main thread, which waits in ``poll`` for its command,
is woken by the descriptor and reads the flags. The descriptor is an eventfd because an ``Event`` cannot be polled
together with pipes and processes.
"""

from __future__ import annotations

import contextlib
import os
import select


class Interrupted(Exception):
    """The running command was ended because of a flag."""


class Interrupts:
    """Flags that any thread may raise and the main thread reads."""

    def __init__(self) -> None:
        #: Readable while a flag waits to be handled.
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        #: The claim is lost: its results will not be accepted.
        self.claim_lost = False
        #: Start the running datum again.
        self.restart_datum = False
        #: Finish the running datum, report the results and exit. Does not end a command.
        self.retire = False
        #: Out of time or unable to run commands: kill the command, report the finished datums, release the others and
        #: exit.
        self.give_back = False
        #: The server or the parent process has ended: exit now.
        self.abandon = False
        #: The command runs without end, so that ``retire`` ends it.
        self.is_standing = False

    def raise_flag(
        self,
        *,
        claim_lost: bool = False,
        restart_datum: bool = False,
        retire: bool = False,
        give_back: bool = False,
        abandon: bool = False,
    ) -> None:
        """Raise flags and wake the main thread. Safe in a signal handler.

        Args:
            claim_lost: the claim is lost.
            restart_datum: start the running datum again.
            retire: finish the running datum and exit.
            give_back: kill the command, release unfinished datums and exit.
            abandon: exit now.
        """
        self.claim_lost |= claim_lost
        self.restart_datum |= restart_datum
        self.retire |= retire or give_back
        self.give_back |= give_back
        self.abandon |= abandon
        os.eventfd_write(self.descriptor, 1)

    def lower_for_new_claim(self) -> None:
        """Clear the flags of the previous claim."""
        self.claim_lost = False
        self.restart_datum = False

    @property
    def end_command(self) -> bool:
        """Whether a running command must be ended at once."""
        lasting = self.is_standing and self.retire
        return self.claim_lost or self.restart_datum or self.give_back or self.abandon or lasting

    def quiet(self) -> None:
        """Make the descriptor unreadable until the next flag."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)

    def wait(self, seconds: float) -> None:
        """Wait until a flag is raised, or for ``seconds``."""
        poller = select.poll()
        poller.register(self.descriptor, select.POLLIN)
        poller.poll(seconds * 1000)
        self.quiet()
