"""``GET /events``: events as server-sent events (docs/design/events.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from trunkline import errors
from trunkline.model import limits
from trunkline.model.events import EventFilter, parse_position
from trunkline.model.port_limits import DEFAULTS
from trunkline.model.schedules import moment_of
from trunkline.rpc import status
from trunkline.rpc.asgi.calls import peer_of
from trunkline.rpc.asgi.running import Running
from trunkline.rpc.asgi.web_calls import respond_status
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from trunkline.model.events import Position
    from trunkline.model.port_limits import PortLimits
    from trunkline.pfs.event_hub import EventHub, LoggedEvent, Watcher
    from trunkline.ports import Clock
    from trunkline.rpc.asgi.types import Event, Receive, Scope, Send
    from trunkline.rpc.status import Status

#: Seconds without an event after which a heartbeat is sent.
HEARTBEAT = 15.0
#: The call's name in the access log and in metrics.
RPC = "trunkline.events/Watch"
#: Bytes that are sent together.
_SEND_BYTES = 64 << 10
#: Least and most milliseconds after which a browser connects again.
_RETRY = (500, 3_000)
#: Parameters that may occur once; the others are sets of values.
_SINGLE = ("after", "since", "follow")
_SETS = ("kind", "project", "repo", "pipeline", "job")
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # or nginx holds events back
]


class EventsApplication:
    """Answers ``GET /events``. Belongs to the event loop's thread."""

    def __init__(self, hub: EventHub, clock: Clock, port_limits: PortLimits = DEFAULTS) -> None:
        """Make it.

        Args:
            hub: has the events.
            clock: of the server.
            port_limits: of the port.
        """
        self._limits = port_limits
        self._hub = hub
        self._clock = clock
        self._running = Running()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # noqa: ARG002 there is no body
        """Return what answers a request."""
        return self._running.answer(_Watch(), self._observed(scope, _Started(send)))

    async def stop(self, grace: float) -> None:
        """End all streams, each with an event that says so; those whose client does not read are cut off.

        Args:
            grace: seconds that clients have to read it.
        """
        self._hub.close()
        await self._running.stop(grace)

    async def _observed(self, scope: Scope, send: _Started) -> None:
        observation = Observation(RPC, peer=peer_of(scope), metadata=(), time_left=None)
        code = "CANCELLED"
        try:
            await self._answer(scope, send)
            code = "OK"
        except errors.Unavailable as error:
            code = error.code
            if not send.started:
                await _send_away(send)
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            ended = status.status_of(RPC, error)
            code = ended.code
            if not send.started:  # else the end of the connection says that something is wrong
                await _refuse(send, ended)
        finally:
            observation.end(code)

    async def _answer(self, scope: Scope, send: _Started) -> None:
        if scope["method"] != "GET":
            raise errors.Unimplemented(f"{scope['method']} /events is not supported; use GET")
        request = _Request(scope)
        watcher = await self._hub.watch(request.admitted, request.after, request.since)
        client = IdleTimeout(
            self._limits.download_idle, "the client took nothing of the stream; connect again"
        )
        with contextlib.closing(watcher), client:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            stream = _Stream(send, client)
            await stream.write(self._open(watcher))
            await self._pass_on(watcher, stream, follow=request.follow)

    async def _pass_on(self, watcher: Watcher, stream: _Stream, *, follow: bool) -> None:
        """Send events until the stream ends."""
        while True:
            portion = await watcher.take(HEARTBEAT if follow else 0)
            if portion.reset:
                await stream.write(block("reset", watcher.position, {"reason": portion.reset}))
            await stream.write_all(portion.events)
            if watcher.ended and not portion.events:
                await stream.write(block("end", watcher.position, {"reason": watcher.ended}), last=True)
                return
            if not follow and watcher.is_up_to_date:
                await stream.write(block("end", watcher.position, {"reason": "complete"}), last=True)
                return
            if stream.idle >= HEARTBEAT:
                await stream.write(block("heartbeat", watcher.position, {"time": self._clock.now()}))

    def _open(self, watcher: Watcher) -> bytes:
        fields = {"time": self._clock.now(), "heartbeat": HEARTBEAT}
        return b"retry: %d\n" % random.randint(*_RETRY) + block("open", watcher.position, fields)


