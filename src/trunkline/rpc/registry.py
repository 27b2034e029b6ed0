"""Maps RPCs to servicers: a table built from the descriptors of every service in ``protos/``.

A servicer is a plain object with a method named as the RPC, exactly:

- unary: ``async def InspectRepo(self, request, call) -> RepoInfo``
- server stream: ``async def ListRepo(self, request, call)`` that yields, an async generator
- client stream: ``request`` is an async iterator of messages; the rest as above

An RPC without such a method answers UNIMPLEMENTED with its own name, so every service of the API is registered
and a servicer can implement any part of it. A servicer that reads or returns bytes instead of messages for some
RPCs (to decode frequent messages by hand) names them in ``raw_requests`` and ``raw_responses``, two sets of method
names. Blocking work of a call runs in the lane of its connection (``threads``); a servicer names in ``control`` the
methods whose work must not wait for others', and in ``long_lists`` those whose requests may have lists beyond the
limit.

``status`` maps a method's exception to a status. The wrapper is one coroutine per call; it costs nothing per message
of a stream, because it replaces grpc's own loop over the generator. Unlike that loop it closes the generator as soon
as the call ends, however it ends, so ``finally`` blocks run at once.

The stream of requests of a call with one answer ends only when the client has ended it; when the client disconnects
in the middle, the method is cancelled. grpc does not distinguish these cases (see ``_requests``), and an interrupted
upload would be committed with half a file. Such a method must not send initial metadata itself.

This module does not know what any RPC does.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from trunkline import __version__, errors
from trunkline.model import limits, trace
from trunkline.rpc import status
from trunkline.rpc.call import Call
from trunkline.rpc.gen import (
    admin_pb2,
    auth_pb2,
    control_pb2,
    debug_pb2,
    enterprise_pb2,
    identity_pb2,
    license_pb2,
    logs_pb2,
    metadata_pb2,
    pfs_pb2,
    pjs_pb2,
    pps_pb2,
    snapshot_pb2,
    storage_pb2,
    store_pb2,
    transaction_pb2,
    version_pb2,
    worker_api_pb2,
    worker_pb2,
)
from trunkline.rpc.idle import IdleTimeout
from trunkline.runtime import threads
from trunkline.telemetry import events, tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

    Context = grpc.aio.ServicerContext[Any, Any]
    #: What grpc calls, what that calls with our view of the call, and a servicer's method.
    Behaviour = Callable[[Any, Context], Awaitable[Any]]
    Implementation = Callable[[Any, Context, Call], Awaitable[Any]]
    Method = Callable[[Any, Call], Awaitable[Any]]

_MODULES = (
    admin_pb2,
    auth_pb2,
    control_pb2,
    debug_pb2,
    enterprise_pb2,
    identity_pb2,
    license_pb2,
    logs_pb2,
    metadata_pb2,
    pfs_pb2,
    pjs_pb2,
    pps_pb2,
    snapshot_pb2,
    storage_pb2,
    store_pb2,
    transaction_pb2,
    version_pb2,
    worker_api_pb2,
    worker_pb2,
)

#: Every service of the API by its full name, such as ``pfs_v2.API``.
SERVICES: Mapping[str, ServiceDescriptor] = {
    service.full_name: service
    for module in _MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
}

# Pachyderm's clients look for exactly these words to learn that there is no login.
_AUTH_OFF = "the auth service is not activated"

_WORKER_SERVICE = "trunkline.worker.v1.Worker/"

# By (client streams, server streams).
_MAKE_HANDLER = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class Registry(grpc.GenericRpcHandler):
    """Answers for every RPC of every service, by the given servicers where they have the method.

    Args:
        servicers: the object that answers for a service, by the service's full name.

    Raises:
        ValueError: a servicer is for no service, or names raw RPCs it does not have.
        TypeError: a method is not a coroutine function or async generator function as its RPC asks.
    """

    def __init__(self, servicers: Mapping[str, object]) -> None:
        if unknown := servicers.keys() - SERVICES.keys():
            raise ValueError(f"no such service: {', '.join(sorted(unknown))}")
        self._handlers = {
            f"/{name}/{method.name}": _handler(f"{name}/{method.name}", method, servicers.get(name))
            for name, service in SERVICES.items()
            for method in service.methods
        }
        for name, servicer in servicers.items():
            raw = _named_methods(servicer, "raw_requests") | _named_methods(servicer, "raw_responses")
            if unknown_raw := {rpc for rpc in raw if rpc not in SERVICES[name].methods_by_name}:
                raise ValueError(f"{name} has no {', '.join(sorted(unknown_raw))} to exchange raw bytes with")

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the called method; None lets grpc say that there is no such method."""
        return self._handlers.get(handler_call_details.method)


