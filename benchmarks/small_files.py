"""100,000 files of 1 KiB in one commit through one stream, against a bare grpc.aio server that discards them.

Client and server are two processes; both servers get the same encoded messages from the same lean client,
in turns. The total time is what a user sees; the servers' processor time is meaningful also when other work keeps
the processors busy.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys

import common

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pfs_pb2

FILES = 100_000
PATH = "/pfs_v2.API/ModifyFile"


def drain(ready) -> None:
    """Run a bare server that reads the stream, counts, and answers."""
    import grpc

    async def serve() -> None:
        async def modify(requests, context) -> bytes:
            async for _ in requests:
                pass
            return b""

        handler = grpc.method_handlers_generic_handler(
            "pfs_v2.API", {"ModifyFile": grpc.stream_unary_rpc_method_handler(modify)}
        )
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 20 << 20)])
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ready.send(port)
        await server.wait_for_termination()

    asyncio.run(serve())


def main() -> None:
    data = os.urandom(1024 * 1000)
    files = [
        (f"/{number // 1000:03d}/{number:06d}", data[number % 1000 * 1024 :][:1016] + number.to_bytes(8))
        for number in range(FILES)
    ]
    receiver, sender = multiprocessing.Pipe()
    bare = multiprocessing.get_context("spawn").Process(target=drain, args=(sender,), daemon=True)
    bare.start()
    bare_channel = Channel(f"127.0.0.1:{receiver.recv()}")
    limit, stream, whole = [], [], []
    limit_cpu, stream_cpu, whole_cpu = [], [], []
    for _ in range(3):
        with common.server() as server:
            server.create_repo("data")
            commit = server.start_commit("data")
            frames = list(common.modify_frames(commit, files))
            before, ours = common.cpu_seconds(bare.pid), server.process.pid
            limit.append(common.timed(lambda: bare_channel.client_stream(PATH, frames, 600)))
            limit_cpu.append(common.cpu_seconds(bare.pid) - before)
            before = common.cpu_seconds(ours)
            stream.append(common.timed(lambda: server.channel.client_stream(PATH, frames, 600)))
            stream_cpu.append(common.cpu_seconds(ours) - before)
            whole.append(stream[-1] + common.timed(lambda: server.finish_commit(commit)))
            whole_cpu.append(common.cpu_seconds(ours) - before)
            request = pfs_pb2.InspectFileRequest(file=pfs_pb2.File(commit=commit, path="/"))
            info = server.call("InspectFile", request, pfs_pb2.FileInfo)
            assert info.size_bytes == FILES * 1024, info
    bare.terminate()
    base = common.median(limit)
    common.table(
        f"{FILES:,} files of 1 KiB in one stream",
        [
            "what",
            "s, median (min - max)",
            "files/s",
            "of the bare server",
            "server's CPU s",
            "to reach",
            "Pachyderm, files/s, recorded",
        ],
        [
            [
                "bare grpc.aio server drains the stream",
                common.spread(limit, 1, 2),
                f"{FILES / base:.0f}",
                "1",
                f"{common.median(limit_cpu):.2f}",
                "",
                "",
            ],
            [
                "to the end of the stream (durable)",
                common.spread(stream, 1, 2),
                f"{FILES / common.median(stream):.0f}",
                f"{base / common.median(stream):.2f}",
                f"{common.median(stream_cpu):.2f}",
                "0.75",
                "10,160",
            ],
            [
                "to FINISHED",
                common.spread(whole, 1, 2),
                f"{FILES / common.median(whole):.0f}",
                f"{base / common.median(whole):.2f}",
                f"{common.median(whole_cpu):.2f}",
                "",
                "8,620",
            ],
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
