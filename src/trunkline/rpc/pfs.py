"""The versioned store's API (``pfs_v2.API``): the methods for projects and repos, and the combined servicer.

A method reads its request (``convert``), calls the layer below and writes the reply; it applies no rules of its
own. The other methods are in ``pfs_commits``, ``pfs_branches``, ``pfs_write``, ``pfs_filesets`` and ``pfs_read``.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.pfs import fsck, queries, repos
from trunkline.pps import pipeline_removal, spec_defaults
from trunkline.rpc import changes, convert, pickers
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.pfs_branches import BranchCalls
from trunkline.rpc.pfs_commits import CommitCalls
from trunkline.rpc.pfs_filesets import FileSetCalls
from trunkline.rpc.pfs_read import ReadCalls
from trunkline.rpc.pfs_write import WriteCalls
from trunkline.rpc.servicer import EMPTY_REPLY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor

    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Outbound
    from trunkline.pps.egress import Egresses
    from trunkline.rpc.call import Call


class PfsServicer(CommitCalls, BranchCalls, WriteCalls, FileSetCalls, ReadCalls):
    """Answers ``pfs_v2.API``."""

    raw_requests = WriteCalls.raw_requests | FileSetCalls.raw_requests
    raw_responses = ReadCalls.raw_responses

    def __init__(
        self, versions: VersionedStore, executor: Executor, outbound: Outbound, egresses: Egresses
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            executor: does the blocking work of calls.
            outbound: connects to URLs.
            egresses: sends files to databases and object stores.
        """
        super().__init__(versions, executor)
        self._outbound = outbound
        self._egresses = egresses

    # --- projects ---------------------------------------------------------------------------------------

    async def CreateProject(self, request: pfs_pb2.CreateProjectRequest, call: Call) -> Empty:
        await self._store(call).write_soon(
            repos.create_project, request.project.name, request.description, update=request.update
        )
        return EMPTY_REPLY

    async def InspectProject(self, request: pfs_pb2.InspectProjectRequest, call: Call) -> pfs_pb2.ProjectInfo:
        row = await self._store(call).query_recent(queries.project, convert.project_name(request.project))
        return convert.project_info(row)

    async def InspectProjectV2(
        self, request: pfs_pb2.InspectProjectV2Request, call: Call
    ) -> pfs_pb2.InspectProjectV2Response:
        store, name = self._store(call), convert.project_name(request.project)
        row = await store.query_soon(queries.project, name)
        defaults = await store.query_soon(spec_defaults.of_project, name)
        return pfs_pb2.InspectProjectV2Response(info=convert.project_info(row), defaults_json=defaults.json)

    async def ListProject(
        self, _request: pfs_pb2.ListProjectRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.ProjectInfo]:
        for row in await self._store(call).query_soon(queries.projects):
            yield convert.project_info(row)

    async def DeleteProject(self, request: pfs_pb2.DeleteProjectRequest, call: Call) -> Empty:
        if not request.project.name:
            raise errors.InvalidArgument("the request names no project to delete; set project.name")
        await self._store(call).write_soon(repos.delete_project, request.project.name)
        return EMPTY_REPLY

    # --- repos ------------------------------------------------------------------------------------------

    async def CreateRepo(self, request: pfs_pb2.CreateRepoRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.create_repo(request))
        return EMPTY_REPLY

    async def InspectRepo(self, request: pfs_pb2.InspectRepoRequest, call: Call) -> pfs_pb2.RepoInfo:
        info = await self._store(call).query_recent(queries.repo, convert.repo_name(request.repo))
        return convert.repo_info(info)

    async def ListRepo(self, request: pfs_pb2.ListRepoRequest, call: Call) -> AsyncIterator[pfs_pb2.RepoInfo]:
        projects = [convert.project_name(project) for project in request.projects]
        page = queries.Page(request.page.page_size, request.page.page_index)
        steps = queries.list_repos(self._store(call), request.type, projects, page)
        async with aclosing(self._ahead(steps)) as lists:
            async for infos in lists:
                for info in infos:
                    yield convert.repo_info(info)

    async def ReposSummary(
        self, request: pfs_pb2.ReposSummaryRequest, call: Call
    ) -> pfs_pb2.ReposSummaryResponse:
        projects = [pickers.project(picker) for picker in request.projects]
        summaries = await self._store(call).query_soon(queries.summaries, projects)
        return pfs_pb2.ReposSummaryResponse(
            summaries=[
                pfs_pb2.ReposSummary(
                    project=pfs_pb2.Project(name=summary.project),
                    user_repo_count=summary.user_repos,
                    size_bytes=summary.size,
                )
                for summary in summaries
            ]
        )

    async def DeleteRepo(self, request: pfs_pb2.DeleteRepoRequest, call: Call) -> pfs_pb2.DeleteRepoResponse:
        deleted = await self._blocking(
            repos.delete_repo_in_slices,
            self._store(call),
            convert.repo_name(request.repo),
            force=request.force,
        )
        return pfs_pb2.DeleteRepoResponse(deleted=deleted)

    async def DeleteRepos(
        self, request: pfs_pb2.DeleteReposRequest, call: Call
    ) -> pfs_pb2.DeleteReposResponse:
        if not request.all and not request.projects:
            return pfs_pb2.DeleteReposResponse()
        projects = [] if request.all else [convert.project_name(project) for project in request.projects]
        deleted = await self._blocking(
            repos.delete_repos_in_slices, self._store(call), projects, force=request.force
        )
        return pfs_pb2.DeleteReposResponse(repos=[convert.repo_message(row) for row in deleted])

    # --- egress -----------------------------------------------------------------------------------------

    async def Egress(self, request: pfs_pb2.EgressRequest, call: Call) -> pfs_pb2.EgressResponse:
        written = await self._blocking(
            self._egresses.run,
            self._store(call),
            convert.commit_name(request.commit),
            convert.egress_target(request),
        )
        if request.HasField("sql_database"):
            rows = pfs_pb2.EgressResponse.SqlDatabaseResult(rows_written=written.rows)
            return pfs_pb2.EgressResponse(sql_database=rows)
        size = pfs_pb2.EgressResponse.ObjectStorageResult(bytes_written=written.size)
        return pfs_pb2.EgressResponse(object_storage=size)

    # --- checks -----------------------------------------------------------------------------------------

    async def Fsck(self, request: pfs_pb2.FsckRequest, call: Call) -> AsyncIterator[pfs_pb2.FsckResponse]:
        if request.fix:
            raise errors.Unimplemented(
                "fsck repairs nothing; leave fix out, and restore what it names from a backup"
            )
        async with aclosing(self._ahead(fsck.problems(self._store(call)))) as sentences:
            async for sentence in sentences:
                yield pfs_pb2.FsckResponse(error=sentence)

    # --- everything -------------------------------------------------------------------------------------

    async def DeleteAll(self, _request: Empty, call: Call) -> Empty:
        await self._blocking(pipeline_removal.delete_everything, self._store(call))
        return EMPTY_REPLY
