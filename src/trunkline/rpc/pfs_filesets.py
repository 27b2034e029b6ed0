"""File sets over ``pfs_v2.API``: files without a commit, with a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pfs import filesets
from trunkline.pfs.feed import Feed
from trunkline.pfs.write_streams import FileSetStream
from trunkline.rpc import convert
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.pfs_write import Applier
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.empty_pb2 import Empty

    from trunkline.ports import Outbound
    from trunkline.rpc.call import Call


class FileSetCalls(ServicerBase):
    """Creates, renews and composes file sets."""

    raw_requests = frozenset({"CreateFileSet"})
    _outbound: Outbound

    async def CreateFileSet(
        self, requests: AsyncIterator[bytes], call: Call
    ) -> pfs_pb2.CreateFileSetResponse:
        changes = FileSetStream(self._store(call))
        applier = Applier(self._store(call), self._outbound, None, changes)
        async with Feed(self._executor, applier, self._versions.budget) as feed:
            await feed.receive(requests)
            handle = filesets.new_handle()
            await feed.finish(changes.finish, handle, filesets.DEFAULT_TTL)
        return pfs_pb2.CreateFileSetResponse(file_set_id=handle)

    async def GetFileSet(
        self, request: pfs_pb2.GetFileSetRequest, call: Call
    ) -> pfs_pb2.CreateFileSetResponse:
        make = filesets.of_changes if request.type == pfs_pb2.GetFileSetRequest.DIFF else filesets.of_commit
        handle = await self._blocking(make, self._store(call), convert.commit_name(request.commit))
        return pfs_pb2.CreateFileSetResponse(file_set_id=handle)

    async def AddFileSet(self, request: pfs_pb2.AddFileSetRequest, call: Call) -> Empty:
        await self._blocking(
            filesets.add_to_commit,
            self._store(call),
            convert.commit_name(request.commit),
            request.file_set_id,
        )
        return EMPTY_REPLY

    async def RenewFileSet(self, request: pfs_pb2.RenewFileSetRequest, call: Call) -> Empty:
        await self._store(call).write_soon(
            filesets.renew, self._store(call), request.file_set_id, request.ttl_seconds
        )
        return EMPTY_REPLY

    async def ComposeFileSet(
        self, request: pfs_pb2.ComposeFileSetRequest, call: Call
    ) -> pfs_pb2.CreateFileSetResponse:
        handle = await self._blocking(
            filesets.compose,
            self._store(call),
            list(request.file_set_ids),
            request.ttl_seconds,
            compact=request.compact,
        )
        return pfs_pb2.CreateFileSetResponse(file_set_id=handle)
