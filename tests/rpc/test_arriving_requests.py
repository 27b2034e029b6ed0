"""Requests whose messages take memory before they are whole, or while they are answered."""

from __future__ import annotations

import asyncio

import pytest
from exchange import Exchange
from google.protobuf import empty_pb2
from patience import eventually_async

from trunkline.model.port_limits import PortLimits
from trunkline.rpc import methods
from trunkline.rpc.asgi import arriving, framing
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.asgi.grpc_application import GrpcApplication
from trunkline.rpc.gen import pfs_pb2

MIB = 1 << 20
SINGLE, STREAM = "/pfs_v2.API/CreateRepo", "/pfs_v2.API/ModifyFile"


class Pfs:
    raw_requests = frozenset({"ModifyFile"})

    def __init__(self):
        self.released = asyncio.Event()
        self.sizes = []

    async def CreateRepo(self, request, _call):
        self.sizes.append(len(request.description))
        await self.released.wait()
        return empty_pb2.Empty()

    async def ModifyFile(self, requests, _call):
        async for frame in requests:
            self.sizes.append(len(frame))
        return empty_pb2.Empty()


@pytest.fixture
def pfs():
    return Pfs()


@pytest.fixture
def port_limits():
    return PortLimits(arriving_requests=MIB)


@pytest.fixture
def calls(pfs, port_limits):
    return Calls(methods.table({"pfs_v2.API": pfs}), port_limits)


@pytest.fixture
async def begin(calls):
    """Begin a call whose message is to have this many bytes, of which some have come."""
    begun = []

    def beginning(path, size, come):
        text = pfs_pb2.CreateRepoRequest(description="x" * size).SerializeToString()
        exchange = Exchange(GrpcApplication(calls), path)
        exchange.whole = framing.prefix(text) + text
        exchange.position = 0
        begun.append(exchange)
        go_on(exchange, come)
        return exchange

    yield beginning
    await calls.stop(0)
    await asyncio.gather(*(exchange.task for exchange in begun), return_exceptions=True)


def go_on(exchange, size=None):
    rest = exchange.whole[exchange.position :]
    body = rest if size is None else rest[:size]
    exchange.position += len(body)
    exchange.give({"type": "http.request", "body": body, "more_body": len(body) < len(rest)})


def held(calls):
    return calls._arriving.held


async def test_calls_beyond_the_limit_get_whole_one_after_the_other(begin, calls, pfs):
    exchanges = [begin(STREAM, MIB, MIB * 6 // 10) for _ in range(3)]
    await eventually_async(lambda: held(calls) > MIB, "all of them hold bytes")

    for exchange in exchanges:
        go_on(exchange)
    for exchange in exchanges:
        await exchange.ended()

    assert [exchange.code for exchange in exchanges] == ["OK"] * 3
    assert len(pfs.sizes) == 3
    assert held(calls) == 0


async def test_beyond_twice_the_limit_a_large_message_is_refused_and_a_small_one_is_not(begin, calls, pfs):
    single = [begin(SINGLE, MIB * 8 // 10, None) for _ in range(2)]
    await eventually_async(lambda: len(pfs.sizes) == 2, "two are being answered")

    refused = await begin(STREAM, MIB, MIB * 6 // 10).ended()
    small = await begin(STREAM, 1000, None).ended()
    pfs.released.set()
    for exchange in single:
        await exchange.ended()

    assert (refused.code, small.code) == ("RESOURCE_EXHAUSTED", "OK")
    assert [exchange.code for exchange in single] == ["OK", "OK"]
    assert held(calls) == 0


@pytest.mark.parametrize("port_limits", [PortLimits(arriving_requests=MIB, request_stall=0.05)])
@pytest.mark.parametrize("path", [SINGLE, STREAM])
async def test_the_longest_stalled_request_ends_when_others_need_its_room(
    begin, calls, pfs, caplog, monkeypatch, path
):
    """A client could hold 20 MiB of each of thousands of requests, for ten minutes."""
    monkeypatch.setattr(arriving, "LOOK", 0.01)
    pfs.released.set()
    stalled = begin(path, MIB, MIB * 9 // 10)
    other = begin(path, MIB, MIB * 2 // 10)

    await stalled.ended()
    go_on(other)
    await other.ended()

    assert (stalled.code, other.code) == ("RESOURCE_EXHAUSTED", "OK")
    assert [record.action for record in caplog.records if record.levelname == "WARNING"] == [
        "request_stalled"
    ]
    assert held(calls) == 0


async def test_small_messages_are_not_counted(begin, calls, pfs):
    exchange = begin(SINGLE, 50_000, 40_000)
    go_on(exchange)
    await eventually_async(lambda: pfs.sizes == [50_000], "it is being answered")

    assert held(calls) == 0
    pfs.released.set()
    await exchange.ended()


async def test_an_upload_that_waits_can_be_ended(begin, calls):
    first = begin(STREAM, MIB, MIB * 9 // 10)
    favoured, waiting = begin(STREAM, MIB, MIB * 2 // 10), begin(STREAM, MIB, MIB * 2 // 10)
    await eventually_async(lambda: held(calls) > MIB * 12 // 10, "all of them hold bytes")

    waiting.task.cancel()
    await asyncio.gather(waiting.task, return_exceptions=True)
    for exchange in (favoured, first):
        go_on(exchange)
        await exchange.ended()

    assert (first.code, favoured.code) == ("OK", "OK")
    assert held(calls) == 0
