"""The ASGI application, called as a server calls it, with the events of ASGI."""

from __future__ import annotations

import asyncio
import logging

import pytest
from exchange import END, GONE, LIMIT, Exchange, piece
from google.protobuf import empty_pb2

from trunkline.rpc import methods
from trunkline.rpc.asgi import framing
from trunkline.rpc.asgi.browsers import BrowserChecks
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.asgi.grpc_application import GrpcApplication
from trunkline.rpc.asgi.routing import Router
from trunkline.rpc.gen import pfs_pb2, version_pb2
from trunkline.telemetry.logs import ACCESS

VERSION, LIST, SUBSCRIBE, UPLOAD = (
    "/versionpb_v2.API/GetVersion",
    "/pfs_v2.API/ListRepo",
    "/pfs_v2.API/SubscribeCommit",
    "/pfs_v2.API/ModifyFile",
)


class Version:
    async def GetVersion(self, _request, call):
        if call.metadata.get("sleep"):
            await asyncio.Event().wait()
        return version_pb2.Version(additional="text " * 1000)


class Pfs:
    raw_requests = frozenset({"ModifyFile"})

    def __init__(self):
        self.ended = asyncio.Event()
        self.frames = []
        self.end = ""

    async def ListRepo(self, _request, _call):
        for name in ("a", "b"):
            yield pfs_pb2.RepoInfo(repo=pfs_pb2.Repo(name=name))

    async def SubscribeCommit(self, _request, _call):
        try:
            yield pfs_pb2.CommitInfo()
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def ModifyFile(self, requests, _call):
        try:
            async for frame in requests:
                self.frames.append(frame)
            self.end = "finished"
            return empty_pb2.Empty()
        except asyncio.CancelledError:
            self.end = "cancelled"
            raise


@pytest.fixture
def pfs():
    return Pfs()


@pytest.fixture
def calls(pfs):
    return Calls(methods.table({"pfs_v2.API": pfs, "versionpb_v2.API": Version()}))


@pytest.fixture
def application(calls):
    return Router(
        grpc=GrpcApplication(calls), connect=None, mounts={}, browsers=BrowserChecks(["127.0.0.1:30650"])
    )


async def test_an_answer_is_a_start_a_body_and_trailers(application):
    exchange = await Exchange(application, VERSION, piece(b"", more=True), END).ended()

    assert [event["type"] for event in exchange.sent] == [
        "http.response.start",
        "http.response.body",
        "http.response.body",
        "http.response.trailers",
    ]
    assert exchange.code == "OK"


async def test_the_messages_of_a_listing_share_one_body(application):
    exchange = await Exchange(application, LIST, piece(b"")).ended()

    assert len([event for event in exchange.sent if event.get("body")]) == 1
    assert len(framing.Unframer("a.B/C", "identity").feed(exchange.body)) == 2


@pytest.mark.parametrize(
    ("path", "events", "headers", "code"),
    [
        pytest.param("/a.B/C", [piece(b"")], [], "UNIMPLEMENTED", id="unknown method"),
        pytest.param(VERSION, [piece(b"", b"")], [], "INVALID_ARGUMENT", id="two messages"),
        pytest.param(VERSION, [END], [], "INVALID_ARGUMENT", id="no message"),
        pytest.param(VERSION, [piece(b"\xff")], [], "INVALID_ARGUMENT", id="not a message"),
        pytest.param(
            UPLOAD,
            [{"type": "http.request", "body": b"\0\0\0\0\2x"}],
            [],
            "INVALID_ARGUMENT",
            id="end within a message",
        ),
        pytest.param(VERSION, [piece(b"")], [(b"grpc-timeout", b"soon")], "INVALID_ARGUMENT", id="deadline"),
        pytest.param(VERSION, [piece(b"")], [(b"name", b"\xff")], "INVALID_ARGUMENT", id="metadata"),
        pytest.param(VERSION, [piece(b"")], [(b"grpc-encoding", b"br")], "UNIMPLEMENTED", id="encoding"),
    ],
)
async def test_a_bad_request_ends_with_its_status(application, path, events, headers, code):
    exchange = await Exchange(application, path, *events, headers=headers).ended()

    assert exchange.code == code
    assert exchange.trailers[b"grpc-message"]


@pytest.mark.parametrize("text", [b"20m", b"0n"])
async def test_a_call_ends_at_its_deadline(application, text):
    headers = [(b"grpc-timeout", text), (b"sleep", b"yes")]

    exchange = await Exchange(application, VERSION, piece(b""), headers=headers).ended()

    assert exchange.code == "DEADLINE_EXCEEDED"


async def test_answers_are_compressed_for_a_client_that_compresses(application):
    prefix, body = framing.compressed(b"")
    request = {"type": "http.request", "body": prefix + body}

    exchange = await Exchange(application, VERSION, request, headers=[(b"grpc-encoding", b"gzip")]).ended()

    [packed] = framing.Unframer("a.B/C", "gzip").feed(exchange.body)
    message = await packed.decompress()
    assert version_pb2.Version.FromString(message).additional == "text " * 1000
    assert len(exchange.body) < len(message) / 10
    assert dict(exchange.sent[0]["headers"])[b"grpc-encoding"] == b"gzip"


async def test_an_upload_that_breaks_is_cancelled(application, pfs):
    await Exchange(application, UPLOAD, piece(b"one", more=True), GONE).ended()

    assert (pfs.frames, pfs.end) == ([b"one"], "cancelled")


async def test_a_call_that_the_server_cancels_ends_at_once(application, pfs, caplog):
    with caplog.at_level(logging.INFO, logger=ACCESS):
        exchange = Exchange(application, SUBSCRIBE, piece(b""))
        await asyncio.wait_for(exchange.arrived.wait(), LIMIT)
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.task

    assert pfs.ended.is_set()
    assert [record.code for record in caplog.records] == ["CANCELLED"]


async def test_the_stop_ends_streams_with_unavailable(application, calls, pfs):
    exchange = Exchange(application, SUBSCRIBE, piece(b""))
    await asyncio.wait_for(exchange.arrived.wait(), LIMIT)

    await calls.stop(0)

    assert (await exchange.ended()).code == "UNAVAILABLE"
    assert b"try again" in exchange.trailers[b"grpc-message"]
    assert pfs.ended.is_set()
    assert (await Exchange(application, VERSION, piece(b"")).ended()).code == "UNAVAILABLE"


async def test_the_stop_waits_for_a_call_within_its_grace(application, calls):
    exchange = Exchange(application, UPLOAD, piece(b"one", more=True))
    await asyncio.sleep(0)

    stopping = asyncio.create_task(calls.stop(LIMIT))
    await asyncio.sleep(0)
    exchange.give(END)
    await asyncio.wait_for(stopping, LIMIT)

    assert (await exchange.ended()).code == "OK"


async def test_grpc_over_http_1_is_refused(application):
    exchange = await Exchange(application, VERSION, piece(b""), http_version="1.1").ended()

    assert exchange.sent[0]["status"] == 400
    assert b"HTTP/2" in exchange.body
