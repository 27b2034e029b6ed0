"""The probes ``/livez`` and ``/readyz``: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.rpc.asgi.responses import JSON, respond, respond_text
from trunkline.runtime.supervision import ServiceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.runtime.supervision import Supervisor

#: Service states of a server that is ready.
_GOOD = (ServiceState.RUNNING, ServiceState.ENDED)


class Readiness:
    """Whether the database, the object store and all background services work."""

    def __init__(self, supervisor: Supervisor, check: Callable[[], None]) -> None:
        """Make it.

        Args:
            supervisor: knows the background services.
            check: raises when the database or the store cannot be used. May block.
        """
        self._supervisor = supervisor
        self._check = check

    def answer(self) -> tuple[int, bytes]:
        """Return the HTTP status, and JSON with the state of each service. May block."""
        states = self._supervisor.states()
        bad = [name for name, state in states.items() if state not in _GOOD]
        problem = f"services that do not run: {', '.join(bad)}" if bad else ""
        if not problem:
            try:
                self._check()
            except errors.TrunklineError as error:
                problem = error.message
        services = {name: str(state) for name, state in states.items()}
        body = json.dumps({"ready": not problem, "problem": problem, "services": services}) + "\n"
        return 503 if problem else 200, body.encode()


class ProbeApplication:
    """Answers the probes on the port of the API. Requests that arrive during a check share its answer."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._checking: asyncio.Task[tuple[int, bytes]] | None = None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            await respond_text(send, 405, f"{scope['method']} is not supported for probes; use GET")
        elif scope["path"] == "/livez":
            await respond_text(send, 200, "ok")
        elif scope["path"] == "/readyz":
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(asyncio.to_thread(self._readiness.answer))
            status, body = await asyncio.shield(self._checking)
            await respond(send, status, body, JSON)
        else:
            await respond_text(send, 404, f"nothing is served at {scope['path']}; use /livez or /readyz")
