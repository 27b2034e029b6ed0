"""Answers the calls of grpcio's server by the methods of servicers (``methods``).

The wrapper is one coroutine per call; it costs nothing per message of a stream, because it replaces grpc's own loop
over the generator. Unlike that loop it closes the generator as soon as the call ends, however it ends, so ``finally``
blocks run at once.

The stream of requests of a call with one answer ends only when the client has ended it; when the client disconnects
in the middle, the method is cancelled. grpc does not distinguish these cases (see ``_requests``), and an interrupted
upload would be committed with half a file. Such a method must not send initial metadata itself.

This module does not know what any RPC does.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from trunkline.model import limits
from trunkline.rpc import methods, status
from trunkline.rpc.idle import IdleTimeout
from trunkline.rpc.observation import Observation
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from trunkline.rpc.call import Call
    from trunkline.rpc.methods import Method

    Context = grpc.aio.ServicerContext[Any, Any]
    #: What grpc calls, and what that calls with our view of the call.
    Behaviour = Callable[[Any, Context], Awaitable[Any]]
    Implementation = Callable[[Any, Context, Call], Awaitable[Any]]

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
        self._handlers = {path: _handler(method) for path, method in methods.table(servicers).items()}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of the called method; None lets grpc say that there is no such method."""
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    make = _MAKE_HANDLER[method.client_streaming, method.server_streaming]
    if method.server_streaming:
        wrapped = _streaming(method)
    else:
        wrapped = _collecting(method) if method.client_streaming else _unary(method)
    # A single request is decoded by the wrapper, so that bytes which are no message get their sentence.
    # grpc decodes the requests of a stream while the method iterates, which the wrapper encloses anyway.
    decode = method.decode if method.client_streaming else None
    return make(_observed(method.rpc, wrapped), decode, method.encode)


def _observed(rpc: str, behaviour: Implementation) -> Behaviour:
    async def answer_call(request: Any, context: Context) -> Any:
        code = "CANCELLED"
        observation = Observation(
            rpc,
            peer=context.peer(),
            metadata=context.invocation_metadata() or (),
            time_left=context.time_remaining(),
        )
        try:
            answer = await behaviour(request, context, observation.call)
        except grpc.aio.AbortError:
            code = _code(context)
            raise
        else:
            code = _code(context)
            return answer
        finally:
            observation.end(code)

    return answer_call


def _code(context: Context) -> str:
    code = context.code()  # the integer 0 as long as nothing was set
    return code.name if isinstance(code, grpc.StatusCode) else "OK"


def _send_trailing(context: Context, call: Call) -> None:
    if call.trailing:
        context.set_trailing_metadata(tuple(call.trailing))


async def _refuse(context: Context, call: Call, error: Exception) -> NoReturn:
    """End a call with the status for an error.

    Args:
        context: the call.
        call: our view of it.
        error: the exception of the servicer.

    Raises:
        grpc.aio.AbortError: signals to grpc that the status is sent.
        asyncio.CancelledError: the client has disconnected, so nothing can be sent.
    """
    _send_trailing(context, call)
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, grpc.aio.InternalError):  # grpc could not send an answer
        raise asyncio.CancelledError(f"the client of {call.rpc} has disconnected") from error
    end = status.status_of(call.rpc, error)
    await context.abort(grpc.StatusCode[end.code], end.message)


def _unary(method: Method) -> Implementation:
    async def answer(request: Any, context: Context, call: Call) -> Any:
        threads.enter_lane(method.lane or call.peer)
        try:
            reply = await method.answer(method.decode(request), call)
            _send_trailing(context, call)
            return reply
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            await _refuse(context, call, error)

    return answer


def _collecting(method: Method) -> Implementation:
    async def answer(_their_iterator: AsyncIterator[Any], context: Context, call: Call) -> Any:
        threads.enter_lane(method.lane or call.peer)
        idle = IdleTimeout(limits.UPLOAD_IDLE, "the client sent nothing; send it again, without such a pause")
        try:
            with idle:
                reply = await method.answer(_requests(context, idle), call)
            _send_trailing(context, call)
            return reply
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            await _refuse(context, call, error)

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
            sending.exception()  # raised above, unless this was cancelled first; unread, asyncio would log it


def _streaming(method: Method) -> Implementation:
    async def answer(request: Any, context: Context, call: Call) -> None:
        threads.enter_lane(method.lane or call.peer)
        idle = IdleTimeout(
            limits.DOWNLOAD_IDLE, "the client took nothing of the answer; read faster, or less"
        )
        try:
            with idle:
                argument = request if method.client_streaming else method.decode(request)
                async with aclosing(method.answer(argument, call)) as replies:
                    async for reply in replies:
                        idle.begin()
                        await context.write(reply)
                        idle.end()
            _send_trailing(context, call)
        except Exception as error:  # noqa: BLE001  every error must reach the client as a status
            await _refuse(context, call, error)

    return answer
