"""Profiles of this process: sampled stacks, objects by type, and the stacks of all threads now.

Stacks are written folded, a line of frames and a count each, as flame graph tools read them.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import sys
import threading
import time
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds between two samples; a sample takes some 0.1 ms.
INTERVAL = 0.01
#: Types of objects in a heap profile.
LARGEST = 500
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x(?P<number>[0-9a-f]+)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>[^"\n]*)", line (?P<line>\S+) in (?P<function>.+)$', re.MULTILINE)


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
    """Return the stacks of all threads but one, outermost function first.

    ``faulthandler`` writes them: it walks them without letting a thread go on meanwhile. To follow ``f_back`` of the
    frames of other threads reads freed memory in CPython 3.11 when they go on.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks: list[str] = []
    for number, frames in _threads(_dump()):
        if number != without:
            stacks.append(";".join((names.get(number, "unknown"), *reversed(frames))))
    return stacks


def _dump() -> str:
    with open(os.memfd_create("stacks"), "r+b", buffering=0) as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode(errors="replace")


def _threads(dump: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each thread of a dump: its identifier, and its functions as ``module.function:line``, innermost first."""
    for block in dump.split("\n\n"):
        thread = _THREAD.search(block)
        if thread:
            frames = [
                f"{_module(frame['file'])}.{frame['function']}:{frame['line']}"
                for frame in _FRAME.finditer(block)
            ]
            yield int(thread["number"], 16), frames


@cache
def _module(file: str) -> str:
    """Return the module of a source file: its path below the folder that it is imported from, with dots."""
    folders = [folder for folder in sys.path if folder and file.startswith(folder + os.sep)]
    path = file[len(max(folders, key=len)) + 1 :] if folders else file
    return path.removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")


def count_objects(seconds: float, stop: threading.Event) -> str:
    """Return the types of objects that use most memory, and how much they grew during a time. Blocks.

    Each line has bytes, objects, growth of both, and the type. Objects that refer to no others, such as texts and
    bytes, are not known to the garbage collector and not counted. ``tracemalloc`` would say where they were made, but
    its end can crash a process with threads before Python 3.12.9 and 3.13.2 (CPython issue 128679).

    Args:
        seconds: how long to wait between the two counts.
        stop: ends it early.
    """
    earlier = _objects()
    stop.wait(seconds)
    now = _objects()
    largest = sorted(now.items(), key=lambda entry: entry[1], reverse=True)[:LARGEST]
    return "".join(
        f"{size} {number} {size - earlier[name][0]:+} {number - earlier[name][1]:+} {name}\n"
        for name, (size, number) in largest
    )


def _objects() -> defaultdict[str, tuple[int, int]]:
    """Return bytes and number of the objects of each type."""
    counted: defaultdict[type, list[int]] = defaultdict(lambda: [0, 0])
    for each in gc.get_objects():
        entry = counted[type(each)]
        entry[0] += sys.getsizeof(each, 0)
        entry[1] += 1
    by_name: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for kind, (size, number) in counted.items():
        name = f"{kind.__module__}.{kind.__qualname__}"
        by_name[name] = (by_name[name][0] + size, by_name[name][1] + number)
    return by_name
