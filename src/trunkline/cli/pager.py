"""Shows long text through the user's pager, on terminals only."""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trunkline.cli import colour

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Ends at once when the text fits the screen, shows colours, and leaves the text there.
_LESS = "FRX"


@contextmanager
def paged(*, use: bool = True) -> Iterator[None]:
    """Send what is printed to the pager, if standard output is a terminal and there is one.

    ``TRUNKLINE_PAGER`` names it, or ``PAGER``, or it is ``less``; ``cat`` or nothing means none.

    Args:
        use: false prints directly.
    """
    command = os.environ.get("TRUNKLINE_PAGER", os.environ.get("PAGER", "less"))
    if not use or not sys.stdout.isatty() or command.strip() in ("", "cat"):
        yield
        return
    import subprocess

    coloured = colour.is_wanted(sys.stdout)
    sys.stdout.flush()
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        env={"LESS": _LESS, **os.environ},
        text=True,
        encoding="utf-8",
    )
    terminal, pipe = sys.stdout, process.stdin
    assert pipe is not None
    if coloured:
        colour.choose("always")
    sys.stdout = pipe
    try:
        yield
    except BrokenPipeError:
        pass  # the reader has seen enough
    finally:
        sys.stdout = terminal
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # it is the pager's while it shows text
                process.wait()
                break
