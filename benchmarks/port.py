"""Calls through the port, each beside the same messages from a server that does nothing but answer.

The bare server is the same gRPC application with servicers that keep no data: the least that a call costs with
this transport. Clients are lean, so that the figures are the server's.

``python benchmarks/port.py [--files N] [unary list glob archive small million random]``.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator

import common

from trunkline.client.channel import Channel
from trunkline.formats.protowire import bytes_value
from trunkline.model.port_limits import PortLimits
from trunkline.rpc.gen import pfs_pb2

RUNS = 15
UNARY_CALLS = 1500
FOLDER = 1000
RANDOM_BYTES = 512 << 20
PFS = "/pfs_v2.API/"


# --- the bare server -------------------------------------------------------------------------------------


def bare_server(ready) -> None:
    """Serve methods that keep nothing. The first request of a listing says what to answer: count and message."""
    from google.protobuf.empty_pb2 import Empty

    from trunkline.drivers.http.h2corn_server import H2cornServer
    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.grpc_application import GrpcApplication
    from trunkline.rpc.methods import table
    from trunkline.runtime.listening import Listeners

    class Bare:
        raw_requests = frozenset({"ModifyFile"})
        raw_responses = frozenset({"ListFile", "GetFile"})

        async def ModifyFile(self, requests, _call):
            async for _ in requests:
                pass
            return Empty()

        async def ListFile(self, request, _call):
            message = request.file.path.encode()
            for _ in range(request.number):
                yield message

        async def GetFile(self, request, _call):
            frame = bytes_value([bytes(1 << 20)])
            for _ in range(request.offset):
                yield frame

    async def serve() -> None:
        server = H2cornServer(Listeners(["127.0.0.1:0"]), PortLimits(connections=100), "text")
        await server.start(GrpcApplication(Calls(table({"pfs_v2.API": Bare()}))))
        ready.send(server.address)
        await asyncio.Event().wait()

    asyncio.run(serve())


class Bare:
    """The bare server and a channel to it."""

    def __init__(self) -> None:
        receiver, sender = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=bare_server, args=(sender,), daemon=True
        )
        self.process.start()
        if not receiver.poll(30):
            raise SystemExit("the bare server did not start")
        self.channel = Channel(receiver.recv())

    def messages(self, count: int, size: int) -> int:
        """Ask for messages; return how many came."""
        request = pfs_pb2.ListFileRequest(number=count)
        request.file.path = "x" * size
        return drained(self.channel, "ListFile", request)

    def drain(self, frames: list[bytes]) -> None:
        self.channel.client_stream(PFS + "ModifyFile", frames, 600)


def drained(channel: Channel, method: str, request) -> int:
    """Read all answers of a call; return their number."""
    return sum(1 for _ in channel.server_stream(PFS + method, request.SerializeToString(), 600))


class Peak:
    """The largest resident memory of a process, looked at while something runs."""

    def __init__(self, process_id: int) -> None:
        self.mib = 0.0
        self._id = process_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            with open(f"/proc/{self._id}/statm") as statm:
                self.mib = max(self.mib, int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)


# --- measurements ----------------------------------------------------------------------------------------


def in_turns(*actions: Callable[[], object], runs: int = RUNS) -> list[list[float]]:
    """Return the seconds of each action, run in turns after one turn that does not count."""
    times: list[list[float]] = [[] for _ in actions]
    for run in range(runs + 1):
        for action, durations in zip(actions, times, strict=True):
            seconds = common.timed(action)
            if run:
                durations.append(seconds)
    return times


def commit_of(repo: str, branch: str = "master") -> pfs_pb2.Commit:
    return pfs_pb2.Commit(repo=common.repo(repo), branch=pfs_pb2.Branch(repo=common.repo(repo), name=branch))


def foldered(count: int, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield files of random bytes in folders of ``FOLDER``."""
    generator = random.Random(os.urandom(8))
    for number in range(count):
        yield f"/{number // FOLDER:04d}/{number:07d}.dat", generator.randbytes(size)


