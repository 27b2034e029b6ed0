"""How tests wait: for a state, with a limit.

Not in a conftest: there are several of that name, and which one an import finds depends on what runs.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a test waits for a state before it fails; a busy machine needs some.
PATIENCE = 60.0


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until ``found()`` is true; fail after ``PATIENCE`` naming ``what`` did not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited without success: {what}"
        time.sleep(0.01)


async def eventually_async(condition: Callable[[], object], what: str) -> None:
    """Do the same in an event loop, which goes on meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited without success: {what}"
        await asyncio.sleep(0.01)


#: Seconds that what is about to end may take to do so.
SETTLING = 30.0


def settled(done: Callable[[], object]) -> bool:
    """Wait until ``done()`` is true; return whether it came true within ``SETTLING``."""
    deadline = time.monotonic() + SETTLING
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
