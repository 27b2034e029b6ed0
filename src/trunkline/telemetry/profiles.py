"""Profiles of this process: sampled stacks, allocations, and the stacks of all threads now.

Stacks are written folded, a line of frames and a count each, as flame graph tools read them.
"""

from __future__ import annotations

import sys
import threading
import time
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING

from trunkline import errors

if TYPE_CHECKING:
    from types import FrameType

#: Seconds between two samples; a sample takes some 0.1 ms.
INTERVAL = 0.01
#: Lines of code in a profile of allocations.
LARGEST = 500
_heap = threading.Lock()


def sample_stacks(seconds: float, stop: threading.Event) -> str:
    """Sample the stacks of all threads for a time and return them folded. Blocks.

    Args:
        seconds: how long.
        stop: ends it early.
    """
    counted: Counter[str] = Counter()
    end, own = time.monotonic() + seconds, threading.get_ident()
    while time.monotonic() < end and not stop.wait(INTERVAL):
        counted.update(_stacks(own))
    return "".join(f"{stack} {count}\n" for stack, count in counted.most_common())


def thread_stacks() -> str:
    """Return the stacks of all threads now, folded."""
    return "".join(f"{stack} 1\n" for stack in _stacks(0))


def _stacks(without: int) -> list[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        ";".join((names.get(number, "unknown"), *_frames(frame)))
        for number, frame in sys._current_frames().items()
        if number != without
    ]


def _frames(frame: FrameType | None) -> list[str]:
    """Return the functions of a stack, outermost first."""
    frames = []
    while frame is not None:
        code = frame.f_code
        frames.append(f"{frame.f_globals.get('__name__', '?')}.{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return frames[::-1]


def trace_allocations(seconds: float, stop: threading.Event) -> str:
    """Return where memory was allocated during a time and is still in use: bytes, number, line. Blocks.

    Args:
        seconds: how long; the server is slower meanwhile.
        stop: ends it early.

    Raises:
        FailedPrecondition: another profile of allocations is being made.
    """
    if not _heap.acquire(blocking=False):
        raise errors.FailedPrecondition(
            "another heap profile is being made; wait until it is done, and send the request again"
        )
    try:
        tracemalloc.start()
        stop.wait(seconds)
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
        _heap.release()
    lines = snapshot.statistics("lineno")[:LARGEST]
    return "".join(f"{line.size} {line.count} {line.traceback[0]}\n" for line in lines)
