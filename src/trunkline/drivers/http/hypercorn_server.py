"""Serves an ASGI application by Hypercorn: HTTP/1.1 and HTTP/2 in Python. Slow, but of other authors than h2corn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.protocol import h2

from trunkline import errors
from trunkline.drivers.http.connections import ConnectionGuard
from trunkline.runtime import listening

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence

    from trunkline.model.port_limits import PortLimits
    from trunkline.runtime.certificates import Files
    from trunkline.runtime.listening import Listeners

    Event = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Event]]
    Send = Callable[[Event], Awaitable[None]]
    Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Requests after which a connection is closed: never.
REQUESTS = 1 << 62
#: Seconds that requests have to end. The application ends them before.
GRACE = 30.0
#: Seconds in which connections without requests close at the stop. Those whose last request was reset do not.
LINGER = 1.0

log = logging.getLogger("trunkline.drivers.http")


class _StreamBuffer(h2.StreamBuffer):  # type: ignore[misc]
    """What a stream sends, with ``push`` waiting as it should: Hypercorn's goes on when nothing can be sent."""

    async def push(self, data: bytes) -> None:
        """Add bytes; wait until few are left."""
        if self._complete:
            raise h2.BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        if len(self.buffer) >= h2.BUFFER_HIGH_WATER:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        """Remove and return the first bytes."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < h2.BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


# No setting changes these. The tree of priorities takes 1,000 streams of a connection by default.
h2.StreamBuffer = _StreamBuffer
_PriorityTree = h2.priority.PriorityTree


class HypercornServer:
    """A server on some addresses (``ports.HttpServer``).

    Hypercorn reads a connection only while all of its requests are read: an upload that waits delays the others on its
    connection, and its client's disconnect is noticed when it goes on.
    """

    def __init__(
        self, listeners: Listeners, limits: PortLimits, tls: Files | None = None, trusted: Iterable[str] = ()
    ) -> None:
        """Prepare to serve; clients that connect wait until ``start``.

        Args:
            listeners: where to listen; closed with the server.
            limits: of the port; docs/design/port.md says which of them Hypercorn lacks.
            tls: certificate and key for connections by TCP; None for plain ones.
            trusted: addresses and networks whose connections are not counted by address.

        Raises:
            InvalidArgument: one of ``trusted`` is not an address or a network.
        """
        self._guard = ConnectionGuard(listeners.ports, limits, trusted)
        h2.priority.PriorityTree = partial(_PriorityTree, maximum_streams=limits.streams)
        self.address = listeners.address
        self.addresses: Sequence[str] = listeners.addresses
        self._listeners = listeners
        config = _Config(tls)
        config.backlog = listening.BACKLOG
        config.errorlog = log
        config.include_server_header = False
        config.h2_max_concurrent_streams = limits.streams
        config.h2_max_header_list_size = config.h11_max_incomplete_size = limits.header_bytes
        config.keep_alive_timeout = limits.idle_connection
        config.ssl_handshake_timeout = limits.handshake
        config.keep_alive_max_requests = REQUESTS
        config.graceful_timeout = GRACE
        self._config = config
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    async def start(self, application: Application) -> None:
        """Accept requests for an ASGI application."""
        watched = _Watched(self._guard.counted(application))
        self._guard.start()
        tcp, unix = self._listeners.tcp, self._listeners.unix
        if self._config.tls is not None:
            self._config.load()
            self._config.bind, self._config.insecure_bind = _descriptors(tcp), _descriptors(unix)
        else:
            self._config.bind = _descriptors((*tcp, *unix))
        self._serving = asyncio.create_task(
            serve(watched, self._config, shutdown_trigger=self._stop.wait), name="http"
        )
        started = asyncio.create_task(watched.started.wait())
        await asyncio.wait((self._serving, started), return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._serving.done():
            self._serving.result()

    async def renew_certificate(self) -> None:
        """Use the certificate and key that the files contain now for new connections."""
        self._config.load()

    def refuse(self) -> None:
        """Accept no more connections, and tell clients to send no more requests."""
        self._stop.set()
        self._listeners.close()

    async def close(self) -> None:
        """Wait until running requests have ended, and free the address."""
        self.refuse()
        await self._guard.close()
        if self._serving is None:
            return
        await asyncio.wait((self._serving,), timeout=LINGER)
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving


class _Config(Config):  # type: ignore[misc]
    """Hypercorn's configuration, with a certificate that can be replaced."""

    def __init__(self, tls: Files | None) -> None:
        self.tls = tls
        if tls is not None:
            self.certfile, self.keyfile = str(tls.certificate), str(tls.key)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.set_alpn_protocols(self.alpn_protocols)

    def load(self) -> None:
        """Read the certificate and key; handshakes from now on use them.

        Raises:
            InvalidArgument: they cannot be used.
        """
        if self.tls is None:
            return
        try:
            # Checked first: a context that has loaded only one of them cannot be used.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self.tls)
            self._context.load_cert_chain(*self.tls)
        except OSError as error:
            raise errors.InvalidArgument(
                f"the certificate {self.tls.certificate} cannot be used ({error}); replace it"
            ) from error

    def create_ssl_context(self) -> ssl.SSLContext:
        """Return the context of all connections."""
        return self._context


def _descriptors(opened: Iterable[socket.socket]) -> list[str]:
    return [f"fd://{os.dup(each.fileno())}" for each in opened]  # Hypercorn closes them


class _Watched:
    """An application whose requests are cancelled when their client disconnects, and the end of Hypercorn's start."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.started = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.started.set()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = _Request(receive, send)
        watching = asyncio.create_task(request.watch())
        try:
            await self._application(scope, request.receive, request.send)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


class _Request:
    """One request, whose events are read one ahead, so that its disconnect is seen."""

    __slots__ = ("_answered", "_events", "_receive", "_send", "_task", "_trailers")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._events: asyncio.Queue[Event] = asyncio.Queue(1)
        self._task = asyncio.current_task()
        self._trailers = False  # whether trailers end the answer
        self._answered = False

    async def watch(self) -> None:
        """Pass the events on, and cancel the request's task when the client disconnects before it has its answer."""
        while (event := await self._receive())["type"] != "http.disconnect":
            await self._events.put(event)
        if not self._answered and self._task is not None:
            self._task.cancel()

    async def receive(self) -> Event:
        return await self._events.get()

    async def send(self, event: Event) -> None:
        match event["type"]:
            case "http.response.start":
                self._trailers = event.get("trailers", False)
            case "http.response.body":
                self._answered = not (self._trailers or event.get("more_body", False))
            case "http.response.trailers":
                self._answered = not event.get("more_trailers", False)
        await self._send(event)