def _handler(rpc: str, method: MethodDescriptor, servicer: object) -> grpc.RpcMethodHandler[Any, Any]:
    make = _MAKE_HANDLER[method.client_streaming, method.server_streaming]
    implementation = getattr(servicer, method.name, None)
    if implementation is None:
        return make(_missing(rpc))
    decode: Callable[[Any], Any] = (
        _as_it_is
        if method.name in _named_methods(servicer, "raw_requests")
        else GetMessageClass(method.input_type).FromString
    )
    encode = (
        None
        if method.name in _named_methods(servicer, "raw_responses")
        else GetMessageClass(method.output_type).SerializeToString
    )
    if not (method.client_streaming or method.name in _named_methods(servicer, "long_lists")):
        decode = _within_limits(decode)
    lane = threads.CONTROL if method.name in _named_methods(servicer, "control") else ""
    if method.server_streaming:
        if not inspect.isasyncgenfunction(implementation):
            raise TypeError(f"{rpc} answers with a stream: its method must be an async generator")
        wrapped = _streaming(rpc, implementation, _as_it_is if method.client_streaming else decode, lane)
    else:
        if not inspect.iscoroutinefunction(implementation):
            raise TypeError(f"{rpc} answers once: its method must be a coroutine function")
        wrapped = (
            _collecting(rpc, implementation, lane)
            if method.client_streaming
            else _unary(rpc, implementation, decode, lane)
        )
    observed = _observed(rpc, wrapped)
    # A single request is decoded by the wrapper, so that bytes which are no message get their sentence.
    # grpc decodes the requests of a stream while the method iterates, which the wrapper encloses anyway.
    return make(observed, decode if method.client_streaming else None, encode)


def _observed(rpc: str, behaviour: Implementation) -> Behaviour:
    """Count and time a call, write its record to the access log, and make it a span of its trace."""
    # Workers ask for work all the time: their calls begin no traces.
    may_begin = not rpc.startswith(_WORKER_SERVICE)

    async def answer_call(request: Any, context: Context) -> Any:
        begun, code = time.perf_counter(), "CANCELLED"
        events.call_began()
        call = Call(
            rpc,
            peer=context.peer(),
            metadata=context.invocation_metadata() or (),
            time_left=context.time_remaining(),
        )
        above = _trace_above(call)
        span = tracing.begin(above, root=may_begin)
        call.trace = span.context if span is not None else above
        try:
            answer = await behaviour(request, context, call)
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        else:
            code = _code(context)
            return answer
        finally:
            duration = time.perf_counter() - begun
            events.call_done(rpc, code, duration, caller=str(call.caller), peer=call.peer, span=span)

    return answer_call


def _trace_above(call: Call) -> trace.TraceContext | None:
    parent, state = call.metadata.get("traceparent"), call.metadata.get("tracestate")
    if not isinstance(parent, str):
        return None
    return trace.from_headers(parent, state if isinstance(state, str) else "")


def _code(context: Context) -> str:
    code = context.code()  # the integer 0 as long as nothing was set
    return code.name if isinstance(code, grpc.StatusCode) else "OK"


