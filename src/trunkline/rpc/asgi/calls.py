"""The life of a call, whatever its protocol: from its begin to its status, deadline, early end and stop included.

One task, that of the request, does everything: it reads requests, runs the servicer and sends the answers. The server
below cancels it when the client disconnects or resets the stream; the servicer's ``finally`` blocks then run at once.
A stream of requests ends for the servicer only when the client has ended it.

A call that ends early for another reason (its deadline, the stop of the server) is cancelled too, and its client gets
that reason as a status.

A protocol is a subclass of ``ServedCall``: how it writes requests, answers and statuses is all that it adds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any, Protocol

from trunkline import errors
from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc import status
from trunkline.rpc.asgi import batching, framing, headers
from trunkline.rpc.asgi.arriving import ArrivingRequest, ArrivingRequests
from trunkline.rpc.asgi.running import Running
from trunkline.rpc.asgi.unsent import UnsentAnswers
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.observation import Observation
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping

    from trunkline.model.port_limits import PortLimits
    from trunkline.rpc.asgi.types import Event, Receive, Scope, Send
    from trunkline.rpc.call import Call
    from trunkline.rpc.methods import Method
    from trunkline.rpc.status import Status

    #: Sets the caller of a call by the token that came with it. Raises Unauthenticated when the token is not valid, and
    #: PermissionDenied when its owner may not make this call.
    Identify = Callable[[Call, str], Awaitable[None]]

#: Metadata key of a token.
TOKEN = "authn-token"

_STOPPING = "the server is stopping; try again, with another server or when this one is back"


async def anonymous(_call: Call, _token: str) -> None:
    """Leave the call to nobody in particular."""


class Messages(Protocol):
    """The requests of one call, decoded."""

    async def single(self) -> Any:
        """Return the message of a request that has exactly one."""

    def stream(self) -> AsyncGenerator[Any]:
        """Yield the messages of a stream of requests."""


class Calls:
    """The running calls of all protocols. Belongs to the event loop's thread."""

    def __init__(
        self, methods: Mapping[str, Method], limits: PortLimits = DEFAULTS, identify: Identify = anonymous
    ) -> None:
        """Make it.

        Args:
            methods: by path.
            limits: of the port.
            identify: called with each call and the token that came with it.
        """
        self._methods = methods
        self._limits = limits
        self._identify = identify
        self._running = Running()
        self._unsent = UnsentAnswers(limits)
        self._arriving = ArrivingRequests(limits)
        self._stopping = False

    def method(self, path: str) -> Method | None:
        """Return the method at a path; None without one."""
        return self._methods.get(path)

    def answer(self, call: ServedCall, path: str) -> Coroutine[Any, Any, None]:
        """Return what answers a call.

        Args:
            call: of one request.
            path: of its method, such as ``/pfs_v2.API/InspectRepo``.
        """
        return self.attend(call, self._answer(call, path))

    def attend(self, call: ServedCall, answering: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        """Return what answers a call that is not one of a method.

        Args:
            call: of one request.
            answering: answers it, such as ``call.observed``.
        """
        call.limits, call.unsent, call.identify = self._limits, self._unsent, self._identify
        call.arriving = ArrivingRequest(self._arriving, call)
        return self._running.answer(call, answering)

    @property
    def stopping(self) -> errors.Unavailable | None:
        """The error of calls that arrive while the server stops; None until then."""
        return errors.Unavailable(_STOPPING) if self._stopping else None

    def _answer(self, call: ServedCall, path: str) -> Coroutine[Any, Any, None]:
        if stopping := self.stopping:
            return call.refuse(path, stopping)
        method = self._methods.get(path)
        if method is None:
            return call.refuse(
                path,
                errors.Unimplemented(f"this server has no method {path}; use a client of the 2.12 API"),
            )
        return call.answer(method)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, wait for the running ones, and end those that are left with UNAVAILABLE.

        Args:
            grace: seconds to wait.
        """
        self._stopping = True
        await self._running.stop(grace)


class ServedCall:
    """One request and what is sent back. Subclasses are protocols."""

    __slots__ = (
        "_end",
        "_is_abandoned",
        "_task",
        "arriving",
        "identify",
        "limits",
        "peer",
        "receive",
        "scope",
        "send",
        "started",
        "unsent",
    )

    #: Of the port.
    limits: PortLimits
    #: Finds out for whom it is made.
    identify: Identify
    #: Counts the bytes of the requests.
    arriving: ArrivingRequest
    #: Where the parts of the answer are counted.
    unsent: UnsentAnswers

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it.

        Args:
            scope: of the request.
            receive: of ASGI.
            send: of ASGI.
        """
        self.scope = scope
        #: The client's address in the form that gRPC uses.
        self.peer = peer_of(scope)
        self.receive = receive
        self.send = send
        #: Whether the response has begun.
        self.started = False
        self._task: asyncio.Task[Any] | None = None
        #: Why this call is cancelled, unless its client has gone.
        self._end: errors.TrunklineError | None = None
        self._is_abandoned = False

    # --- what a protocol defines -----------------------------------------------------------------------

    def parse(self) -> headers.RequestHeaders:
        """Read the headers of the request.

        Raises:
            TrunklineError: they are not valid.
        """
        raise NotImplementedError

    def requests(self, method: Method, request: headers.RequestHeaders, idle: IdleTimeout) -> Messages:
        """Return the messages of the request's body.

        Args:
            method: that answers.
            request: the headers.
            idle: bounds each wait for the client.

        Raises:
            TrunklineError: the body cannot be read.
        """
        raise NotImplementedError

    def encoder(self, method: Method) -> Callable[[Any], bytes]:
        """Return what makes bytes of an answer."""
        raise NotImplementedError

    def framer(self, method: Method) -> Callable[[bytes], tuple[bytes, bytes]]:
        """Return what gives, for the bytes of an answer, those to send before them and those to send.

        It raises ResourceExhausted when clients would refuse the answer.
        """
        raise NotImplementedError

    @property
    def compresses(self) -> bool:
        """Whether ``framer`` compresses answers."""
        return False

    async def begin(self) -> None:
        """Send the begin of the response to a stream."""
        raise NotImplementedError

    async def reply(self, prefix: bytes, body: bytes) -> None:
        """Send the one answer of a call, framed, or keep it for ``finish``.

        Args:
            prefix: what is sent before it.
            body: its bytes.
        """
        raise NotImplementedError

    async def finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        """Send the end of the response.

        Args:
            ended: how the call ended; None for OK.
            metadata: what the servicer adds.
        """
        raise NotImplementedError

    # --- the life of the call --------------------------------------------------------------------------

    def enter(self) -> None:
        """Learn the task that answers the call, in which this is called."""
        self._task = asyncio.current_task()

    def end(self, error: errors.TrunklineError) -> None:
        """End the call early, with the status for an error."""
        if self._end is None and self._task is not None:
            self._end = error
            self._task.cancel()

    def stop(self) -> None:
        """End the call because the server stops."""
        self.end(errors.Unavailable(_STOPPING))

    def abandon(self) -> None:
        """End the call at once, without a status."""
        if self._task is not None:
            self._is_abandoned = True
            self._task.cancel()

    @property
    def is_cancelled(self) -> bool:
        """Whether the HTTP server asked the call's task to end."""
        return self._task is not None and self._task.cancelling() > 0 and not self._is_abandoned

    async def refuse(self, path: str, error: errors.TrunklineError) -> None:
        """End a call that no method answers.

        Args:
            path: of the method.
            error: why.
        """
        await self.finish(status.status_of(path.lstrip("/"), error), [])

    def answer(self, method: Method) -> Coroutine[Any, Any, None]:
        """Return what answers by a method, and observes it."""
        return self.observed(method.rpc, method.lane, functools.partial(self._run, method))

    async def observed(
        self, rpc: str, lane: str, run: Callable[[Call, headers.RequestHeaders], Awaitable[None]]
    ) -> None:
        """Answer, and observe it.

        Args:
            rpc: name of the call for the access log, metrics and traces.
            lane: where its blocking work runs; empty for the lane of the connection.
            run: reads the request's body and sends the answer but for its end.
        """
        refused: errors.TrunklineError | None = None
        try:
            request = self.parse()
        except errors.TrunklineError as error:
            request, refused = headers.RequestHeaders([]), error
        observation = Observation(rpc, peer=self.peer, metadata=request.metadata, time_left=request.timeout)
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
                        f"{rpc} was ended at its deadline, {request.timeout:,g} s after its begin; allow it more"
                    )
                    deadline = asyncio.get_running_loop().call_later(request.timeout, self.end, late)
                threads.enter_lane(lane or call.peer)
                if token := next((value for name, value in request.metadata if name == TOKEN), ""):
                    await self.identify(call, str(token))
                await run(call, request)
            except asyncio.CancelledError:
                if self._end is None:
                    raise
                if self._task is not None:
                    self._task.uncancel()
                ended = status.status_of(rpc, self._end)
            except Exception as error:  # noqa: BLE001  every error must reach the client as a status
                ended = status.status_of(rpc, error)
            if deadline is not None:
                deadline.cancel()
            await self.finish(ended, call.trailing)
            code = "OK" if ended is None else ended.code
        finally:
            if deadline is not None:
                deadline.cancel()
            self.arriving.release()
            observation.end(code)

    async def _run(self, method: Method, call: Call, request: headers.RequestHeaders) -> None:
        """Read, run the servicer's method, and send its answers."""
        upload = IdleTimeout(
            self.limits.upload_idle, "the client sent nothing; send it again, without such a pause"
        )
        with upload:
            requests = self.requests(method, request, upload)
            argument: Any = requests.stream() if method.client_streaming else await requests.single()
            if not method.server_streaming:
                answer = await method.answer(argument, call)
                frame, body = self.framer(method), self.encoder(method)(answer)
                await self.reply(*(await framing.compress(frame, body) if self.compresses else frame(body)))
                return
        download = IdleTimeout(
            self.limits.download_idle, "the client took nothing of the answer; read faster, or less"
        )
        # Requests and answers may alternate, so both waits are bounded.
        with upload if method.client_streaming else contextlib.nullcontext(), download:

            async def send(body: bytes) -> None:
                if not self.started:
                    await self.begin()
                download.begin()
                await self.send_part(body)
                download.end()

            answers = method.answer(argument, call)
            frame = self.framer(method)
            await batching.send_all(answers, self.encoder(method), frame, send, gzip=self.compresses)

    async def send_part(self, body: bytes) -> None:
        """Send a part of the response's body."""
        await self.emit({"type": "http.response.body", "body": body, "more_body": True})

    async def emit(self, event: Event) -> None:
        """Send an event of ASGI."""
        size = len(event.get("body", b""))
        if size:
            self.unsent.begin(self, size)
        try:
            await self.send(event)
        except OSError as error:  # of servers that do not cancel
            raise asyncio.CancelledError("the client has disconnected") from error
        finally:
            if size:
                self.unsent.end(self)


def peer_of(scope: Scope) -> str:
    """Return the client's address in the form that gRPC uses."""
    client = scope.get("client")
    if client is None:
        return "unix:"
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
