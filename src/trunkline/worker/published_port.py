"""The published port of a standing program: connections to ``external`` are passed on to ``internal``.

Both are on the loopback interface (docs/design/work.md, "Ports"). A pod publishes its ports elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_HOST = "127.0.0.1"
#: Seconds in which a former worker of the pipeline, which is about to end, must give the port back.
_PATIENCE = 3.0
_PAUSE = 0.1  # seconds between two tries
#: Bytes read at a time.
_READ = 64 << 10


class PortTaken(Exception):
    """The external port cannot be listened on; the message says why."""


class PublishedPort:
    """A context in which the port is published; it has a thread with an event loop."""

    def __init__(self, internal: int, external: int) -> None:
        """Publish nothing yet.

        Args:
            internal: where the program listens.
            external: where clients connect; if it is the same port, the program publishes it itself.
        """
        self._internal = internal
        self._external = external
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        """Listen.

        Raises:
            PortTaken: another program has the port, and keeps it.
        """
        if self._internal == self._external:
            return
        self._loop = asyncio.new_event_loop()
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._server = self._loop.run_until_complete(
                    asyncio.start_server(self._pass_on, _HOST, self._external)
                )
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    self._loop.close()
                    raise PortTaken(
                        f"external_port {self._external} of {_HOST} cannot be listened on"
                        f" ({error.strerror}); name another one in the spec, or end what uses it"
                    ) from error
            time.sleep(_PAUSE)
        self._thread = threading.Thread(target=self._loop.run_forever, name="port", daemon=True)
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Stop listening; the program has ended, and with it every connection."""
        if self._loop is None or self._thread is None or self._server is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client with the program; a program that does not listen yet looks to it like a closed port."""
        with contextlib.suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection(_HOST, self._internal)
            await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what one side sends, and its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
