"""Branches over ``pfs_v2.API``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import branches as rows
from trunkline.pfs import branches, resolve
from trunkline.rpc import convert, pickers
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import sqlalchemy as sa
    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.gen import pfs_pb2

#: What a walk returns at most, and how far it goes, when the request does not say or says more.
MAX_WALKED = 10_000
MAX_DEPTH = 1_000


def bounds(wanted: int, depth: int) -> tuple[int, int]:
    """Return how many are walked to at most, and how far."""
    return min(wanted or MAX_WALKED, MAX_WALKED), min(depth or MAX_DEPTH, MAX_DEPTH)


class BranchCalls(ServicerBase):
    """Makes, tells and removes branches."""

    async def CreateBranch(self, request: pfs_pb2.CreateBranchRequest, _context: Any) -> Empty:
        if request.trigger.ByteSize():
            raise errors.Unimplemented(
                f"branch triggers are not built yet; create branch {convert.branch_name(request.branch)} without one"
            )
        await self._versions.write_soon(
            branches.create_branch,
            convert.branch_name(request.branch),
            head=convert.optional_commit(request.head),
            provenance=convert.upstreams(request.provenance, request.branch_propagation_specs),
        )
        return EMPTY_REPLY

    async def InspectBranch(self, request: pfs_pb2.InspectBranchRequest, _context: Any) -> pfs_pb2.BranchInfo:
        name = convert.branch_name(request.branch)

        def look(conn: sa.Connection) -> branches.BranchInfo:
            return branches.describe(conn, resolve.branch(conn, name.repo, name.name))

        return convert.branch_info(await self._versions.db.read(look))

    async def ListBranch(
        self, request: pfs_pb2.ListBranchRequest, _context: Any
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        name = convert.repo_or_project(request.repo)

        def look(conn: sa.Connection) -> list[branches.BranchInfo]:
            listed = [row for repo in resolve.repos_of(conn, name) for row in rows.of_repo(conn, repo.id)]
            listed.sort(key=lambda row: row.id, reverse=not request.reverse)
            return [branches.describe(conn, row) for row in listed]

        for info in await self._versions.db.read(look):
            yield convert.branch_info(info)

    async def DeleteBranch(self, request: pfs_pb2.DeleteBranchRequest, _context: Any) -> Empty:
        await self._versions.write_soon(
            branches.delete_branch, convert.branch_name(request.branch), force=request.force
        )
        return EMPTY_REPLY

    async def WalkBranchProvenance(
        self, request: pfs_pb2.WalkBranchProvenanceRequest, _context: Any
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        for info in await self._walk(request, up=True):
            yield convert.branch_info(info)

    async def WalkBranchSubvenance(
        self, request: pfs_pb2.WalkBranchSubvenanceRequest, _context: Any
    ) -> AsyncIterator[pfs_pb2.BranchInfo]:
        for info in await self._walk(request, up=False):
            yield convert.branch_info(info)

    async def _walk(
        self,
        request: pfs_pb2.WalkBranchProvenanceRequest | pfs_pb2.WalkBranchSubvenanceRequest,
        *,
        up: bool,
    ) -> list[branches.BranchInfo]:
        limit, depth = bounds(request.max_branches, request.max_depth)
        starts = [pickers.branch(picker) for picker in request.start]
        return await self._versions.db.read(branches.walk, starts, up=up, limit=limit, depth=depth)