def _send_trailing(context: Context, call: Call) -> None:
    if call.trailing:
        context.set_trailing_metadata(tuple(call.trailing))


def _unary(rpc: str, implementation: Method, decode: Callable[[Any], Any], lane: str) -> Implementation:
    async def answer(request: Any, context: Context, call: Call) -> Any:
        threads.enter_lane(lane or call.peer)
        try:
            reply = await implementation(decode(request), call)
            _send_trailing(context, call)
            return reply
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            _send_trailing(context, call)
            await status.refuse(context, rpc, error)

    return answer


def _collecting(rpc: str, implementation: Method, lane: str) -> Implementation:
    async def answer(_their_iterator: AsyncIterator[Any], context: Context, call: Call) -> Any:
        threads.enter_lane(lane or call.peer)
        idle = IdleTimeout(limits.UPLOAD_IDLE, "the client sent nothing; send it again, without such a pause")
        try:
            with idle:
                reply = await implementation(_requests(context, idle), call)
            _send_trailing(context, call)
            return reply
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            _send_trailing(context, call)
            await status.refuse(context, rpc, error)

    return answer


async def _requests(context: Context, idle: IdleTimeout) -> AsyncGenerator[Any]:
    """Yield the requests of a call; end when the client ended its stream, be cancelled when it broke.

    grpc's own iterator ends in both cases and cancels the call a moment later: too late for a method that
    has gone on to commit what it got (seen in 1 to 10 of 100 calls cancelled on new connections). Sending the
    headers of the answer tells which it was: on a broken stream that fails, on a whole one it is due anyway.
    """
    while True:
        idle.begin()
        request = await context.read()
        idle.end()
        if request is grpc.aio.EOF:
            break
        yield request
    sending = asyncio.ensure_future(context.send_initial_metadata(()))
    try:
        await asyncio.shield(sending)
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError("the client went before the end of its requests") from error
    finally:
        # A method that stops reading now, because of an error, is about to end the call; grpc would refuse
        # that as long as the headers are on their way.
        await asyncio.wait({sending})
        if not sending.cancelled():
            sending.exception()  # told above, unless this was cancelled first; unread, asyncio would log it


def _streaming(
    rpc: str,
    implementation: Callable[[Any, Call], AsyncGenerator[Any]],
    decode: Callable[[Any], Any],
    lane: str,
) -> Implementation:
    async def answer(request: Any, context: Context, call: Call) -> None:
        threads.enter_lane(lane or call.peer)
        idle = IdleTimeout(
            limits.DOWNLOAD_IDLE, "the client took nothing of the answer; read faster, or less"
        )
        try:
            with idle:
                async with aclosing(implementation(decode(request), call)) as replies:
                    async for reply in replies:
                        idle.begin()
                        await context.write(reply)
                        idle.end()
            _send_trailing(context, call)
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            _send_trailing(context, call)
            await status.refuse(context, rpc, error)

    return answer


def _missing(rpc: str) -> Behaviour:
    sentence = (
        _AUTH_OFF
        if rpc.startswith("auth_v2.API/")
        else f"{rpc} is not built yet in Trunkline {__version__}; look for it in a later version"
    )

    async def call(_request: bytes | AsyncIterator[bytes], context: Context) -> None:
        await status.refuse(context, rpc, errors.Unimplemented(sentence))

    return call


def _within_limits(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a decoder that also refuses messages with lists that are too long."""

    def limited(request: bytes) -> Any:
        message = decode(request)
        # A message with a longer list has more bytes.
        if len(request) > limits.REQUEST_LIST and message is not request:
            for descriptor, value in message.ListFields():
                if descriptor.is_repeated:
                    limits.check_count(
                        len(value), limits.REQUEST_LIST, f"{descriptor.name} of the request", "send fewer"
                    )
        return message

    return limited


def _named_methods(servicer: object, which: str) -> frozenset[str]:
    return frozenset(getattr(servicer, which, ()))


def _as_it_is(request: Any) -> Any:
    return request
