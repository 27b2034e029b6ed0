"""Many transfers at once, running and stalled: the server's memory stays bounded, and goes back when they end.

The bounds are those of docs/reference/limits.md, measured on a server in a process of its own: the budget of all
transfers, and what each of them may hold beyond it.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import psutil
import pytest
from fuzzer import commit_of, repo_of
from servers import Server, until

from trunkline.formats.chunking import MAX_BYTES, SMALLEST_WINDOW_BYTES
from trunkline.pfs.feed import BATCH_BYTES
from trunkline.rpc.gen import pfs_pb2
from trunkline.storage.store import MEMORY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MIB = 1 << 20
#: Seconds for all transfers of a test: two busy cores that others use too need some.
PATIENCE = 300.0
#: Bytes that gRPC may have read of a stream, or not have sent yet: a flow-control window and a message.
GRPC_BYTES = 4 * MIB + 2 * BATCH_BYTES
#: Bytes of an upload beyond the budget: a window and its copy, two batches, and what gRPC holds.
UPLOAD_BYTES = 2 * SMALLEST_WINDOW_BYTES + 2 * BATCH_BYTES + GRPC_BYTES
#: Bytes of a download beyond the budget: a chunk, two messages, and what gRPC holds.
DOWNLOAD_BYTES = MAX_BYTES + 2 * BATCH_BYTES + GRPC_BYTES
#: Bytes that the server holds for all stalled uploads beyond those before.
STALLED_BYTES = 80 * MIB
#: Bytes that the server holds when all has ended beyond those before: caches and threads.
REST_BYTES = 150 * MIB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Memory:
    """The resident memory of a server."""

    def __init__(self, server: Server) -> None:
        self._process = psutil.Process(server.pid)
        self.baseline = self.now()

    def now(self) -> int:
        return self._process.memory_info().rss

    def peak(self) -> int:
        """Return the most since the start of the server beyond the baseline, as the kernel counts it."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024 - self.baseline


@contextmanager
def client(address: str) -> Iterator[grpc.Channel]:
    """Connect as a client of its own: gRPC shares connections of equal channels otherwise."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield channel


def parts(path: str, size: int) -> Iterator[bytes]:
    """Yield the messages that put ``size`` bytes of new content."""
    yield pfs_pb2.ModifyFileRequest(set_commit=commit_of("data", path)).SerializeToString()
    for _ in range(size // MIB):
        file = pfs_pb2.AddFile(path=f"/{path}", raw={"value": os.urandom(MIB)})
        yield pfs_pb2.ModifyFileRequest(add_file=file).SerializeToString()


def upload(address: str, path: str, size: int) -> None:
    with client(address) as channel:
        channel.stream_unary("/pfs_v2.API/ModifyFile")(parts(path, size), timeout=PATIENCE)


class StalledUpload:
    """An upload whose client sends so much and then neither more nor the end."""

    def __init__(self, channel: grpc.Channel, path: str, size: int) -> None:
        self._path, self._size = path, size
        self.sent = threading.Event()
        self._end = threading.Event()
        self._call = channel.stream_unary("/pfs_v2.API/ModifyFile").future(self._parts(), timeout=PATIENCE)

    def _parts(self) -> Iterator[bytes]:
        yield from parts(self._path, self._size)
        self.sent.set()
        self._end.wait(PATIENCE)

    def cancel(self) -> None:
        self._call.cancel()
        self._end.set()


def download(address: str, path: str) -> int:
    with client(address) as channel:
        return sum(map(len, reading(channel, path)))


def reading(channel: grpc.Channel, path: str) -> Iterator[bytes]:
    file = pfs_pb2.File(commit=commit_of("data", path), path=f"/{path}")
    request = pfs_pb2.GetFileRequest(file=file).SerializeToString()
    return channel.unary_stream("/pfs_v2.API/GetFile")(request, timeout=PATIENCE)


def warm_up(server: Server) -> Memory:
    """Make a repo and let a transfer start threads and fill caches; return the memory from then on."""
    with client(server.address) as channel:
        request = pfs_pb2.CreateRepoRequest(repo=repo_of("data")).SerializeToString()
        channel.unary_unary("/pfs_v2.API/CreateRepo")(request, timeout=PATIENCE)
    upload(server.address, "warm", 8 * MIB)
    download(server.address, "warm")
    return Memory(server)


def stall(stack: ExitStack, address: str, names: Sequence[str], size: int) -> list[StalledUpload]:
    uploads = [StalledUpload(stack.enter_context(client(address)), name, size) for name in names]
    for each in uploads:
        stack.callback(each.cancel)
    return uploads


def test_many_uploads_hold_the_budget_and_little_for_each(server: Server) -> None:
    running, stalled, size = 24, 24, 40 * MIB
    memory = warm_up(server)

    with ExitStack() as stack, ThreadPoolExecutor(running) as clients:
        waiting = stall(stack, server.address, [f"stalled{n}" for n in range(stalled)], 16 * MIB)
        list(clients.map(lambda n: upload(server.address, f"running{n}", size), range(running)))
        assert all(each.sent.wait(PATIENCE) for each in waiting)
        peak = memory.peak()
        rest = memory.baseline + STALLED_BYTES
        until(lambda: memory.now() < rest, "stalled uploads to store what they can")

    assert peak < MEMORY_BYTES + (running + stalled) * UPLOAD_BYTES
    until(lambda: memory.now() < memory.baseline + REST_BYTES, "the memory to return")


def test_many_downloads_hold_the_budget_and_little_for_each(server: Server) -> None:
    running, stalled, size = 24, 24, 40 * MIB
    warm_up(server)
    for number in range(4):
        upload(server.address, f"file{number}", size)
    memory = Memory(server)

    with ExitStack() as stack, ThreadPoolExecutor(running) as clients:
        for number in range(stalled):
            call = reading(stack.enter_context(client(server.address)), f"file{number % 4}")
            stack.callback(call.cancel)
            next(call)  # and takes nothing more
        lengths = list(clients.map(lambda n: download(server.address, f"file{n % 4}"), range(running)))
        peak = memory.peak()

    assert min(lengths) >= size
    assert peak < MEMORY_BYTES + (running + stalled) * DOWNLOAD_BYTES
    until(lambda: memory.now() < memory.baseline + REST_BYTES, "the memory to return")
