"""Defaults of pipeline specs over ``pps_v2.API``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pps import spec_defaults
from trunkline.pps.spec_defaults import Change
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from trunkline.pps.admission import Admission
    from trunkline.rpc.call import Call


class DefaultsCalls(ServicerBase):
    """Reads and sets the defaults of the cluster and of projects."""

    _admission: Admission

    async def GetClusterDefaults(
        self, _request: pps_pb2.GetClusterDefaultsRequest, call: Call
    ) -> pps_pb2.GetClusterDefaultsResponse:
        json = await self._store(call).query_soon(spec_defaults.of_cluster)
        return pps_pb2.GetClusterDefaultsResponse(cluster_defaults_json=json)

    async def SetClusterDefaults(
        self, request: pps_pb2.SetClusterDefaultsRequest, call: Call
    ) -> pps_pb2.SetClusterDefaultsResponse:
        affected = await self._set(call, request, None, request.cluster_defaults_json)
        return pps_pb2.SetClusterDefaultsResponse(affected_pipelines=affected)

    async def GetProjectDefaults(
        self, request: pps_pb2.GetProjectDefaultsRequest, call: Call
    ) -> pps_pb2.GetProjectDefaultsResponse:
        row = await self._store(call).query_soon(
            spec_defaults.of_project, convert.project_name(request.project)
        )
        response = pps_pb2.GetProjectDefaultsResponse(project_defaults_json=row.json)
        if row.at is not None:
            convert.set_time(response.created_at, row.at)
        return response

    async def SetProjectDefaults(
        self, request: pps_pb2.SetProjectDefaultsRequest, call: Call
    ) -> pps_pb2.SetProjectDefaultsResponse:
        project = convert.project_name(request.project)
        affected = await self._set(call, request, project, request.project_defaults_json)
        return pps_pb2.SetProjectDefaultsResponse(affected_pipelines=affected)

    async def _set(
        self,
        call: Call,
        request: pps_pb2.SetClusterDefaultsRequest | pps_pb2.SetProjectDefaultsRequest,
        project: str | None,
        json: str,
    ) -> list[pps_pb2.Pipeline]:
        """Set defaults and return the pipelines that they change."""
        change = Change(project, json, request.regenerate, request.reprocess, request.dry_run)
        rows = await self._blocking(spec_defaults.change, self._store(call), self._admission, change)
        return [pps_convert.pipeline_message(row.project, row.name) for row in rows]
