"""The versions of client and server, without protobuf, for a fast start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import __version__
from trunkline.build_commit import build_commit
from trunkline.cli.parsing import TIMEOUT, Command, argument
from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

# Field numbers of versionpb_v2.Version.
_MAJOR, _MINOR, _MICRO, _ADDITIONAL = 1, 2, 3, 4


def version(invocation: Invocation) -> None:
    """Print the client's version and, without --client-only, the server's."""
    options = invocation.options
    client, server = f"{__version__} ({build_commit() or 'unknown commit'})", ""
    try:
        if not options.client_only:
            server = _server_version(invocation)
    finally:  # the client's is known also when no server answers
        if options.output == "json":
            import json

            print(json.dumps({"client": client, **({"server": server} if server else {})}, indent=2))
        else:
            print(f"client  {client}")
            if server:
                print(f"server  {server}  at {invocation.channel.address}")


def _server_version(invocation: Invocation) -> str:
    from trunkline.formats.protowire import VARINT, WireError, fields, tag

    answer = invocation.channel.unary("/versionpb_v2.API/GetVersion", b"", invocation.timeout)
    try:
        parts = dict(fields(answer))
    except WireError as error:
        raise DataLoss(
            f"the server sent a message that cannot be read: {error}; upgrade the client"
        ) from error
    additional = parts.get(tag(_ADDITIONAL), b"")
    build = bytes(additional).decode() if not isinstance(additional, int) else ""
    number = ".".join(str(parts.get(tag(field, VARINT), 0)) for field in (_MAJOR, _MINOR, _MICRO))
    return f"{number} ({build})" if build else number


COMMANDS = {
    "version": Command(
        version,
        (
            argument("--client-only", action="store_true", help="print only the client's version"),
            argument("-o", "--output", choices=("table", "json"), help="output format (table)"),
            TIMEOUT,
        ),
        examples=(
            ("trunkline version", "show the versions of client and server"),
            ("trunkline version --client-only -o json", "the client's, as JSON"),
        ),
    )
}
