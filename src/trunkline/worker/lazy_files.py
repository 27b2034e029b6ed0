"""Files of lazy inputs: named pipes that are filled when a command opens them.

Each file is a pipe. A thread tries to open the pipes for writing, which succeeds as soon as a command waits to read
one. It then fetches the file to the disk, and a thread of its own writes it into the pipe, so that a command may read
several at a time. A pipe gives its content once, as in Pachyderm. Pipes that nobody opens cost nothing but names.

While a command runs the worker's main thread makes no calls, so its connection is used; the threads have ended when
the context ends, which is after the processes that read have ended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.worker.api import ServerAPI

#: Seconds between two looks at the pipes, at least.
_LEAST_PAUSE = 0.005
#: The pause as a multiple of the time that a look took, so that looking takes a twentieth of a core.
_PAUSES_PER_LOOK = 20
#: Seconds in which a writer ends once nobody can read: longer only if the kernel cannot end a process.
_PATIENCE = 5.0
#: Bytes that are written into a pipe at a time.
_COPIED = 1 << 20


class Pipe(NamedTuple):
    """A file of a lazy input."""

    #: Where the pipe is.
    file: str
    #: Position of its item in the assignment.
    item: int
    #: Its path in the repo.
    path: str


class LazyFiles:
    """Fills pipes while the context is open."""

    def __init__(self, api: ServerAPI, claim_id: str, pipes: Sequence[Pipe], folder: str) -> None:
        """Prepare it.

        Args:
            api: a connection that nobody else uses while the context is open.
            claim_id: id of the claim.
            pipes: the pipes.
            folder: for the content of pipes that are open.
        """
        self._api = api
        self._claim_id = claim_id
        self._unopened = list(pipes)
        self._folder = folder
        self._stop: threading.Event | None = None
        self._writers: list[threading.Thread] = []
        #: None without pipes, as for nearly all datums: making a thread costs as much as a small datum's files.
        self._thread: threading.Thread | None = None
        #: Why a file could not be fetched; empty when all were.
        self.failure = ""
        #: Bytes that were fetched.
        self.fetched = 0

    def __enter__(self) -> LazyFiles:
        if self._unopened:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._serve, args=(self._stop,), name="lazy-files", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None or self._stop is None:
            return
        self._stop.set()
        self._thread.join()
        for writer in self._writers:
            writer.join(_PATIENCE)

    def _serve(self, stop: threading.Event) -> None:
        pause = _LEAST_PAUSE
        while not stop.wait(pause):
            begun = time.monotonic()
            self._unopened = [pipe for pipe in self._unopened if not self._is_opened(pipe, stop)]
            pause = max(_LEAST_PAUSE, _PAUSES_PER_LOOK * (time.monotonic() - begun))

    def _is_opened(self, pipe: Pipe, stop: threading.Event) -> bool:
        """Fill a pipe if a command has opened it; whether it need not be looked at any more."""
        try:
            descriptor = os.open(pipe.file, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            return error.errno != errno.ENXIO  # nobody reads it; otherwise the command has removed it
        os.set_blocking(descriptor, True)
        content = f"{self._folder}/lazy-{len(self._writers)}"
        try:
            self._fetch(pipe, content, stop)
        except (TrunklineError, OSError) as error:
            os.close(descriptor)
            self.failure = self.failure or f"input file {pipe.path} could not be fetched: {error}"
            return True
        writer = threading.Thread(target=_fill, args=(descriptor, content), daemon=True)
        self._writers.append(writer)
        writer.start()
        return True

    def _fetch(self, pipe: Pipe, content: str, stop: threading.Event) -> None:
        with open(content, "wb") as file:
            pieces = self._api.fetch(self._claim_id, [pipe.item], direct=False, path=pipe.path)
            with contextlib.closing(pieces):
                for piece, _ in pieces:
                    if stop.is_set():  # nobody waits for it any more
                        return
                    file.write(piece.data)
                    self.fetched += len(piece.data)


def _fill(descriptor: int, content: str) -> None:
    """Write a file into a pipe until its end, or until nobody reads it."""
    try:
        with open(content, "rb", buffering=0) as file:
            while os.sendfile(descriptor, file.fileno(), None, _COPIED):
                pass
    except BrokenPipeError:
        pass
    finally:
        os.close(descriptor)
        os.unlink(content)