def unary() -> None:
    """InspectCommit beside the emptiest call of the same server."""
    with common.server() as server:
        server.create_repo("data")
        server.finish_commit(server.start_commit("data"))
        request = pfs_pb2.InspectCommitRequest(commit=commit_of("data")).SerializeToString()
        calls = {
            "GetVersion": ("/versionpb_v2.API/GetVersion", b""),
            "InspectCommit": (PFS + "InspectCommit", request),
        }
        rows = []
        for name, (path, message) in calls.items():
            for _ in range(200):
                server.channel.unary(path, message)
            durations = []
            before = common.cpu_seconds(server.process.pid)
            for _ in range(UNARY_CALLS):
                begun = time.perf_counter()
                server.channel.unary(path, message)
                durations.append(time.perf_counter() - begun)
            used = (common.cpu_seconds(server.process.pid) - before) / UNARY_CALLS
            rows.append([name, f"{used * 1e6:.0f}", common.spread(durations, digits=2)])
        rows[1] += ["the empty call + 200 µs; 0.8 ms"]
        rows[0] += [""]
    common.table("Unary calls", ["call", "server's CPU, µs", "ms, median (min - max)", "to reach"], rows)


def filled(server: common.Server, count: int) -> None:
    server.create_repo("data")
    commit = server.start_commit("data")
    server.put(commit, foldered(count, 16))
    server.finish_commit(commit)


