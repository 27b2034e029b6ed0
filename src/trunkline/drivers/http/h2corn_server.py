"""Serves an ASGI application by h2corn: HTTP/1.1 and HTTP/2 in Rust, inside the running event loop."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.drivers.http.connections import ConnectionGuard
from trunkline.drivers.http.disconnects import CancelledWhenGone

# Its allocator reads this when the library is loaded. By default it keeps freed pages until it is used again.
os.environ["MIMALLOC_PURGE_DELAY"] = "0"
from h2corn import Config, Server, _lib

del os.environ["MIMALLOC_PURGE_DELAY"]  # not for the programs that this process starts

# It writes three lines about itself to standard error at its start; there is no setting against them.
_lib.emit_banner = lambda config, tls: None  # noqa: ARG005

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from trunkline.drivers.http.connections import Application
    from trunkline.model.port_limits import PortLimits
    from trunkline.runtime.certificates import Files
    from trunkline.runtime.listening import Listeners

log = logging.getLogger("trunkline.drivers.http")

#: Seconds by which a client may be slower to take something of an answer than the application allows.
STALLED_ANSWER = 60.0
#: Seconds that requests have to end. The application ends them before.
GRACE = 30.0
#: Seconds after which the server starts again when it has failed: by itself it ends at any error of the system.
RESTART = 0.5
#: Seconds that requests have to end on a server whose certificate has been replaced: as long as they take.
REPLACED_GRACE = 365 * 86_400.0


class H2cornServer:
    """A server on some addresses (``ports.HttpServer``)."""

    def __init__(
        self,
        listeners: Listeners,
        limits: PortLimits,
        log_format: str,
        tls: Files | None = None,
        trusted: Iterable[str] = (),
    ) -> None:
        """Prepare to serve; clients that connect wait until ``start``.

        Args:
            listeners: where to listen; closed with the server.
            limits: of the port.
            log_format: text or json, for what h2corn itself writes to standard error.
            tls: certificate and key for connections by TCP; None for plain ones.
            trusted: addresses and networks whose connections are not counted by address.

        Raises:
            InvalidArgument: one of ``trusted`` is not an address or a network.
        """
        self._guard = ConnectionGuard(listeners.ports, limits, trusted)
        self.address = listeners.address
        self.addresses: Sequence[str] = listeners.addresses
        self._listeners = listeners
        settings: dict[str, Any] = {
            "grpc": True,
            "max_request_body_size": 0,  # the application limits messages, not streams
            "lifespan": "off",
            "access_log": False,
            "log_format": "json" if log_format == "json" else "text",
            "max_concurrent_streams": limits.streams,
            "limit_concurrency": limits.requests,
            "limit_request_fields": limits.headers,
            "limit_request_head_size": limits.header_bytes,
            "h2_max_header_list_size": limits.header_bytes,
            "h2_max_header_block_size": limits.header_bytes,
            "timeout_handshake": float(limits.handshake),
            "timeout_request_header": float(limits.header_pause),
            "timeout_request_body_idle": float(limits.body_pause),
            "h2_initial_stream_window_size": limits.stream_window,
            "h2_initial_connection_window_size": limits.connection_window,
            "timeout_keep_alive": float(limits.idle_connection),
            "h2_timeout_response_stall": limits.download_idle + STALLED_ANSWER,
            "h2_timeout_write": limits.download_idle + STALLED_ANSWER,
        }
        tcp, unix = _descriptors(listeners.tcp), _descriptors(listeners.unix)
        both = tls is not None and tcp and unix  # two servers
        settings["limit_connections"] = max(1, limits.connections // 2 if both else limits.connections)
        #: By whether they use TLS.
        self._configs: dict[bool, Config] = {}
        if unix or tls is None:
            bind = unix if tls is not None else (*tcp, *unix)
            self._configs[False] = Config(bind=bind, timeout_graceful_shutdown=GRACE, **settings)
        if tls is not None and tcp:
            settings |= {"certfile": tls.certificate, "keyfile": tls.key}
            self._configs[True] = Config(bind=tcp, timeout_graceful_shutdown=REPLACED_GRACE, **settings)
        self._application: CancelledWhenGone | None = None
        self._counted: Application | None = None
        self._servers: dict[bool, Server] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._refuses = False

    async def start(self, application: Callable[..., Awaitable[None]]) -> None:
        """Accept requests for an ASGI application."""
        self._application = CancelledWhenGone(application)
        self._counted = self._guard.counted(self._application)
        self._guard.start()
        for secure in self._configs:
            await self._begin(secure)

    async def renew_certificate(self) -> None:
        """Use the certificate and key that the files contain now for new connections.

        A new server takes over the sockets. The old one tells its clients to send new requests elsewhere, and ends when
        its last request has ended.
        """
        if True in self._configs:
            old = self._servers[True]
            await self._begin(True)
            old.shutdown()

    async def _begin(self, secure: bool) -> None:
        assert self._counted is not None
        config = self._configs[secure]
        server = Server(self._counted, config)
        serving = asyncio.create_task(server.serve(), name="http")
        try:
            await server.wait_started()
        except (OSError, ValueError) as error:  # h2corn has no class for what TLS refuses
            await asyncio.gather(serving, return_exceptions=True)
            if not secure:
                raise
            raise errors.InvalidArgument(
                f"the certificate {config.certfile} cannot be used ({error}); replace it by one with an ECDSA,"
                " Ed25519 or RSA key of at least 2048 bits"
            ) from error
        self._servers[secure] = server
        watching = asyncio.create_task(self._watch(secure, server, serving), name="http")
        self._serving.add(watching)
        watching.add_done_callback(self._serving.discard)

    async def _watch(self, secure: bool, server: Server, serving: asyncio.Task[None]) -> None:
        """Wait for the end of a server; start another one when it has failed."""
        try:
            await serving
        except OSError as error:
            log.error(
                "the HTTP server failed: %s; it starts again",
                error.strerror,
                extra={"action": "http_server_failed"},
            )
        else:
            return
        await asyncio.sleep(RESTART)
        if not self._refuses and self._servers[secure] is server:
            await self._begin(secure)

    def refuse(self) -> None:
        """Accept no more connections, and tell clients to send no more requests."""
        self._refuses = True
        for server in self._servers.values():
            server.shutdown()

    async def close(self) -> None:
        """Wait until running requests have ended, and free the addresses."""
        self.refuse()
        self._listeners.close()
        if self._serving:
            ended, running = await asyncio.wait(self._serving, timeout=GRACE)
            for serving in ended:
                serving.result()
            if running:
                log.error("requests run on although the server has stopped", extra={"action": "stop"})
        if self._application is not None:
            await self._application.close()
        await self._guard.close()


def _descriptors(opened: Iterable[socket.socket]) -> tuple[str, ...]:
    return tuple(f"fd://{each.fileno()}" for each in opened)
