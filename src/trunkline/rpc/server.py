"""Starts and stops the gRPC server: one ``grpc.aio`` server on the running event loop.

Every service is registered (``registry``), and the standard health service says SERVING for each of them, for the
server as a whole (the empty name), and for each part of it that runs in the background (``trunkline/NAME``).
The server listens without TLS and does not identify its callers.

This module must not know any RPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from trunkline import errors
from trunkline.rpc.registry import SERVICES, Registry
from trunkline.supervision import ServiceState

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes; what Pachyderm's server and SDK allow, so that every message they may send is taken.
MESSAGE_LIMIT = 20 * 1024 * 1024

#: What the health service puts before the names of parts of the server that run in the background.
HEALTH_PREFIX = "trunkline/"
#: Reports under way; the event loop itself keeps no task alive.
_REPORTS: set[asyncio.Task[None]] = set()

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # A taken port must be refused, not shared: two servers would each get half of the calls.
    ("grpc.so_reuseport", 0),
    # Subscriptions and log streams stay silent for hours. Asking the client every minute whether it is
    # there keeps routers from forgetting the connection and frees the streams of a machine that is gone.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients may do the same, with or without calls, as often as they like (0 strikes: never cut off).
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


@dataclass(frozen=True)
class Server:
    """A server that has its address, and accepts calls once it serves."""

    #: ``HOST:PORT`` with the real port.
    address: str
    _server: grpc.aio.Server
    _health: health_aio.HealthServicer
    _loop: asyncio.AbstractEventLoop

    async def serve(self, servicers: Mapping[str, object]) -> None:
        """Accept calls for ``servicers``, by full service name (see ``registry``)."""
        self._server.add_generic_rpc_handlers((Registry(servicers),))
        await self._server.start()

    def report(self, service: str, state: ServiceState) -> None:
        """Let the health service say how a part of the server is doing. May be called from any thread."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if state is ServiceState.RUNNING
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
            self._loop.call_soon_threadsafe(self._set_health, f"{HEALTH_PREFIX}{service}", status)

    def _set_health(self, name: str, status: Any) -> None:
        task = self._loop.create_task(self._health.set(name, status))
        _REPORTS.add(task)
        task.add_done_callback(_REPORTS.discard)

    async def stop(self, grace: float) -> None:
        """Take no more calls, let those that run finish for ``grace`` seconds, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


async def bind(listen: str) -> Server:
    """Take an address, ``HOST:PORT``, so that it can be told to others before anything is served.

    Port 0 lets the system choose one. A host in brackets is an IPv6 address.

    Raises:
        InvalidArgument: ``listen`` is not ``HOST:PORT``.
        Unavailable: the address cannot be listened on, for example because the port is taken.
    """
    host, port = _parse(listen)
    server = grpc.aio.server(options=_OPTIONS)
    health = await _add_health(server)
    try:
        bound = server.add_insecure_port(listen)
    except RuntimeError as error:
        await server.stop(None)
        raise errors.Unavailable(
            f"cannot listen on {listen}: {_why_not(host, port)}; "
            "choose another address with --listen, or port 0 for any free one"
        ) from error
    return Server(f"{host}:{bound}", server, health, asyncio.get_running_loop())


async def start(servicers: Mapping[str, object], listen: str) -> Server:
    """Bind and serve in one."""
    server = await bind(listen)
    await server.serve(servicers)
    return server


def _parse(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise errors.InvalidArgument(
            f'cannot listen on "{listen}": write HOST:PORT, for example 127.0.0.1:30650'
        )
    return host, int(port)


async def _add_health(server: grpc.aio.Server) -> Any:
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for service in SERVICES:
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    return health


def _why_not(host: str, port: int) -> str:
    """Bind as grpc would to learn the system's reason, which grpc only writes to its own log."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return "the system refused"
