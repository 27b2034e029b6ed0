"""The standard health service (``grpc.health.v1.Health``).

It says SERVING for each service of the API, for the server as a whole (the empty name), and for each part of it that
runs in the background (``trunkline/NAME``) as long as that runs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.rpc.gen import health_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from trunkline.rpc.call import Call

_Response = health_pb2.HealthCheckResponse

#: The health service by its full name, as ``methods.table`` takes it.
SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]


class HealthServicer:
    """Answers ``grpc.health.v1.Health``. Belongs to the event loop's thread."""

    def __init__(self, services: Iterable[str]) -> None:
        """Make it; all services are SERVING.

        Args:
            services: full names.
        """
        self._states = dict.fromkeys(("", *services), _Response.SERVING)
        self._changed = asyncio.Event()

    def set(self, name: str, *, serving: bool) -> None:
        """Set the state of a service."""
        self._states[name] = _Response.SERVING if serving else _Response.NOT_SERVING
        self._wake()

    def stop(self) -> None:
        """Say NOT_SERVING for every service from now on."""
        self._states = dict.fromkeys(self._states, _Response.NOT_SERVING)
        self._wake()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, _call: Call
    ) -> health_pb2.HealthCheckResponse:
        state = self._states.get(request.service)
        if state is None:
            raise errors.NotFound(
                f'there is no service "{request.service}" to check; ask for "" or a service of this server'
            )
        return _Response(status=state)

    async def List(
        self, _request: health_pb2.HealthListRequest, _call: Call
    ) -> health_pb2.HealthListResponse:
        return health_pb2.HealthListResponse(
            statuses={name: _Response(status=state) for name, state in self._states.items()}
        )

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, _call: Call
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse]:
        sent = None
        while True:
            changed = self._changed
            state = self._states.get(request.service, _Response.SERVICE_UNKNOWN)
            if state != sent:
                sent = state
                yield _Response(status=state)
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
