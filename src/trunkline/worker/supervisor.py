"""Makes the worker the first process of its own PID namespace.

The process that the fleet started stays outside: it forwards SIGTERM and exits as the worker exits. Inside, commands
can see and signal only each other: the kernel ignores signals that they send to the first process, and kills all of
them when it ends for any reason.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import NoReturn

from trunkline.linux import libc


def enter(parent: int) -> bool:
    """Continue as the first process of a new PID namespace; False when the kernel does not allow one.

    Args:
        parent: process whose end ends the worker; 0 for none.
    """
    try:
        libc.unshare(libc.CLONE_NEWPID)
    except OSError:
        return False
    # Until both have their handlers, or the signal would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(reader)
        _wait(child, parent)
    os.close(writer)
    # Until the worker has results to report, SIGTERM ends it at once. The first process of a namespace ignores
    # signals that it has no handler for.
    signal.signal(signal.SIGTERM, _exit)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    arm(reader)
    return True


#: Readable when the process outside has ended.
_outside = -1


def arm(reader: int = -1) -> None:
    """Make the kernel end this process when the one outside ends; repeated after a change of credentials."""
    global _outside
    if reader >= 0:
        _outside = reader
    if _outside < 0:
        return
    libc.die_with_parent(signal.SIGKILL)
    poller = select.poll()
    poller.register(_outside, select.POLLIN)
    if poller.poll(0):
        os._exit(1)  # it ended before this process could follow it


def _exit(number: int, frame: object) -> NoReturn:
    del number, frame
    sys.exit(0)


def _wait(child: int, parent: int) -> NoReturn:
    """Forward SIGTERM until the child ends; exit in the same way."""

    def pass_on(number: int, frame: object) -> None:
        del frame
        orphaned = bool(parent) and os.getppid() != parent
        os.kill(child, signal.SIGKILL if orphaned else number)

    signal.signal(signal.SIGTERM, pass_on)
    libc.hide_memory()
    if parent:
        libc.die_with_parent(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if parent and os.getppid() != parent:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
