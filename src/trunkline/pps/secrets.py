"""Secrets for commands, as clients send them: a Kubernetes Secret in JSON.

Kubernetes stores them, or the server's database (``ports.Secrets``); clients cannot read their values back.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trunkline.model.spec import PipelineSpec
    from trunkline.ports import Secrets

#: The type of a Secret that states none.
OPAQUE = "Opaque"
#: The label by which Pachyderm recognizes its own objects.
SUITE_LABEL, SUITE = "suite", "pachyderm"


class ParsedSecret(Struct, frozen=True):
    """A secret as it was sent."""

    name: str
    kind: str
    data: Mapping[str, bytes]
    labels: Mapping[str, str]


class SecretInfo(NamedTuple):
    """A secret without its values."""

    name: str
    kind: str
    #: Seconds since the epoch.
    created: float


class DeliveredSecrets(Struct, frozen=True):
    """Secrets as the command of a pipeline gets them."""

    variables: Mapping[str, str]
    #: Folder, name and content of each.
    files: Sequence[tuple[str, str, bytes]]


#: Of a pipeline without secrets.
NO_SECRETS = DeliveredSecrets({}, ())


class SecretStore:
    """The secrets of a server. Blocks.

    Args:
        secrets: where they are stored.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._port = secrets

    def create(self, file: bytes) -> None:
        """Store a secret that came as a Kubernetes Secret in JSON.

        Raises:
            InvalidArgument: it is not one; the message says why.
        """
        secret = parse(file)
        self._port.create(secret.name, secret.kind, secret.data, secret.labels)

    def inspect(self, name: str) -> SecretInfo:
        """Return a secret without its values, or raise NotFound."""
        stored = self._port.inspect(name)
        if stored is None:
            raise errors.NotFound(f'secret "{name}" not found')
        kind, created, _keys = stored
        return SecretInfo(name, kind, created)

    def list(self) -> Sequence[SecretInfo]:
        """Return the secrets that were created through this API, by name."""
        return [SecretInfo(*secret) for secret in self._port.list()]

    def delete(self, name: str) -> None:
        """Remove a secret that was created through this API."""
        self._port.delete(name)

    def value(self, name: str, key: str) -> bytes:
        """Return a value for the server's own use, such as the password of a database.

        Args:
            name: of the secret.
            key: in the secret; empty for its only one.

        Raises:
            NotFound: there is no such secret or key.
            FailedPrecondition: the secret has several keys, and none is named.
        """
        values = self._port.values(name)
        if values is None:
            raise errors.NotFound(_missing(name))
        if not key and len(values) == 1:
            return next(iter(values.values()))
        if not key:
            raise errors.FailedPrecondition(f'secret "{name}" has {len(values)} keys; name one of them')
        if key not in values:
            raise errors.NotFound(_no_key(name, key, values))
        return values[key]

    def delivered(self, spec: PipelineSpec) -> DeliveredSecrets:
        """Return the values of the secrets of a pipeline, as its command gets them.

        Raises:
            NotFound: a secret, or a key of it, does not exist.
            FailedPrecondition: the value for a variable is not text.
        """
        mounts = spec.transform.secrets if spec.transform is not None else ()
        variables: dict[str, str] = {}
        delivered: dict[tuple[str, str], bytes] = {}
        for mount in mounts:
            values = self._port.values(mount.name)
            if values is None:
                raise errors.NotFound(_missing(mount.name))
            if mount.key and mount.key not in values:
                raise errors.NotFound(_no_key(mount.name, mount.key, values))
            if mount.env_var:
                variables[mount.env_var] = _variable(mount.name, mount.key, values[mount.key])
            if mount.mount_path:
                folder = mount.mount_path.rstrip("/")
                delivered |= {(folder, key): value for key, value in values.items()}
        return DeliveredSecrets(variables, [(*place, value) for place, value in delivered.items()])

    def check(self, spec: PipelineSpec) -> None:
        """Refuse a specification that needs secrets which do not exist.

        Raises:
            NotFound: a secret, or a key of it, does not exist.
        """
        for position, mount in enumerate(spec.transform.secrets if spec.transform is not None else ()):
            with errors.at(f"transform.secrets[{position}]"):
                stored = self._port.inspect(mount.name)
                if stored is None:
                    raise errors.NotFound(_missing(mount.name))
                if mount.key and mount.key not in stored[2]:
                    raise errors.NotFound(_no_key(mount.name, mount.key, stored[2]))


def _variable(name: str, key: str, value: bytes) -> str:
    """Return a value as a variable of a command."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise errors.FailedPrecondition(
            f'value "{key}" of secret "{name}" is not text, and no variable can hold it; use mount_path instead of'
            " env_var"
        )
    return text


def _missing(name: str) -> str:
    return f'secret "{name}" does not exist; create it first'


def _no_key(name: str, key: str, keys: Iterable[str]) -> str:
    existing = ", ".join(sorted(keys)) or "no keys"
    return f'secret "{name}" has no key "{key}", but {existing}; correct the key or the secret'


def parse(file: bytes) -> ParsedSecret:
    """Read a Kubernetes Secret in JSON.

    Raises:
        InvalidArgument: it is not one; the message says why.
    """
    try:
        content = json.loads(file)
    except ValueError as error:
        raise errors.InvalidArgument(f"the secret is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("kind", "Secret") != "Secret":
        raise errors.InvalidArgument('the file holds no Kubernetes Secret; its "kind" must be "Secret"')
    about = content.get("metadata") or {}
    name, labels = about.get("name"), about.get("labels") or {}
    if not isinstance(name, str) or not name:
        raise errors.InvalidArgument('the secret has no name; set "metadata": {"name": "…"}')
    if labels.get(SUITE_LABEL, SUITE) != SUITE:
        raise errors.InvalidArgument(
            f'secret "{name}" has label {SUITE_LABEL}={labels[SUITE_LABEL]!r}, which belongs to something else;'
            " remove the label"
        )
    data = {key: _decoded(name, key, value) for key, value in (content.get("data") or {}).items()}
    data |= {key: str(value).encode() for key, value in (content.get("stringData") or {}).items()}
    return ParsedSecret(name, content.get("type") or OPAQUE, data, labels)


def _decoded(name: str, key: str, value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error as error:
        raise errors.InvalidArgument(
            f'value "{key}" of secret "{name}" is not base64; encode it or put it under "stringData"'
        ) from error
