"""Maps exceptions of servicers to gRPC statuses. The only module that does.

A ``TrunklineError`` has the name of its status code; bytes that are not a message are INVALID_ARGUMENT; any other
exception is a bug, so the client gets INTERNAL and the traceback goes to the log. A cancelled call is not an error:
``asyncio.CancelledError`` is not an ``Exception`` and never arrives here.

This module knows no RPC, no request or answer, and no transport.
"""

from __future__ import annotations

import logging

from google.protobuf.message import DecodeError
from msgspec import Struct

from trunkline import errors

_log = logging.getLogger("trunkline.rpc")

#: Numbers of the status codes, by name.
NUMBERS = {
    "OK": 0, "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10,
    "OUT_OF_RANGE": 11, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}  # fmt: skip

# Bytes of a message in the trailing metadata. Clients refuse metadata above 8 KiB (grpc core's soft limit)
# and would show that instead of our message; the remainder is for the names of the other entries.
MESSAGE_LIMIT = 6 * 1024


class Status(Struct, frozen=True):
    """How a call ended.

    Attributes:
        code: name of the status code.
        message: one line; empty for OK.
        reason: what happened, for programs, such as ``COMMIT_FINISHED``; empty for what has no class of its own.
    """

    code: str
    message: str = ""
    reason: str = ""


def status_of(rpc: str, error: Exception) -> Status:
    """Return the status for an exception, and log it when it is a bug.

    Args:
        rpc: the call's name, ``package.Service/Method``.
        error: the exception of the servicer.
    """
    reason = ""
    if isinstance(error, errors.TrunklineError):
        code, message, reason = error.code, error.message, _reason(type(error).__name__)
    elif isinstance(error, DecodeError):
        code = "INVALID_ARGUMENT"
        message = f"{rpc} got bytes that are not its request message; use a client of the 2.12 API"
    else:
        code = "INTERNAL"
        message = (
            f"{rpc} failed with a {type(error).__name__}, which is a bug in Trunkline; "
            "please report it with the traceback in the server's log"
        )
        _log.error("%s failed", rpc, exc_info=error, extra={"action": "rpc_failed", "rpc": rpc})
    return Status(code, _cut(_one_line(message)), reason)


def _reason(name: str) -> str:
    """Return a class's name in the form of ``google.rpc.ErrorInfo``: ``CommitFinished`` as ``COMMIT_FINISHED``."""
    return "".join(f"_{char}" if char.isupper() else char.upper() for char in name).lstrip("_")


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
        if size > MESSAGE_LIMIT:
            return message[:position] + "…"
    return message
