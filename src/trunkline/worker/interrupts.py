"""What may call the worker away from a running command: one flag per reason, and one descriptor to wait on.

The thread that renews claims and the handler of SIGTERM raise flags; the main thread, which waits in
``poll`` for its command, sees the descriptor become readable and looks which flag is up. An ``Event``
cannot be polled together with pipes and processes, hence the eventfd.
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
        #: Readable while something wants the main thread's attention.
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        #: The claim is gone: what was computed under it is worthless.
        self.claim_lost = False
        #: The running datum is to be started again.
        self.restart_datum = False
        #: Finish the running datum, hand in and go. Does not end a command.
        self.retire = False
        #: No time or no means are left: end the command, hand in what is finished, give the rest back and go.
        self.give_back = False
        #: Nobody is left to work for: end now.
        self.abandon = False

    def raise_flag(
        self,
        *,
        claim_lost: bool = False,
        restart_datum: bool = False,
        retire: bool = False,
        give_back: bool = False,
        abandon: bool = False,
    ) -> None:
        """Raise flags and wake the main thread. Safe in a signal handler."""
        self.claim_lost |= claim_lost
        self.restart_datum |= restart_datum
        self.retire |= retire or give_back
        self.give_back |= give_back
        self.abandon |= abandon
        os.eventfd_write(self.descriptor, 1)

    def lower_for_new_claim(self) -> None:
        """Forget what concerned the claim before."""
        self.claim_lost = False
        self.restart_datum = False

    @property
    def end_command(self) -> bool:
        """Whether a running command must be ended at once."""
        return self.claim_lost or self.restart_datum or self.give_back or self.abandon

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
