"""Servicers for the tests of REST and Connect."""

from __future__ import annotations

import asyncio

from google.protobuf import empty_pb2
from google.protobuf.wrappers_pb2 import BytesValue

from trunkline import errors
from trunkline.rpc import methods
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.gen import pfs_pb2, pps_pb2


class Pfs:
    """Answers by the name of the repo that is asked for."""

    raw_requests = frozenset({"ModifyFile"})
    raw_responses = frozenset({"GetFile"})

    def __init__(self):
        self.calls = []
        self.requests = []
        self.end = ""
        self.yielded = 0
        self.ended = asyncio.Event()

    async def InspectRepo(self, request, call):
        self.calls.append(call)
        self.requests.append(request)
        name = request.repo.name
        if name == "missing":
            raise errors.NotFound("repo default/missing not found")
        if name == "waits":
            await asyncio.Event().wait()
        if name == "trailing":
            call.trailing += [("rows", "7"), ("key-bin", b"\xff\xfe")]
        if name == "large":
            return pfs_pb2.RepoInfo(description="text " * 1000)
        return pfs_pb2.RepoInfo(repo=request.repo, size_bytes_upper_bound=1 << 53)

    async def ListRepo(self, request, call):
        for name in ("a", "b"):
            yield pfs_pb2.RepoInfo(repo=pfs_pb2.Repo(name=name))
        if request.type == "fails":
            raise errors.Unavailable("the store does not answer; try again")
        call.trailing.append(("rows", "2"))

    async def ListFile(self, _request, _call):
        raise errors.NotFound("branch default/a@master not found")
        yield

    async def SubscribeCommit(self, _request, _call):
        try:
            yield pfs_pb2.CommitInfo()
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def ModifyFile(self, requests, _call):
        try:
            async for request in requests:
                self.requests.append(pfs_pb2.ModifyFileRequest.FromString(request))
            self.end = "finished"
        except asyncio.CancelledError:
            self.end = "cancelled"
            raise
        return empty_pb2.Empty()

    async def GetFile(self, request, _call):
        while request.offset:
            self.yielded += 1
            yield BytesValue(value=bytes(100_000)).SerializeToString()
        yield BytesValue(value=b"hi").SerializeToString()


class Pps:
    async def CreateDatum(self, requests, _call):
        async for request in requests:
            yield pps_pb2.DatumInfo(image_id=str(request.start.number))


def calls(pfs):
    return Calls(methods.table({"pfs_v2.API": pfs, "pps_v2.API": Pps()}))
