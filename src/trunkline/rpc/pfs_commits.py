"""Commits and commit sets over ``pfs_v2.API``."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline.model.states import CommitState
from trunkline.pfs import commit_lists, commits, forgotten, queries, watch
from trunkline.rpc import changes, convert, pickers
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.call import Call


class CommitCalls(ServicerBase):
    """Starts, finishes, inspects, follows and removes commits."""

    # --- one commit -------------------------------------------------------------------------------------

    async def StartCommit(self, request: pfs_pb2.StartCommitRequest, call: Call) -> pfs_pb2.Commit:
        row = await self._store(call).write_soon(changes.start_commit(request))
        return convert.commit_message(convert.repo_name(request.branch.repo), row.set_id)

    async def FinishCommit(self, request: pfs_pb2.FinishCommitRequest, call: Call) -> Empty:
        await self._blocking(
            commits.finish_commit,
            self._store(call),
            convert.commit_name(request.commit),
            error=request.error,
            description=request.description,
            force=request.force,
        )
        return EMPTY_REPLY

    async def ClearCommit(self, request: pfs_pb2.ClearCommitRequest, call: Call) -> Empty:
        await self._store(call).write_soon(commits.clear_commit, convert.commit_name(request.commit))
        return EMPTY_REPLY

    async def InspectCommit(self, request: pfs_pb2.InspectCommitRequest, call: Call) -> pfs_pb2.CommitInfo:
        name, state = convert.commit_name(request.commit), convert.commit_state(request.wait)
        if state is CommitState.STARTED:
            return convert.commit_info(await self._store(call).query_recent(queries.commit, name))
        row = await watch.wait_commit(self._store(call), name, state)
        return convert.commit_info(await self._store(call).query_soon(queries.describe_commit, row))

    async def SquashCommit(
        self, request: pfs_pb2.SquashCommitRequest, call: Call
    ) -> pfs_pb2.SquashCommitResponse:
        await self._remove(call, request, keep_changes=True)
        return pfs_pb2.SquashCommitResponse()

    async def ForgetCommit(
        self, request: pfs_pb2.ForgetCommitRequest, call: Call
    ) -> pfs_pb2.ForgetCommitResponse:
        await self._store(call).write_soon(forgotten.forget, pickers.commit(request.commit))
        return pfs_pb2.ForgetCommitResponse()

    async def DropCommit(self, request: pfs_pb2.DropCommitRequest, call: Call) -> pfs_pb2.DropCommitResponse:
        await self._remove(call, request, keep_changes=False)
        return pfs_pb2.DropCommitResponse()

    async def _remove(
        self,
        call: Call,
        request: pfs_pb2.SquashCommitRequest | pfs_pb2.DropCommitRequest,
        *,
        keep_changes: bool,
    ) -> None:
        await self._store(call).write_soon(
            commits.remove_one,
            convert.commit_name(request.commit),
            keep_changes=keep_changes,
            recursive=request.recursive,
        )

    # --- lists ------------------------------------------------------------------------------------------

    async def ListCommit(
        self, request: pfs_pb2.ListCommitRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitInfo]:
        newest = convert.optional_commit(request.to)
        query = commit_lists.CommitFilter(
            repo=newest.repo if newest is not None else convert.repo_or_project(request.repo),
            newest=newest,
            # By getattr, because ``from`` is a keyword of Python.
            until=convert.optional_commit(getattr(request, "from")),
            number=request.number,
            oldest_first=request.reverse,
            origin=convert.origin(request.origin_kind),
            started_before=(
                convert.seconds_of_time(request.started_time, "started_time")
                if request.HasField("started_time")
                else None
            ),
        )
        async with aclosing(self._ahead(commit_lists.list_commits(self._store(call), query))) as pages:
            async for page in pages:
                for info in page:
                    yield convert.commit_info(info)

    async def SubscribeCommit(
        self, request: pfs_pb2.SubscribeCommitRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitInfo]:
        following = watch.subscribe(
            self._store(call),
            convert.repo_name(request.repo),
            request.branch,
            after=convert.optional_commit(getattr(request, "from")),
            state=convert.commit_state(request.state),
            origin=convert.origin(request.origin_kind),
        )
        async with aclosing(following) as rows:
            async for row in rows:
                yield convert.commit_info(await self._store(call).query_soon(queries.describe_commit, row))

    async def FindCommits(
        self, request: pfs_pb2.FindCommitsRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.FindCommitsResponse]:
        searched = 0
        last: pfs_pb2.Commit | None = None
        steps = commit_lists.find_changes(
            self._store(call), convert.commit_name(request.start), request.file_path, request.limit
        )
        async with aclosing(self._ahead(steps)) as looks:
            async for look in looks:
                searched += 1
                last = convert.commit_message(look.repo, look.row.set_id)
                if look.changed:
                    yield pfs_pb2.FindCommitsResponse(found_commit=last, commits_searched=searched)
        yield pfs_pb2.FindCommitsResponse(last_searched_commit=last, commits_searched=searched)

    async def WalkCommitProvenance(
        self, request: pfs_pb2.WalkCommitProvenanceRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitInfo]:
        async with aclosing(self._walk_commits(call, request, up=True)) as pages:
            async for page in pages:
                for info in page:
                    yield convert.commit_info(info)

    async def WalkCommitSubvenance(
        self, request: pfs_pb2.WalkCommitSubvenanceRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitInfo]:
        async with aclosing(self._walk_commits(call, request, up=False)) as pages:
            async for page in pages:
                for info in page:
                    yield convert.commit_info(info)

    def _walk_commits(
        self,
        call: Call,
        request: pfs_pb2.WalkCommitProvenanceRequest | pfs_pb2.WalkCommitSubvenanceRequest,
        *,
        up: bool,
    ) -> AsyncGenerator[list[commits.CommitInfo]]:
        starts = [pickers.commit(picker) for picker in request.start]
        limit, depth = request.max_commits, request.max_depth
        return self._ahead(commit_lists.walk(self._store(call), starts, up=up, limit=limit, depth=depth))

    # --- commit sets ------------------------------------------------------------------------------------

    async def InspectCommitSet(
        self, request: pfs_pb2.InspectCommitSetRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitInfo]:
        set_id = convert.set_id(request.commit_set)
        async with aclosing(self._ahead(commit_lists.commit_set(self._store(call), set_id))) as pages:
            async for page in pages:
                for info in page:
                    if request.wait and info.row.finished is None:
                        info = await self._finished(call, info)
                    yield convert.commit_info(info)

    async def _finished(self, call: Call, info: commits.CommitInfo) -> commits.CommitInfo:
        """Return a commit as it is once it is finished."""
        text = f"{info.repos[info.row.repo_id]}@{info.row.set_id}"
        row = await watch.wait_row(self._store(call), info.row.id, CommitState.FINISHED, text)
        return await self._store(call).query_soon(queries.describe_commit, row)

    async def ListCommitSet(
        self, request: pfs_pb2.ListCommitSetRequest, call: Call
    ) -> AsyncIterator[pfs_pb2.CommitSetInfo]:
        steps = commit_lists.list_commit_sets(self._store(call), request.project.name or None)
        async with aclosing(self._ahead(steps)) as pages:
            async for page in pages:
                for set_id, infos in page:
                    yield pfs_pb2.CommitSetInfo(
                        commit_set=pfs_pb2.CommitSet(id=set_id),
                        commits=[convert.commit_info(info) for info in infos],
                    )

    async def SquashCommitSet(self, request: pfs_pb2.SquashCommitSetRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.squash_commit_set(request))
        return EMPTY_REPLY

    async def DropCommitSet(self, request: pfs_pb2.DropCommitSetRequest, call: Call) -> Empty:
        await self._store(call).write_soon(commits.drop, convert.set_id(request.commit_set))
        return EMPTY_REPLY
