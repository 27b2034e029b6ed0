"""Secrets for commands. Their values cannot be read back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trunkline.cli import deletion, output
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

NAME = argument("name", metavar="SECRET", help="name of the secret, as in specs")
COLUMNS = ("NAME", "TYPE", "CREATED")


def create(invocation: Invocation) -> None:
    """Store a Kubernetes Secret from JSON or YAML; replaces an earlier one of that name."""
    import json

    source = invocation.options.file
    if source == "-":
        text = sys.stdin.read()
    else:
        with open(source, encoding="utf-8") as file:
            text = file.read()
    if not text.lstrip().startswith("{"):
        text = json.dumps(_from_yaml(text, source))
    invocation.pps.CreateSecret(pps_pb2.CreateSecretRequest(file=text.encode()))
    invocation.report("stored", "secret", _secret_name(text))


def _secret_name(text: str) -> str:
    """Return the name in a secret that the server has accepted."""
    import json

    name: str = json.loads(text)["metadata"]["name"]
    return name


def _from_yaml(text: str, source: str) -> object:
    import yaml

    from trunkline.errors import InvalidArgument

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidArgument(
            f"{source} is neither JSON nor YAML: {output.one_line(str(error), 120)}"
        ) from error


def list_(invocation: Invocation) -> None:
    """List secrets that Trunkline created."""
    from google.protobuf.empty_pb2 import Empty

    whole = invocation.options.full_timestamps

    def row(info: pps_pb2.SecretInfo) -> Sequence[str]:
        return info.secret.name, info.type, output.when(info.creation_timestamp, whole=whole)

    secrets = invocation.pps.ListSecret(Empty()).secret_info
    output.show_many(invocation, secrets, COLUMNS, row, lambda info: info.secret.name)


def inspect(invocation: Invocation) -> None:
    """Show a secret, without its values."""
    options = invocation.options
    request = pps_pb2.InspectSecretRequest(secret=pps_pb2.Secret(name=options.name))
    info = invocation.pps.InspectSecret(request)

    def fields(info: pps_pb2.SecretInfo) -> Sequence[tuple[str, str]]:
        created = output.when(info.creation_timestamp, whole=options.full_timestamps)
        return [("Name", info.secret.name), ("Type", info.type), ("Created", created)]

    output.show_one(invocation, info, fields, info.secret.name)


def delete(invocation: Invocation) -> None:
    """Delete a secret that Trunkline created."""
    secret = pps_pb2.Secret(name=invocation.options.name)

    def losses() -> list[deletion.Loss]:
        invocation.pps.InspectSecret(pps_pb2.InspectSecretRequest(secret=secret))
        return [deletion.Loss("secret", secret.name, "its values cannot be read back")]

    if not deletion.is_wanted(invocation, losses):
        return
    invocation.pps.DeleteSecret(pps_pb2.DeleteSecretRequest(secret=secret))
    invocation.report("deleted", "secret", secret.name)


COMMANDS = {
    "create secret": Command(
        create,
        (
            argument(
                "-f", "--file", required=True, metavar="FILE", help="a Kubernetes Secret; - is standard input"
            ),
            *CHANGING,
        ),
        examples=(("trunkline create secret -f secret.yaml", "store the values of a Kubernetes Secret"),),
    ),
    "list secret": Command(
        list_,
        SHOWING,
        examples=(("trunkline list secret", "show the names of secrets"),),
    ),
    "inspect secret": Command(
        inspect,
        (NAME, *SHOWING),
        examples=(("trunkline inspect secret database", "show when it was made; never its values"),),
    ),
    "delete secret": Command(
        delete,
        (NAME, deletion.YES, deletion.DRY_RUN, *CHANGING),
        examples=(("trunkline delete secret database", "delete a secret"),),
    ),
}
