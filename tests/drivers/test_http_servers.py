"""Servers that run the ASGI application, each with real clients of HTTP/2 and HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import resource
import socket
from pathlib import Path

import grpc
import pytest
from patience import eventually

from trunkline import errors
from trunkline.app import drivers
from trunkline.app.settings import Settings
from trunkline.client.channel import Channel
from trunkline.rpc.asgi.responses import respond_text
from trunkline.rpc.asgi.server import Server
from trunkline.rpc.gen import health_pb2, pfs_pb2, version_pb2
from trunkline.runtime.supervision import ServiceState

LIMIT = 60  # seconds to wait for a state before a test fails


class Version:
    async def GetVersion(self, _request, _call):
        return version_pb2.Version(major=2)


class Pfs:
    def __init__(self):
        self.ended = asyncio.Event()

    async def SubscribeCommit(self, _request, _call):
        try:
            yield pfs_pb2.CommitInfo()
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
def pfs():
    return Pfs()


@pytest.fixture
async def server(http_server, pfs):
    started = Server(http_server())
    await started.serve({"versionpb_v2.API": Version(), "pfs_v2.API": pfs})
    yield started
    await started.stop(0)


@pytest.fixture
async def channel(server):
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


def watch(channel, service):
    return channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT)


def get(address, path, headers=None):
    connection = http.client.HTTPConnection(address, timeout=LIMIT)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


async def test_a_change_of_health_arrives_at_once(server, channel):
    states = watch(channel, "trunkline/retention")
    first = await states.read()

    server.report("retention", ServiceState.RUNNING)
    second = await states.read()

    assert first.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    assert second.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_unknown_service_has_no_health(channel):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary("/grpc.health.v1.Health/Check")(
            health_pb2.HealthCheckRequest(service="none").SerializeToString()
        )

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_stream_ends_with_unavailable_when_the_server_stops(server, channel):
    states = watch(channel, "")
    await anext(aiter(states))

    await server.stop(0)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [state async for state in states]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "try again" in caught.value.details()


async def test_two_thousand_streams_share_a_connection(channel):
    streams = [watch(channel, "") for _ in range(2000)]

    async with asyncio.timeout(LIMIT):
        states = await asyncio.gather(*(stream.read() for stream in streams))

    assert {state.status for state in states} == {health_pb2.HealthCheckResponse.SERVING}
    for stream in streams:
        stream.cancel()


async def test_the_own_client_and_http_1_share_the_port_with_grpc(server):
    with Channel(server.address) as channel:
        version = await asyncio.to_thread(channel.unary, "/versionpb_v2.API/GetVersion", b"", LIMIT)
        library = channel._connection._headers._library

    status, body = await asyncio.to_thread(get, server.address, "/")

    assert version_pb2.Version.FromString(version).major == 2
    assert (status, body[:9]) == (200, b"Trunkline")
    assert library is None  # its import costs every command several milliseconds


async def test_the_server_writes_nothing_about_itself(http_server, capfd):
    started = Server(http_server())
    await started.serve({})
    await started.stop(0)

    assert capfd.readouterr() == ("", "")


async def test_an_address_in_use_is_refused(server, http_server):
    with pytest.raises(errors.Unavailable, match=server.address):
        http_server(listen=(server.address,))


@pytest.mark.parametrize("http_server", ["h2corn"], indirect=True)  # Hypercorn goes on by itself
async def test_a_server_without_open_files_left_serves_again_when_there_are_some(server, caplog):
    """It once listened no more: h2corn ends when a connection cannot be accepted."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    host, port = server.address.split(":")

    with socket.socket() as refused:
        refused.settimeout(LIMIT)
        resource.setrlimit(resource.RLIMIT_NOFILE, (refused.fileno() + 1, before[1]))
        try:
            await asyncio.to_thread(refused.connect, (host, int(port)))
            await asyncio.to_thread(
                eventually,
                lambda: "http_server_failed" in [getattr(record, "action", "") for record in caplog.records],
                "the server fails",
            )
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    status, _ = await asyncio.to_thread(get, server.address, "/")

    assert status == 200


def test_an_unknown_server_is_refused():
    with pytest.raises(errors.InvalidArgument, match="nginx"):
        drivers.http_server(Settings(data=Path("/none"), http_server="nginx"))


async def test_a_web_socket_is_refused_without_an_error_in_the_log(server, capfd):
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}

    status, _ = await asyncio.to_thread(get, server.address, "/", upgrade | key)

    assert status == 403
    assert capfd.readouterr().err == ""


async def test_a_stream_in_json_ends_when_its_client_goes(server, pfs, capfd):
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/pfs_v2.API/SubscribeCommit HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    async with asyncio.timeout(LIMIT):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}\n")
    was_running = not pfs.ended.is_set()

    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(pfs.ended.wait(), LIMIT)
    await server.stop(LIMIT)

    assert head.startswith(b"HTTP/1.1 200")
    assert was_running
    assert capfd.readouterr().err == ""


@pytest.mark.slow
async def test_a_body_may_have_more_than_a_gibibyte(http_server):
    total = 1 << 30

    async def count(_scope, receive, send):
        size, more = 0, True
        while more:
            event = await receive()
            size += len(event.get("body", b""))
            more = event.get("more_body", False)
        await respond_text(send, 200, str(size))

    running = http_server()
    await running.start(count)

    def upload():
        connection = http.client.HTTPConnection(running.address, timeout=60)
        connection.request("POST", "/", body=(bytes(1 << 20) for _ in range(1025)), encode_chunked=True)
        with contextlib.closing(connection):
            return connection.getresponse().read()

    try:
        assert int(await asyncio.to_thread(upload)) > total
    finally:
        running.refuse()
        await running.close()