class _Watch:
    """A request in the task that answers it."""

    __slots__ = ("_is_abandoned", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._is_abandoned = False

    def enter(self) -> None:
        """Learn the task, in which this is called."""
        self._task = asyncio.current_task()

    @property
    def is_cancelled(self) -> bool:
        """Whether the HTTP server asked the task to end."""
        return self._task is not None and self._task.cancelling() > 0 and not self._is_abandoned

    def stop(self) -> None:
        """End it: its last event waits, as its client does not read."""
        self.abandon()

    def abandon(self) -> None:
        """End it at once."""
        if self._task is not None:
            self._is_abandoned = True
            self._task.cancel()


class _Started:
    """``send`` of ASGI that knows whether the response has begun."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, event: Event) -> None:
        self.started = True
        await self._send(event)


class _Request:
    """The parameters of a request."""

    __slots__ = ("admitted", "after", "follow", "since")

    def __init__(self, scope: Scope) -> None:
        """Read them.

        Raises:
            InvalidArgument: one of them is not valid.
        """
        values = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        for name in values:
            if name not in _SINGLE and name not in _SETS:
                names = ", ".join((*_SETS, *_SINGLE))
                raise errors.InvalidArgument(
                    f'parameter "{name[:100]}" of /events is unknown; use one of {names}'
                )
            if name in _SINGLE and len(values[name]) > 1:
                raise errors.InvalidArgument(f'parameter "{name}" of /events may occur once')
            if len(values[name]) > limits.REQUEST_LIST:
                raise errors.InvalidArgument(
                    f'parameter "{name}" of /events occurs {len(values[name]):,} times; the limit is'
                    f" {limits.REQUEST_LIST:,}"
                )
        self.admitted = EventFilter.parse(
            kinds=values.get("kind", ()),
            projects=values.get("project", ()),
            repos=values.get("repo", ()),
            pipelines=values.get("pipeline", ()),
            jobs=values.get("job", ()),
        )
        self.follow = _flag(values.get("follow", ["true"])[0])
        after = _last_event_id(scope) or values.get("after", [""])[0]
        self.after = parse_position(after) if after else None
        self.since = _time(values["since"][0]) if "since" in values else None
        if "after" in values and self.since is not None:
            raise errors.InvalidArgument(
                'parameters "after" and "since" of /events exclude each other; use one'
            )
        if self.after is not None:
            self.since = None  # a browser connects again with the address of its first request


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise errors.InvalidArgument(f'parameter "follow" of /events is "{text[:100]}"; use true or false')
    return text == "true"


def _time(text: str) -> float:
    """Return seconds since the epoch."""
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < 1e11:
            return seconds
    moment = moment_of(text)
    if moment is not None:
        return moment
    raise errors.InvalidArgument(
        f'parameter "since" of /events is "{text[:100]}"; use seconds since 1970, or RFC 3339 such as'
        " 2026-11-26T09:00:00Z"
    )


def _last_event_id(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id"), "")


class _Stream:
    """What is sent, and when."""

    __slots__ = ("_client", "_loop", "_send", "_sent")

    def __init__(self, send: Send, client: IdleTimeout) -> None:
        self._send = send
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._sent = self._loop.time()

    @property
    def idle(self) -> float:
        """Seconds since something was sent."""
        return self._loop.time() - self._sent

    async def write_all(self, events: Sequence[LoggedEvent]) -> None:
        """Send events, several at a time."""
        parts: list[bytes] = []
        size = 0
        for logged in events:
            if logged.block is None:
                logged.block = _block(logged.event.kind, logged.position, logged.event.text)
            parts.append(logged.block)
            size += len(logged.block)
            if size >= _SEND_BYTES:
                await self.write(b"".join(parts))
                parts, size = [], 0
        if parts:
            await self.write(parts[0] if len(parts) == 1 else b"".join(parts))

    async def write(self, body: bytes, *, last: bool = False) -> None:
        """Send bytes; waits while the client takes nothing."""
        self._client.begin()
        try:
            await self._send({"type": "http.response.body", "body": body, "more_body": not last})
        except OSError as error:  # of servers that do not cancel
            raise asyncio.CancelledError("the client has disconnected") from error
        self._client.end()
        self._sent = self._loop.time()


def block(name: str, position: Position, fields: Mapping[str, object]) -> bytes:
    """Return a block of the stream.

    Args:
        name: of the event.
        position: where the client resumes after it.
        fields: its data.
    """
    return _block(name, position, json.dumps(fields, separators=(",", ":")))


def _block(name: str, position: Position, text: str) -> bytes:
    return f"event: {name}\nid: {position}\ndata: {text}\n\n".encode()


async def _send_away(send: Send) -> None:
    """Answer with a stream that has ended: a browser connects again, while any other status makes it give up."""
    body = b'retry: %d\nevent: end\ndata: {"reason":"unavailable"}\n\n' % _RETRY[1]
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, ended: Status) -> None:
    """Answer with an error, as REST does."""
    if ended.code == "UNIMPLEMENTED":
        await respond_status(send, ended, 405, [(b"allow", b"GET")])
    else:
        await respond_status(send, ended)
