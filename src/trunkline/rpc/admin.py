"""The small services that clients call first: version, cluster, licence.

Trunkline has no licence: those services answer that there is none, which is what scripts check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import __version__
from trunkline.build_info import build_commit, build_date
from trunkline.pfs import queries
from trunkline.rpc.gen import (
    admin_pb2,
    enterprise_pb2,
    identity_pb2,
    license_pb2,
    version_pb2,
)

if TYPE_CHECKING:
    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call

#: The version of Pachyderm whose API this is; clients compare the first two numbers with their own.
API_VERSION = (2, 12, 2)


class VersionServicer:
    """Answers ``versionpb_v2.API``."""

    async def GetVersion(self, _request: Empty, _call: Call) -> version_pb2.Version:
        major, minor, micro = API_VERSION
        return version_pb2.Version(
            major=major,
            minor=minor,
            micro=micro,
            additional=f"trunkline-{__version__}",
            git_commit=build_commit(),
            build_date=build_date(),
        )


class AdminServicer:
    """Answers ``admin_v2.API``.

    Args:
        cluster_id: the store's id.
        versions: the store, which holds the cluster's metadata.
    """

    def __init__(self, cluster_id: str, versions: VersionedStore) -> None:
        self._cluster_id = cluster_id
        self._versions = versions

    async def InspectCluster(
        self, _request: admin_pb2.InspectClusterRequest, call: Call
    ) -> admin_pb2.ClusterInfo:
        return admin_pb2.ClusterInfo(
            id=self._cluster_id,
            deployment_id=self._cluster_id,
            warnings_ok=True,
            metadata=await self._versions.for_caller(call.caller).query_soon(queries.cluster_metadata),
        )


class EnterpriseServicer:
    """Answers ``enterprise_v2.API`` as a cluster without a licence."""

    async def GetState(
        self, _request: enterprise_pb2.GetStateRequest, _call: Call
    ) -> enterprise_pb2.GetStateResponse:
        return enterprise_pb2.GetStateResponse(state=enterprise_pb2.NONE)

    async def GetActivationCode(
        self, _request: enterprise_pb2.GetActivationCodeRequest, _call: Call
    ) -> enterprise_pb2.GetActivationCodeResponse:
        return enterprise_pb2.GetActivationCodeResponse(state=enterprise_pb2.NONE)

    async def PauseStatus(
        self, _request: enterprise_pb2.PauseStatusRequest, _call: Call
    ) -> enterprise_pb2.PauseStatusResponse:
        return enterprise_pb2.PauseStatusResponse(status=enterprise_pb2.PauseStatusResponse.UNPAUSED)


class LicenseServicer:
    """Answers ``license_v2.API`` as a server without a licence."""

    async def GetActivationCode(
        self, _request: license_pb2.GetActivationCodeRequest, _call: Call
    ) -> license_pb2.GetActivationCodeResponse:
        return license_pb2.GetActivationCodeResponse(state=enterprise_pb2.NONE)

    async def DeleteAll(
        self, _request: license_pb2.DeleteAllRequest, _call: Call
    ) -> license_pb2.DeleteAllResponse:
        return (
            license_pb2.DeleteAllResponse()
        )  # clients that reset a server call it; there is nothing to delete


class IdentityServicer:
    """Answers ``identity_v2.API`` as a server without identity providers."""

    async def DeleteAll(
        self, _request: identity_pb2.DeleteAllRequest, _call: Call
    ) -> identity_pb2.DeleteAllResponse:
        return identity_pb2.DeleteAllResponse()
