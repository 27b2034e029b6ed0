"""The versions of client and server, without protobuf, for a fast start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trunkline import __version__
from trunkline.build_info import DIGITS, build_commit, build_date
from trunkline.cli.parsing import TIMEOUT, Command, argument
from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation

# Field numbers of versionpb_v2.Version.
_MAJOR, _MINOR, _MICRO, _ADDITIONAL, _COMMIT, _DATE = 1, 2, 3, 4, 5, 7
#: Begins "additional" of a Trunkline server; its other numbers are those of the Pachyderm whose API it has.
_OURS = "trunkline-"


class Version(NamedTuple):
    """The version of a program."""

    version: str
    #: Empty when unknown.
    commit: str
    #: RFC 3339; empty where nothing was built.
    built: str
    #: Of a server: the version of Pachyderm whose API it has.
    api: str = ""

    def __str__(self) -> str:
        build = f"{self.commit or 'unknown commit'}{f', built {self.built[:10]}' if self.built else ''}"
        return f"{self.version} ({build}){f', API {self.api}' if self.api else ''}"


def version(invocation: Invocation) -> None:
    """Print the client's version and, without --client-only, the server's."""
    options = invocation.options
    versions = {"client": Version(__version__, build_commit(), build_date())}
    try:
        if not options.client_only:
            versions["server"] = _server_version(invocation)
    finally:  # the client's is known also when no server answers
        if options.output == "json":
            import json

            plain = {
                side: {name: value for name, value in each._asdict().items() if value}
                for side, each in versions.items()
            }
            print(json.dumps(plain, indent=2))
        else:
            for side, each in versions.items():
                print(f"{side}  {each}{f'  at {invocation.channel.address}' if side == 'server' else ''}")


def _server_version(invocation: Invocation) -> Version:
    from trunkline.formats.protowire import VARINT, WireError, fields, tag

    answer = invocation.channel.unary("/versionpb_v2.API/GetVersion", b"", invocation.timeout)
    try:
        parts = dict(fields(answer))
    except WireError as error:
        raise DataLoss(
            f"the server sent a message that cannot be read: {error}; upgrade the client"
        ) from error

    def text(field: int) -> str:
        value = parts.get(tag(field), b"")
        return "" if isinstance(value, int) else bytes(value).decode()

    number = ".".join(str(parts.get(tag(field, VARINT), 0)) for field in (_MAJOR, _MINOR, _MICRO))
    additional, commit, built = text(_ADDITIONAL), text(_COMMIT)[:DIGITS], text(_DATE)
    if additional.startswith(_OURS):
        return Version(additional.removeprefix(_OURS), commit, built, number)
    return Version(f"{number}{additional}", commit, built)


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
