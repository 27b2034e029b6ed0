"""Secrets over ``pps_v2.API``, converted to calls of ``pps.secrets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.rpc import convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from google.protobuf.empty_pb2 import Empty

    from trunkline.pps.secrets import SecretInfo, SecretStore
    from trunkline.rpc.call import Call


class SecretCalls(ServicerBase):
    """Creates, inspects and deletes secrets."""

    _secrets: SecretStore

    async def CreateSecret(self, request: pps_pb2.CreateSecretRequest, _call: Call) -> Empty:
        await self._blocking(self._secrets.create, request.file)
        return EMPTY_REPLY

    async def InspectSecret(self, request: pps_pb2.InspectSecretRequest, _call: Call) -> pps_pb2.SecretInfo:
        return _info(await self._blocking(self._secrets.inspect, request.secret.name))

    async def ListSecret(self, _request: Empty, _call: Call) -> pps_pb2.SecretInfos:
        secrets = await self._blocking(self._secrets.list)
        return pps_pb2.SecretInfos(secret_info=map(_info, secrets))

    async def DeleteSecret(self, request: pps_pb2.DeleteSecretRequest, _call: Call) -> Empty:
        await self._blocking(self._secrets.delete, request.secret.name)
        return EMPTY_REPLY


def _info(secret: SecretInfo) -> pps_pb2.SecretInfo:
    info = pps_pb2.SecretInfo(secret=pps_pb2.Secret(name=secret.name), type=secret.kind)
    convert.set_time(info.creation_timestamp, secret.created)
    return info
