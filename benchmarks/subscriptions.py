"""What idle subscriptions cost the server: memory and processor time of 2,000 watchers of /events and of SubscribeCommit.

    python benchmarks/subscriptions.py

The peer is the bare HTTP server below: an application that begins a stream and then says nothing, on connections of its
own (HTTP/1.1) and as streams of one connection (HTTP/2). A server of its own measures each.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Awaitable, Callable

import common
import grpc
import psutil

from trunkline.rpc.gen import control_pb2, pfs_pb2

WATCHERS = 2_000
#: Seconds of which the processor time is taken: longer than a heartbeat.
SECONDS = 20.0

BARE = """
import asyncio
from pathlib import Path
from trunkline.app import drivers
from trunkline.app.settings import Settings

async def application(scope, receive, send):
    kind = b"application/grpc" if scope["http_version"] == "2" else b"text/event-stream"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"\\0\\0\\0\\0\\0\\n\\n", "more_body": True})
    await asyncio.Event().wait()

async def main():
    http = drivers.http_server(Settings(data=Path("/none"), listen=("127.0.0.1:0",)))
    await http.start(application)
    print(http.address, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def connections(address: str) -> list[asyncio.StreamWriter]:
    """Open streams of events over HTTP/1.1, each with its own connection."""
    host, port = address.split(":")
    streams = [await asyncio.open_connection(host, int(port)) for _ in range(WATCHERS)]
    for number, (_, writer) in enumerate(streams):
        writer.write(f"GET /events?pipeline=p{number} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    for reader, _ in streams:
        await reader.readuntil(b"\n\n")
    return [writer for _, writer in streams]


def calls(method: str, request: bytes) -> Callable[[str], Awaitable[object]]:
    """Return what opens streams of one connection over HTTP/2."""

    async def open_(address: str) -> object:
        channel = grpc.aio.insecure_channel(address)
        streams = [channel.unary_stream(method)(request) for _ in range(WATCHERS)]
        reads = [asyncio.ensure_future(stream.read()) for stream in streams]
        await asyncio.sleep(5)
        return channel, reads

    return open_


async def measure(
    address: str, process: psutil.Process, open_: Callable[[str], Awaitable[object]]
) -> tuple[float, float]:
    """Return KiB of memory per watcher, and the percentage of a core that all of them take."""
    await asyncio.sleep(2)
    before = process.memory_info().rss
    held = await open_(address)
    await asyncio.sleep(2)
    memory = (process.memory_info().rss - before) / WATCHERS / 1024
    times = process.cpu_times()
    await asyncio.sleep(SECONDS)
    after = process.cpu_times()
    del held
    return memory, 100 * (after.user + after.system - times.user - times.system) / SECONDS


def bare(open_: Callable[[str], Awaitable[object]]) -> tuple[float, float]:
    """Measure the bare HTTP server."""
    process = subprocess.Popen(
        [sys.executable, "-c", BARE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        return asyncio.run(measure(address, psutil.Process(process.pid), open_))
    finally:
        process.kill()
        process.wait()


def served(open_: Callable[[str], Awaitable[object]]) -> tuple[float, float]:
    """Measure Trunkline's server."""
    with common.server() as running:
        running.create_repo("images")
        return asyncio.run(measure(running.address, psutil.Process(running.process.pid), open_))


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    repo = pfs_pb2.Repo(name="images", type="user", project=pfs_pb2.Project(name="default"))
    commits = calls(
        "/pfs_v2.API/SubscribeCommit",
        pfs_pb2.SubscribeCommitRequest(repo=repo, branch="master").SerializeToString(),
    )
    events = calls(
        "/trunkline.control.v1.Control/WatchEvents", control_pb2.WatchEventsRequest().SerializeToString()
    )
    rows = []
    for what, run, open_ in (
        ("HTTP/1.1 connection, bare server", bare, connections),
        ("HTTP/1.1 connection, /events", served, connections),
        ("HTTP/2 stream, bare server", bare, calls("/a.B/C", b"")),
        ("HTTP/2 stream, WatchEvents", served, events),
        ("HTTP/2 stream, SubscribeCommit", served, commits),
    ):
        memory, share = run(open_)
        rows.append([what, f"{memory:.1f}", f"{share:.1f}"])
    common.table("2,000 idle subscriptions", ["what", "KiB each", "% of a core for all"], rows)


if __name__ == "__main__":
    main()