def reading(files: int, which: set[str]) -> None:
    """Listings and an archive of a commit of many small files."""
    with common.server() as server:
        bare = Bare()
        filled(server, files)
        commit = commit_of("data")

        def listing(path: str) -> int:
            file = pfs_pb2.File(commit=commit, path=path)
            return drained(server.channel, "ListFile", pfs_pb2.ListFileRequest(file=file))

        def globbed(pattern: str) -> int:
            return drained(
                server.channel, "GlobFile", pfs_pb2.GlobFileRequest(commit=commit, pattern=pattern)
            )

        def archived() -> int:
            file = pfs_pb2.File(commit=commit, path="/0000/")
            return drained(server.channel, "GetFileTAR", pfs_pb2.GetFileRequest(file=file))

        hits = max(files // FOLDER * 10, 10)
        actions = {
            "list": [
                (f"ListFile, {FOLDER:,} of {files:,} files", lambda: listing("/0000"), FOLDER, "8"),
                (f"ListFile /, {files // FOLDER:,} folders", lambda: listing("/"), files // FOLDER, "15"),
            ],
            "glob": [
                ("GlobFile, 10,000 in 10 folders", lambda: globbed("/000*/*"), 10_000, "100"),
                (f"GlobFile, {hits:,} in all folders", lambda: globbed("/*/*00.dat"), hits, ""),
            ],
            "archive": [(f"GetFileTAR, {FOLDER:,} files", archived, 3 * FOLDER // 1000, "15")],
        }
        rows = []
        for what, action, count, limit in (
            entry for name in actions if name in which for entry in actions[name]
        ):
            print(action())
            before = common.cpu_seconds(server.process.pid)
            ours, least = in_turns(action, lambda count=count: bare.messages(count, 130))
            used = (common.cpu_seconds(server.process.pid) - before) / (RUNS + 1)
            ratio = common.median(ours) / common.median(least)
            rows.append(
                [what, common.spread(ours), f"{used * 1000:.1f}", common.spread(least), f"{ratio:.1f}", limit]
            )
        bare.process.terminate()
    head = [
        "call",
        "ms, median (min - max)",
        "server's CPU, ms",
        "as many messages, bare",
        "times",
        "to reach, ms",
    ]
    common.table("Listings", head, rows)


def uploads(title: str, count: int, size: int, runs: int) -> None:
    """Many files in one stream into an open commit, to FINISHED."""
    bare = Bare()
    files = list(foldered(count, size))
    least, stream, whole, finish, peak, used = [], [], [], [], [], []
    for _ in range(runs):
        with common.server() as server, Peak(server.process.pid) as memory:
            server.create_repo("data")
            commit = server.start_commit("data")
            frames = list(common.modify_frames(commit, files))
            least.append(common.timed(lambda: bare.drain(frames)))
            before = common.cpu_seconds(server.process.pid)
            stream.append(common.timed(lambda frames=frames: server.put_frames(frames)))
            finish.append(common.timed(lambda: server.finish_commit(commit)))
            whole.append(stream[-1] + finish[-1])
            used.append(common.cpu_seconds(server.process.pid) - before)
        peak.append(memory.mib)
    bare.process.terminate()
    base = common.median(least)
    common.table(
        title,
        ["what", "s, median (min - max)", "files/s", "times bare", "server's CPU s", "peak MiB", "to reach"],
        [
            [
                "bare server drains the stream",
                common.spread(least, 1, 2),
                f"{count / base:.0f}",
                "1",
                "",
                "",
                "",
            ],
            [
                "to FINISHED",
                common.spread(whole, 1, 2),
                f"{count / common.median(whole):.0f}",
                f"{common.median(whole) / base:.1f}",
                f"{common.median(used):.2f}",
                f"{max(peak):.0f}",
                "40,000/s",
            ],
            ["of it after the end", common.spread(finish, 1, 2), "", "", "", "", ""],
        ],
    )


def random_bytes() -> None:
    """512 MiB that do not compress, in and out."""
    bare = Bare()
    piece = 1 << 20
    rows = []
    with common.server() as server:
        server.create_repo("data")
        block = os.urandom(RANDOM_BYTES // 8)
        pieces = [block[at : at + piece] for at in range(0, len(block), piece)] * 8
        commit = commit_of("data")
        path = "/random"
        in_, bare_in, out, bare_out = [], [], [], []
        used_in, used_out = [], []
        for number in range(3):
            parts = [number.to_bytes(2) + round.to_bytes(2) + part[4:] for round, part in enumerate(pieces)]
            frames = list(common.modify_frames(commit, ((f"{path}{number}", part) for part in parts)))
            bare_in.append(common.timed(lambda frames=frames: bare.drain(frames)))
            before = common.cpu_seconds(server.process.pid)
            in_.append(common.timed(lambda frames=frames: server.put_frames(frames)))
            used_in.append(common.cpu_seconds(server.process.pid) - before)
            request = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit, path=f"{path}{number}"))
            least = pfs_pb2.GetFileRequest(offset=RANDOM_BYTES // piece)
            bare_out.append(common.timed(lambda: drained(bare.channel, "GetFile", least)))
            before = common.cpu_seconds(server.process.pid)
            out.append(common.timed(lambda: drained(server.channel, "GetFile", request)))
            used_out.append(common.cpu_seconds(server.process.pid) - before)
    bare.process.terminate()
    for what, ours, least, used, limit in (
        ("in, to FINISHED", in_, bare_in, used_in, "0.5"),
        ("out", out, bare_out, used_out, "0.75"),
    ):
        rows.append(
            [
                what,
                f"{RANDOM_BYTES / 2**20 / common.median(ours):.0f}",
                f"{RANDOM_BYTES / 2**20 / common.median(least):.0f}",
                f"{common.median(least) / common.median(ours):.2f}",
                f"{common.median(used):.2f}",
                limit,
            ]
        )
    head = ["512 MiB random", "MiB/s", "MiB/s bare", "of bare", "server's CPU s", "to reach"]
    common.table("Large files", head, rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    names = ["unary", "list", "glob", "archive", "small", "million", "random"]
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("which", nargs="*", choices=[*names, []])
    options = parser.parse_args()
    which = set(options.which or names)
    if "unary" in which:
        unary()
    if which & {"list", "glob", "archive"}:
        reading(options.files, which)
    if "small" in which:
        uploads("100,000 files of 16 bytes in one stream", 100_000, 16, 3)
        uploads("100,000 files of 1 KiB in one stream", 100_000, 1024, 3)
    if "million" in which:
        uploads("1,000,000 files of 16 bytes in one stream", 1_000_000, 16, 1)
    if "random" in which:
        random_bytes()


if __name__ == "__main__":
    main()
