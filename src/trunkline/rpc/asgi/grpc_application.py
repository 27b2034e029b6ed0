"""gRPC as an ASGI application: answers each request by the method that its path names (``methods``).

One task, that of the request, does everything: it reads requests, runs the servicer and sends the answers. The server
below cancels it when the client disconnects or resets the stream; the servicer's ``finally`` blocks then run at once.
A stream of requests ends for the servicer only when the client has ended it.

A call that ends early for another reason (its deadline, the stop of the server) is cancelled too, and its client gets
that reason as a status.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.model import limits
from trunkline.rpc import status
from trunkline.rpc.asgi import batching, framing, headers
from trunkline.rpc.asgi.requests import Requests
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.observation import Observation
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trunkline.rpc.asgi.types import Event, Receive, Scope, Send
    from trunkline.rpc.methods import Method
    from trunkline.rpc.status import Status

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_CONTENT_TYPE, (b"grpc-accept-encoding", framing.ENCODINGS)],
    "trailers": True,
}
_START_GZIP = {**_START, "headers": [*_START["headers"], (b"grpc-encoding", b"gzip")]}  # type: ignore[misc]
_NO_MORE = {"type": "http.response.body", "body": b"", "more_body": False}

#: Bytes from which an answer is compressed when its client compresses.
_COMPRESS_FROM = 512

#: Seconds in which clients take the status of calls that the stop ended.
_STATUS_GRACE = 1.0

_STOPPING = "the server is stopping; try again, with another server or when this one is back"


class GrpcApplication:
    """Answers the calls of an ASGI server. Belongs to the event loop's thread."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Make it.

        Args:
            methods: by path.
        """
        self._methods = methods
        self._calls: set[_ServedCall] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = _ServedCall(scope, receive, send)
        self._calls.add(call)
        self._idle.clear()
        try:
            if self._stopping:
                await call.refuse(errors.Unavailable(_STOPPING))
            elif (method := self._methods.get(scope["path"])) is None:
                await call.refuse(
                    errors.Unimplemented(
                        f"this server has no method {scope['path']}; use a client of the 2.12 API"
                    )
                )
            else:
                await call.answer(method)
        except asyncio.CancelledError:
            if call.is_cancelled:
                raise  # by the server; else the client has gone, which is no error of the application
        finally:
            self._calls.discard(call)
            if not self._calls:
                self._idle.set()

    async def stop(self, grace: float) -> None:
        """Refuse new calls, wait for the running ones, and end those that are left with UNAVAILABLE.

        Args:
            grace: seconds to wait.
        """
        self._stopping = True
        if await self._is_idle_within(grace):
            return
        for call in tuple(self._calls):
            call.end(errors.Unavailable(_STOPPING))
        if not await self._is_idle_within(_STATUS_GRACE):
            for call in tuple(self._calls):
                call.abandon()

    async def _is_idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


class _ServedCall:
    """One request and what is sent back."""

    __slots__ = ("_end", "_receive", "_scope", "_send", "_started", "_task")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._task = asyncio.current_task()
        self._started = False
        #: Why this call is cancelled, unless its client has gone.
        self._end: errors.TrunklineError | None = None

    def end(self, error: errors.TrunklineError) -> None:
        """End the call early, with the status for an error."""
        if self._end is None and self._task is not None:
            self._end = error
            self._task.cancel()

    def abandon(self) -> None:
        """End the call at once, without a status."""
        if self._task is not None:
            self._task.cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether the call's task was asked to end."""
        return self._task is not None and self._task.cancelling() > 0

    async def refuse(self, error: errors.TrunklineError) -> None:
        """End a call that no method answers."""
        await self._finish(status.status_of(self._scope["path"].lstrip("/"), error), [])

    async def answer(self, method: Method) -> None:
        """Answer by a method, and observe it."""
        refused: errors.TrunklineError | None = None
        try:
            request = headers.parse(self._scope["headers"])
        except errors.InvalidArgument as error:
            request, refused = headers.RequestHeaders([]), error
        observation = Observation(
            method.rpc, peer=_peer(self._scope), metadata=request.metadata, time_left=request.timeout
        )
        call = observation.call
        code = "CANCELLED"
        deadline: asyncio.TimerHandle | None = None
        try:
            ended: Status | None = None
            try:
                if refused is not None:
                    raise refused
                if request.timeout is not None:
                    late = errors.DeadlineExceeded(
                        f"{method.rpc} was ended at its deadline, {request.timeout:,g} s after its begin; allow it more"
                    )
                    deadline = asyncio.get_running_loop().call_later(request.timeout, self.end, late)
                threads.enter_lane(method.lane or call.peer)
                await self._run(method, call, request.encoding)
            except asyncio.CancelledError:
                if self._end is None:
                    raise
                if self._task is not None:
                    self._task.uncancel()
                ended = status.status_of(method.rpc, self._end)
            except Exception as error:  # noqa: BLE001  every error must reach the client as a status
                ended = status.status_of(method.rpc, error)
            if deadline is not None:
                deadline.cancel()
            await self._finish(ended, call.trailing)
            code = "OK" if ended is None else ended.code
        finally:
            if deadline is not None:
                deadline.cancel()
            observation.end(code)

    async def _run(self, method: Method, call: Any, encoding: str) -> None:
        """Read, run the servicer's method, and send its answers."""
        upload = IdleTimeout(
            limits.UPLOAD_IDLE, "the client sent nothing; send it again, without such a pause"
        )
        frame = _frame_of(method.rpc, encoding)
        with upload:
            requests = Requests(method.rpc, encoding, self._receive, upload)
            if method.client_streaming:
                argument: Any = requests.stream(method.decode)
            else:
                argument = method.decode(await requests.single())
            if not method.server_streaming:
                reply = await method.answer(argument, call)
                prefix, body = frame(method.encode(reply))
                await self._start(encoding)
                await self._send_body(prefix + body)
                return
        download = IdleTimeout(
            limits.DOWNLOAD_IDLE, "the client took nothing of the answer; read faster, or less"
        )
        # Requests and answers may alternate, so both waits are bounded.
        with upload, download:

            async def send(body: bytes) -> None:
                if not self._started:
                    await self._start(encoding)
                download.begin()
                await self._send_body(body)
                download.end()

            await batching.send_all(method.answer(argument, call), method.encode, frame, send)

    async def _start(self, encoding: str) -> None:
        self._started = True
        await self._emit(_START_GZIP if encoding == "gzip" else _START)

    async def _send_body(self, body: bytes) -> None:
        await self._emit({"type": "http.response.body", "body": body, "more_body": True})

    async def _emit(self, event: Event) -> None:
        try:
            await self._send(event)
        except OSError as error:  # of servers that do not cancel
            raise asyncio.CancelledError("the client has disconnected") from error

    async def _finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        """Send the status."""
        if not self._started:
            await self._start("identity")
        await self._emit(_NO_MORE)
        await self._emit({"type": "http.response.trailers", "headers": headers.trailers(ended, metadata)})


def _frame_of(rpc: str, encoding: str) -> Callable[[bytes], tuple[bytes, bytes]]:
    """Return what frames answers: compressed when the requests are."""

    def plain(message: bytes) -> tuple[bytes, bytes]:
        framing.check_answer(rpc, len(message))
        return framing.prefix(message), message

    def gzip(message: bytes) -> tuple[bytes, bytes]:
        if len(message) < _COMPRESS_FROM:
            return plain(message)
        framing.check_answer(rpc, len(message))
        return framing.compressed(message)

    return gzip if encoding == "gzip" else plain


def _peer(scope: Scope) -> str:
    """Return the client's address in the form that gRPC uses."""
    client = scope.get("client")
    if client is None:
        return "unix:"
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
