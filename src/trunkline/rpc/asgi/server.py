"""Starts and stops the API on an ASGI server: the servicers of the API, the health service and reflection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from trunkline.handbook_pages import MOUNT
from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc import health, methods, reflection
from trunkline.rpc.asgi.browsers import BrowserChecks
from trunkline.rpc.asgi.calls import Calls, anonymous
from trunkline.rpc.asgi.connect import ConnectApplication
from trunkline.rpc.asgi.console import PREFIXES, ConsoleApplication
from trunkline.rpc.asgi.documents import Documents
from trunkline.rpc.asgi.grpc_application import GrpcApplication
from trunkline.rpc.asgi.handbook import HandbookApplication
from trunkline.rpc.asgi.rest import RestApplication
from trunkline.rpc.asgi.routing import Router
from trunkline.rpc.reflection import ReflectionServicer
from trunkline.rpc.transactions import TransactionServicer
from trunkline.runtime.supervision import ServiceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trunkline.model.port_limits import PortLimits
    from trunkline.ports import HttpServer
    from trunkline.rpc.asgi.calls import Identify
    from trunkline.rpc.asgi.events import EventsApplication
    from trunkline.rpc.asgi.types import Application

#: Prefix of background services in the health service.
HEALTH_PREFIX = "trunkline/"


class Server:
    """The API on one server. Belongs to the event loop's thread, except ``report``."""

    def __init__(
        self,
        http: HttpServer,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        limits: PortLimits = DEFAULTS,
    ) -> None:
        """Make it on a server that listens and is not started.

        Args:
            http: runs the application.
            hosts: names that ``Host`` may have, besides loopback and where ``http`` listens.
            origins: other origins whose pages may use it.
            limits: of the port.

        Raises:
            InvalidArgument: a host or an origin is not valid.
        """
        self.address = http.address
        self._browsers = BrowserChecks(http.addresses, hosts, origins)
        self._http = http
        self._limits = limits
        self._health = health.HealthServicer(methods.SERVICES)
        self._calls: Calls | None = None
        self._events: EventsApplication | None = None
        self._loop = asyncio.get_running_loop()

    async def serve(
        self,
        servicers: Mapping[str, object],
        mounts: Mapping[str, Application] | None = None,
        events: EventsApplication | None = None,
        identify: Identify = anonymous,
        files: Callable[[Calls], Application] | None = None,
    ) -> None:
        """Accept requests.

        Args:
            servicers: by full service name (see ``methods``).
            mounts: more applications, by the first name of the path.
            events: answers ``/events``; None for a server without events.
            identify: finds out for whom calls are made.
            files: makes what answers ``/files``, whose requests are calls; None for a server without files.
        """
        self._events = events
        streams: dict[str, Application] = {} if events is None else {"events": events}
        own = {health.SERVICE.full_name: health.SERVICE, **reflection.SERVICES}
        listing = ReflectionServicer((*methods.SERVICES, *own))
        own_servicers = {
            health.SERVICE.full_name: self._health,
            **dict.fromkeys(reflection.SERVICES, listing),
        }
        api = methods.table(servicers)
        transactions = servicers.get("transaction_v2.API")
        if isinstance(transactions, TransactionServicer):
            api = transactions.joined(api)
        self._calls = Calls({**api, **methods.table(own_servicers, own)}, self._limits, identify)
        documents = Documents(api)
        if files is not None:
            streams["files"] = files(self._calls)
        await self._http.start(
            Router(
                grpc=GrpcApplication(self._calls),
                connect=ConnectApplication(self._calls),
                mounts={
                    "api": RestApplication(self._calls),
                    "openapi": documents,
                    "jsonschema": documents,
                    MOUNT: HandbookApplication(),
                    **dict.fromkeys(PREFIXES, ConsoleApplication()),
                    **streams,
                    **(mounts or {}),
                },
                browsers=self._browsers,
            )
        )

    def report(self, service: str, state: ServiceState) -> None:
        """Report the state of a background service to the health service. Thread-safe."""
        serving = state is ServiceState.RUNNING
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
            self._loop.call_soon_threadsafe(
                lambda: self._health.set(f"{HEALTH_PREFIX}{service}", serving=serving)
            )

    async def stop(self, grace: float) -> None:
        """Accept no more calls, wait up to ``grace`` seconds for those in progress, then end them."""
        self._health.stop()
        self._http.refuse()
        if self._calls is not None:
            streams = [] if self._events is None else [self._events.stop(grace)]
            await asyncio.gather(self._calls.stop(grace), *streams)
        await self._http.close()
