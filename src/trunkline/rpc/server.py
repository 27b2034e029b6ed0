"""Starts and stops the gRPC server: one ``grpc.aio`` server on the running event loop.

Every service is registered (``registry``), and the standard health service says SERVING for each of them, for the
server as a whole (the empty name), and for each part of it that runs in the background (``trunkline/NAME``).
The server listens without TLS and does not identify its callers.

This module knows no RPC.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from trunkline import errors
from trunkline.model import limits
from trunkline.rpc.methods import SERVICES
from trunkline.rpc.registry import Registry
from trunkline.runtime import listening
from trunkline.runtime.supervision import ServiceState

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Prefix of background services in the health service.
HEALTH_PREFIX = "trunkline/"
#: Pending health updates; the event loop keeps no strong references to tasks.
_REPORTS: set[asyncio.Task[None]] = set()

_OPTIONS = (
    ("grpc.max_receive_message_length", limits.MESSAGE),
    ("grpc.max_send_message_length", limits.MESSAGE),
    # A port in use must be refused, not shared: two servers would each get half of the calls.
    ("grpc.so_reuseport", 0),
    # Subscriptions and log streams are silent for hours. A ping every minute keeps routers from dropping the
    # connection and frees the streams of clients that have disappeared.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Clients may ping too, with or without calls, at any rate (0 strikes: never disconnected).
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


@dataclass(frozen=True)
class Server:
    """A server that is bound to its address, and accepts calls once it serves."""

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
        """Report the state of a background service to the health service. Thread-safe."""
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
        """Accept no more calls, wait up to ``grace`` seconds for those in progress, then cancel them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


async def bind(listen: str) -> Server:
    """Bind the address ``HOST:PORT``, so that it is known before the server accepts calls.

    With port 0 the system chooses a port. A host in brackets is an IPv6 address.

    Raises:
        InvalidArgument: ``listen`` is not ``HOST:PORT``.
        Unavailable: the address cannot be listened on, for example because the port is taken.
    """
    host, _ = listening.parse(listen)
    server = grpc.aio.server(options=_OPTIONS)
    health = await _add_health(server)
    try:
        bound = server.add_insecure_port(listen)
    except RuntimeError as error:
        await server.stop(None)
        raise listening.unavailable(listen, _why_not(listen)) from error
    return Server(f"{host}:{bound}", server, health, asyncio.get_running_loop())


async def start(servicers: Mapping[str, object], listen: str) -> Server:
    """Bind and serve."""
    server = await bind(listen)
    await server.serve(servicers)
    return server


async def _add_health(server: grpc.aio.Server) -> Any:
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    for service in SERVICES:
        await health.set(service, health_pb2.HealthCheckResponse.SERVING)
    return health


def _why_not(listen: str) -> str:
    """Listen like grpc to get the system's reason, which grpc only writes to its own log."""
    try:
        _, sockets = listening.sockets(listen)
    except errors.Unavailable as error:
        return str(error.__cause__.strerror) if isinstance(error.__cause__, OSError) else error.message
    for opened in sockets:
        opened.close()
    return "the system refused"
