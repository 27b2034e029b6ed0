"""Maps exceptions of servicers to gRPC statuses. The only module that does.

A ``TrunklineError`` has the name of its status code; bytes that are not a message are INVALID_ARGUMENT; any other
exception is a bug, so the client gets INTERNAL and the traceback goes to the log. A cancelled call is not an error:
``asyncio.CancelledError`` is not an ``Exception`` and never arrives here.

This module knows no RPC and no message.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from trunkline import errors

if TYPE_CHECKING:
    from trunkline.errors import TrunklineError

_log = logging.getLogger("trunkline.rpc")

# Bytes of a message in the trailing metadata. Clients refuse metadata above 8 KiB (grpc core's soft limit)
# and would show that instead of our message; the remainder is for the names of the other entries.
_MESSAGE_LIMIT = 6 * 1024


def code_of(error: TrunklineError) -> grpc.StatusCode:
    """Return the gRPC status code of an error."""
    return grpc.StatusCode[error.code]


async def refuse(context: grpc.aio.ServicerContext[Any, Any], rpc: str, error: Exception) -> NoReturn:
    """End a call with the status for an error.

    Args:
        context: the call.
        rpc: its name, ``package.Service/Method``.
        error: the exception of the servicer.

    Raises:
        grpc.aio.AbortError: signals to grpc that the status is sent.
        asyncio.CancelledError: the client has disconnected, so nothing can be sent.
    """
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, grpc.aio.InternalError):  # grpc could not send an answer
        raise asyncio.CancelledError(f"the client of {rpc} has disconnected") from error
    if isinstance(error, errors.TrunklineError):
        code, message = code_of(error), error.message
    elif isinstance(error, DecodeError):
        code = grpc.StatusCode.INVALID_ARGUMENT
        message = f"{rpc} got bytes that are not its request message; use a client of the 2.12 API"
    else:
        code = grpc.StatusCode.INTERNAL
        message = (
            f"{rpc} failed with a {type(error).__name__}, which is a bug in Trunkline; "
            "please report it with the traceback in the server's log"
        )
        _log.error("%s failed", rpc, exc_info=error, extra={"action": "rpc_failed", "rpc": rpc})
    await context.abort(code, _cut(_one_line(message)))


def _one_line(message: str) -> str:
    """Escape what is not printable: names of the request may contain line ends and bytes that are not UTF-8."""
    message = message.encode(errors="replace").decode()
    if message.isprintable():
        return message
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in message)


def _cut(message: str) -> str:
    """Shorten a message to the size of metadata, where a byte that is not plain ASCII takes three."""
    size = 0
    for position, character in enumerate(message):
        plain = " " <= character <= "~" and character != "%"
        size += 1 if plain else 3 * len(character.encode())
        if size > _MESSAGE_LIMIT:
            return message[:position] + "…"
    return message
