"""Connections that are ended from outside of the HTTP server: too many of an address, headers without an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from patience import eventually, eventually_async
from raw_http2 import END_HEADERS, HEADERS, PING, PREFACE, RawClient, frame, request, settings

from trunkline.drivers.http import connections
from trunkline.errors import InvalidArgument
from trunkline.linux import accepted
from trunkline.linux.half_closed import Connection
from trunkline.model.port_limits import PortLimits


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(connections, "PAUSE", 0.05)
    monkeypatch.setattr(connections, "BUSY_PAUSE", 0.05)
    monkeypatch.setattr(connections, "PAUSE_OF_LOOKS", 1)


@pytest.fixture
async def serve(http_server):
    """Start a server with these settings whose one application waits; return its address."""
    async with contextlib.AsyncExitStack() as stack:
        released = asyncio.Event()

        async def application(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await released.wait()
            await send({"type": "http.response.body", "body": b"y"})

        async def serving(**changes):
            running = http_server(**changes)
            await running.start(application)
            stack.push_async_callback(running.close)
            stack.callback(released.set)
            return running.address

        yield serving


def is_open(client):
    return not client.is_closed_within(0.001)


async def test_surplus_connections_of_an_address_are_ended_and_those_with_requests_stay(serve, caplog):
    address = await serve(limits=PortLimits(connections_per_address=3), trust_proxies=("127.0.0.3",))
    with contextlib.ExitStack() as stack:

        def several(source, number):
            return [stack.enter_context(RawClient(address, source=source)) for _ in range(number)]

        idle, proxied, other = several("127.0.0.2", 4), several("127.0.0.3", 5), several("127.0.0.4", 3)
        [busy] = several("127.0.0.2", 1)
        busy.send(frame(HEADERS, END_HEADERS, 1, request("/slow")))
        await asyncio.to_thread(busy.read_headers, 1)

        def remaining():
            return sum(map(is_open, idle))

        await asyncio.to_thread(eventually, lambda: remaining() == 2, "the surplus is ended")
        await eventually_async(lambda: connections_ended(caplog), "it is logged")

        assert [is_open(client) for client in (busy, *proxied, *other)] == [True] * 9
    assert connections_ended(caplog) == ["127.0.0.2"]


def connections_ended(caplog):
    return [record.peer for record in caplog.records if getattr(record, "action", "") == "connections_ended"]


@pytest.mark.parametrize("beginning", [
    b"GET / HTTP/1.1\r\nHost: local",
    PREFACE + settings() + frame(HEADERS, 0, 1, request("/"))[:20],
], ids=["http1", "http2"])  # fmt: skip
async def test_headers_that_drip_end_after_their_time_and_pings_do_not(serve, beginning):
    address = await serve(limits=PortLimits(header_time=0.5))
    with RawClient(address, beginning) as dripping, RawClient(address) as pinging, RawClient(address) as idle:

        def drip():
            assert pinging.send(frame(PING, 0, 0, b"12345678"))
            assert pinging.read_until(PING)
            return not dripping.send(b"a") or dripping.is_closed_within(0.05)

        await asyncio.to_thread(eventually, drip, "the dripping connection is ended")

        assert is_open(pinging)
        assert is_open(idle)


async def test_a_connection_without_requests_for_too_long_is_ended_though_it_pings(serve):
    address = await serve(limits=PortLimits(idle_connection=0.5))
    with RawClient(address) as pinging:

        def ping():
            return not pinging.send(frame(PING, 0, 0, b"12345678")) or pinging.is_closed_within(0.05)

        await asyncio.to_thread(eventually, ping, "the connection is ended")


@pytest.mark.parametrize("proxy", ["10.0.0.1/8", "proxy.example.org", ""])
def test_a_proxy_that_is_no_address_is_refused(proxy):
    with pytest.raises(InvalidArgument):
        connections.ConnectionGuard((), PortLimits(), (proxy,))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_an_accepted_connection_is_seen_and_ended_from_outside(family):
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family) as listening:
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} cannot be used")
        listening.listen()
        port = listening.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            before = list(accepted.accepted({port}))
            server, (_, peer_port, *_) = listening.accept()
            with server:
                client.sendall(b"12345")
                server.recv(5, socket.MSG_WAITALL)
                [connection] = accepted.accepted({port})
                [(inode, descriptor)] = accepted.descriptors({connection.inode}).items()
                passed = accepted.traffic(descriptor, inode)
                accepted.end(descriptor, inode + 1)
                client.sendall(b"6")
                still = server.recv(1)
                accepted.end(descriptor, inode)
                ended = server.recv(1), client.recv(1)

    assert before == []
    assert connection.connection == Connection(host, peer_port, port)
    assert descriptor == server.fileno() or server.fileno() == -1
    assert passed.received == 5
    assert (still, ended) == (b"6", (b"", b""))
