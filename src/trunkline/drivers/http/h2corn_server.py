"""Serves an ASGI application by h2corn: HTTP/1.1 and HTTP/2 in Rust, inside the running event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2corn import Config, Server

from trunkline.runtime import listening

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: Requests of one connection at a time. A channel of the published SDK may hold as many subscriptions.
STREAMS = 4096
#: Bytes that a client may send ahead on one stream and on one connection. An upload that waits for room holds a stream
#: window, and the others on its connection go on.
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 8 << 20
#: Seconds after which a connection without requests is closed; clients connect again.
IDLE_CONNECTION = 600.0
#: Seconds in which a client takes something of an answer. The application's own limit, with a message, is shorter.
STALLED_ANSWER = 660.0
#: Seconds that requests have to end. The application ends them before.
GRACE = 30.0


class H2cornServer:
    """A server on one address (``ports.HttpServer``)."""

    def __init__(self, listen: str, log_format: str) -> None:
        """Listen; clients that connect wait until ``start``.

        Args:
            listen: ``HOST:PORT``; port 0 for any free one.
            log_format: text or json, for what h2corn itself writes to standard error.

        Raises:
            InvalidArgument: ``listen`` is not ``HOST:PORT``.
            Unavailable: the address cannot be listened on.
        """
        self.address, self._sockets = listening.sockets(listen)
        self._config = Config(
            bind=tuple(f"fd://{opened.fileno()}" for opened in self._sockets),
            grpc=True,
            lifespan="off",
            access_log=False,
            log_format="json" if log_format == "json" else "text",
            max_concurrent_streams=STREAMS,
            h2_initial_stream_window_size=STREAM_WINDOW,
            h2_initial_connection_window_size=CONNECTION_WINDOW,
            timeout_keep_alive=IDLE_CONNECTION,
            h2_timeout_response_stall=STALLED_ANSWER,
            h2_timeout_write=STALLED_ANSWER,
            timeout_graceful_shutdown=GRACE,
        )
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, application: Callable[..., Awaitable[None]]) -> None:
        """Accept requests for an ASGI application."""
        self._server = Server(application, self._config)
        self._serving = asyncio.create_task(self._server.serve(), name="http")
        await self._server.wait_started()

    def refuse(self) -> None:
        """Accept no more connections, and tell clients to send no more requests."""
        if self._server is not None:
            self._server.shutdown()

    async def close(self) -> None:
        """Wait until running requests have ended, and free the address."""
        self.refuse()
        for opened in self._sockets:
            opened.close()
        if self._serving is not None:
            await self._serving
