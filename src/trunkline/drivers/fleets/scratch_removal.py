"""Removes the scratch folders of workers that have ended, in a thread of its own.

A command may leave millions of files. Their removal takes minutes and must delay neither other workers nor the
start and stop of the server; what is left at the end is removed after the next start.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from typing import TYPE_CHECKING

from trunkline.linux import file_trees
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from pathlib import Path

    from trunkline.runtime.supervision import Supervisor

log = logging.getLogger("trunkline.fleet")

#: Prefix of folders that could not be removed.
ABANDONED = "abandoned-"


class ScratchRemoval:
    """A queue of folders and the thread that removes them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._folders: queue.SimpleQueue[tuple[Path, str] | None] = queue.SimpleQueue()
        self._thread = supervisor.thread("scratch-removal", self._run)

    def add(self, scratch: Path, open_scratch: str) -> None:
        """Remove the two folders of a worker soon.

        Args:
            scratch: the folder; is moved aside when it cannot be removed.
            open_scratch: the folder for commands that run as another user; need not exist.
        """
        self._folders.put((scratch, open_scratch))

    def close(self, seconds: float) -> None:
        """End the thread when all folders are removed, and wait for that at most so many seconds."""
        self._folders.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (folders := self._folders.get()) is not None:
            self._remove(*folders)

    def _remove(self, scratch: Path, open_scratch: str) -> None:
        try:
            failpoints.reach("process-fleet.tidy")
            file_trees.remove_tree(open_scratch)
            file_trees.remove_tree(str(scratch))
        except Exception:
            aside = scratch.with_name(f"{ABANDONED}{scratch.name}")
            log.exception("the scratch folder %s cannot be removed; remove %s by hand", scratch, aside)
            with contextlib.suppress(OSError):
                scratch.rename(aside)
