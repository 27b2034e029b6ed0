"""Secrets for commands, as Pachyderm's clients send them: a Kubernetes Secret in JSON.

Where they are kept is the fleet's business (``ports.Secrets``); values go in and never come out.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.rpc import convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.pps_base import PpsPart
from trunkline.rpc.servicer import EMPTY_REPLY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from google.protobuf.empty_pb2 import Empty

    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Secrets
    from trunkline.pps.spec_cache import Specs

#: What a Secret says of itself when it says nothing.
OPAQUE = "Opaque"
#: The label by which Pachyderm knows its own objects.
SUITE_LABEL, SUITE = "suite", "pachyderm"


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """A secret as it was sent."""

    name: str
    kind: str
    data: Mapping[str, bytes]
    labels: Mapping[str, str]


class SecretCalls(PpsPart):
    """The calls about secrets."""

    def __init__(
        self, versions: VersionedStore, specs: Specs, executor: Executor, secrets: Secrets | None
    ) -> None:
        super().__init__(versions, specs, executor)
        self._secrets = secrets

    async def CreateSecret(self, request: pps_pb2.CreateSecretRequest, _context: Any) -> Empty:
        given = read_secret(request.file)
        kept = self._kept()
        await self._blocking(kept.create, given.name, given.kind, given.data, given.labels)
        return EMPTY_REPLY

    async def InspectSecret(self, request: pps_pb2.InspectSecretRequest, _context: Any) -> pps_pb2.SecretInfo:
        found = await self._blocking(self._kept().inspect, request.secret.name)
        if found is None:
            raise errors.NotFound(f'secret "{request.secret.name}" not found')
        kind, created, _keys = found
        return _told(request.secret.name, kind, created)

    async def ListSecret(self, _request: Empty, _context: Any) -> pps_pb2.SecretInfos:
        found = await self._blocking(self._kept().list)
        return pps_pb2.SecretInfos(secret_info=[_told(*one) for one in found])

    async def DeleteSecret(self, request: pps_pb2.DeleteSecretRequest, _context: Any) -> Empty:
        await self._blocking(self._kept().delete, request.secret.name)
        return EMPTY_REPLY

    def check_secrets(self, spec: PipelineSpec) -> None:
        """Refuse a specification that wants secrets which are not there. Blocks.

        Raises:
            FailedPrecondition: this server keeps no secrets.
            NotFound: a secret, or a key of it, does not exist.
        """
        for mount in spec.transform.secrets if spec.transform is not None else ():
            found = self._kept().inspect(mount.name)
            if found is None:
                raise errors.NotFound(
                    f'the pipeline wants secret "{mount.name}", which does not exist; create it first'
                )
            if mount.key and mount.key not in found[2]:
                raise errors.NotFound(
                    f'the pipeline wants key "{mount.key}" of secret "{mount.name}", which has'
                    f" {', '.join(sorted(found[2])) or 'no keys'}; correct the key or the secret"
                )

    def _kept(self) -> Secrets:
        if self._secrets is None:
            raise errors.FailedPrecondition(
                "secrets are kept by Kubernetes, and this server runs processes; give the value to the server's"
                " machine another way, or serve with --fleet kubernetes"
            )
        return self._secrets


def read_secret(file: bytes) -> GivenSecret:
    """Read a Kubernetes Secret in JSON.

    Raises:
        InvalidArgument: it is none; the message says why.
    """
    try:
        given = json.loads(file)
    except ValueError as error:
        raise errors.InvalidArgument(f"the secret is not JSON: {error}") from error
    if not isinstance(given, dict) or given.get("kind", "Secret") != "Secret":
        raise errors.InvalidArgument('the file holds no Kubernetes Secret; its "kind" must be "Secret"')
    about = given.get("metadata") or {}
    name, labels = about.get("name"), about.get("labels") or {}
    if not isinstance(name, str) or not name:
        raise errors.InvalidArgument('the secret has no name; set "metadata": {"name": "…"}')
    if labels.get(SUITE_LABEL, SUITE) != SUITE:
        raise errors.InvalidArgument(
            f'secret "{name}" has label {SUITE_LABEL}={labels[SUITE_LABEL]!r}, which belongs to something else;'
            " remove the label"
        )
    data = {key: _decoded(name, key, value) for key, value in (given.get("data") or {}).items()}
    data |= {key: str(value).encode() for key, value in (given.get("stringData") or {}).items()}
    return GivenSecret(name, given.get("type") or OPAQUE, data, labels)


def _decoded(name: str, key: str, value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error as error:
        raise errors.InvalidArgument(
            f'value "{key}" of secret "{name}" is not base64; encode it or put it under "stringData"'
        ) from error


def _told(name: str, kind: str, created: float) -> pps_pb2.SecretInfo:
    info = pps_pb2.SecretInfo(secret=pps_pb2.Secret(name=name), type=kind)
    convert.set_time(info.creation_timestamp, created)
    return info
