"""Fail points: named places where a test lets the server fail, wait or die.

``reach("controller.round")`` costs one comparison while no test has armed anything. A test in the same process arms
an action with ``armed``; a server in a process of its own reads ``TRUNKLINE_FAILPOINTS`` at its start: entries
``NAME=ACTION`` or ``NAME=ACTION@FILE``, separated by semicolons. The second form acts only while the file exists.
Actions: ``kill`` (SIGKILL to itself, as a power cut), ``raise`` (an OSError) and ``spin`` (compute forever).

The technique is that of FreeBSD's fail(9) and TiKV's fail-rs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Variable that arms the fail points of a process when it starts.
VARIABLE = "TRUNKLINE_FAILPOINTS"

#: What each armed fail point does; None while none is armed.
_armed: dict[str, Callable[[], None]] | None = None
_lock = threading.Lock()


def reach(name: str) -> None:
    """Run the action that a test has armed for this place; does nothing in production."""
    if _armed is not None and (action := _armed.get(name)) is not None:
        action()


@contextlib.contextmanager
def armed(name: str, action: Callable[[], None]) -> Iterator[None]:
    """Run ``action`` whenever a fail point is reached, in the thread that reaches it."""
    global _armed
    with _lock:
        _armed = {**(_armed or {}), name: action}
    try:
        yield
    finally:
        with _lock:
            others = {key: value for key, value in (_armed or {}).items() if key != name}
            _armed = others or None


def arm_from_environment() -> None:
    """Arm the fail points that ``TRUNKLINE_FAILPOINTS`` names.

    Raises:
        InvalidArgument: the variable is not valid.
    """
    global _armed
    entries = [entry for entry in os.environ.get(VARIABLE, "").split(";") if entry]
    if entries:
        _armed = dict(_parsed(entry) for entry in entries)


def failing(times: int | None = None) -> Callable[[], None]:
    """Return an action that raises OSError, the first ``times`` times or always."""
    remaining = times

    def action() -> None:
        nonlocal remaining
        if remaining is None or remaining > 0:
            remaining = remaining if remaining is None else remaining - 1
            raise OSError("a test has armed this fail point")

    return action


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _spin() -> None:
    while True:
        pass


def _parsed(entry: str) -> tuple[str, Callable[[], None]]:
    name, _, rest = entry.partition("=")
    verb, _, file = rest.partition("@")
    act = {"kill": _kill, "raise": failing(), "spin": _spin}.get(verb)
    if act is None:
        raise InvalidArgument(f"{VARIABLE} has the entry {entry!r}; write NAME=kill, NAME=raise or NAME=spin")

    def action() -> None:
        if not file or os.path.exists(file):
            act()

    return name, action
