"""Branches over ``pfs_v2.API``."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline.pfs import branch_lists, branches, queries
from trunkline.rpc import changes, convert, pickers
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.call import Call
    from trunkline.rpc.gen import pfs_pb2


class BranchCalls(ServicerBase):
    """Creates, inspects and deletes branches."""

    async def CreateBranch(self, request: pfs_pb2.CreateBranchRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.create_branch(request))
        return EMPTY_REPLY

    async def InspectBranch(self, request: pfs_pb2.InspectBranchRequest, call: Call) -> pfs_pb2.BranchInfo:
        info = await self._store(call).query_recent(queries.branch, convert.branch_name(request.branch))
        return convert.branch_info(info)

    async def ListBranch(
        self, request: pfs_pb2.ListBranchRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        name = convert.repo_or_project(request.repo)
        steps = branch_lists.list_branches(self._store(call), name, reverse=request.reverse)
        async with aclosing(self._ahead(steps)) as pages:
            async for page in pages:
                for info in page:
                    yield convert.branch_info(info)

    async def DeleteBranch(self, request: pfs_pb2.DeleteBranchRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.delete_branch(request))
        return EMPTY_REPLY

    async def WalkBranchProvenance(
        self, request: pfs_pb2.WalkBranchProvenanceRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        async with aclosing(self._walk(call, request, up=True)) as pages:
            async for page in pages:
                for info in page:
                    yield convert.branch_info(info)

    async def WalkBranchSubvenance(
        self, request: pfs_pb2.WalkBranchSubvenanceRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        async with aclosing(self._walk(call, request, up=False)) as pages:
            async for page in pages:
                for info in page:
                    yield convert.branch_info(info)

    def _walk(
        self,
        call: Call,
        request: pfs_pb2.WalkBranchProvenanceRequest | pfs_pb2.WalkBranchSubvenanceRequest,
        *,
        up: bool,
    ) -> AsyncGenerator[list[branches.BranchInfo]]:
        starts = [pickers.branch(picker) for picker in request.start]
        limit, depth = request.max_branches, request.max_depth
        return self._ahead(branch_lists.walk(self._store(call), starts, up=up, limit=limit, depth=depth))
