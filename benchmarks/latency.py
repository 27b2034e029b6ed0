"""From FinishCommit to the user's command, and to the job's success.

The command writes the time into its output; client and command share the machine's clock.
The limit beside it is the start of that command alone.
"""

from __future__ import annotations

import subprocess
import time

import common

from trunkline.rpc.gen import pfs_pb2

RUNS = 15
#: Writes the time it ran; /bin/sh and date are on every machine.
CLOCK = ["sh", "-c", "date +%s.%N > /pfs/out/at"]


def read(server: common.Server, name: str, commit_id: str, path: str) -> bytes:
    file = pfs_pb2.File(commit=pfs_pb2.Commit(repo=common.repo(name), id=commit_id), path=path)
    frames = server.channel.server_stream(
        "/pfs_v2.API/GetFile", pfs_pb2.GetFileRequest(file=file).SerializeToString()
    )
    from google.protobuf.wrappers_pb2 import BytesValue

    return b"".join(BytesValue.FromString(frame).value for frame in frames)


def measure(
    server: common.Server, number: int, last: str, *, change: bool = True
) -> tuple[float, float, float]:
    """Commit, wait; return finish -> command, command -> success, finish -> success."""
    commit = server.start_commit("data")
    if change:
        server.put(commit, [("/f", b"%d" % number)])
    begun = time.time()
    server.finish_commit(commit)
    server.wait_job(last, commit.id)
    end = time.time()
    at = float(read(server, last, commit.id, "/at")) if change else begun
    return at - begun, end - at, end - begun


def spec(workers: int, *, autoscaling: bool) -> dict[str, object]:
    return {"autoscaling": autoscaling, "parallelism_spec": {"constant": workers}}


def fresh(*pipelines: tuple[str, str], autoscaling: bool):
    """Return a server with a chain of pipelines over ``data``."""

    def make(server: common.Server) -> None:
        server.create_repo("data")
        for name, source in pipelines:
            server.create_pipeline(name, CLOCK, source, glob="/", **spec(1, autoscaling=autoscaling))

    return make


def main() -> None:
    alone = [
        common.timed(lambda: subprocess.run(["sh", "-c", "date +%s.%N"], stdout=subprocess.DEVNULL))
        for _ in range(20)
    ]
    with common.server() as server:
        fresh(("first", "data"), autoscaling=False)(server)
        server.await_workers("first", 1)
        warm = [measure(server, number, "first") for number in range(RUNS + 3)][3:]
        unchanged = [measure(server, 0, "first", change=False)[2] for _ in range(RUNS)]
    with common.server() as server:
        fresh(("first", "data"), autoscaling=True)(server)
        cold = []
        for number in range(6):
            server.await_workers("first", 0)
            cold.append(measure(server, number, "first"))
        cold = cold[1:]
        server.await_workers("first", 0)
        idle = [measure(server, 0, "first", change=False)[2] for _ in range(RUNS)]
        assert server.workers("first") == 0, "an unchanged commit started a worker"
    with common.server() as server:
        fresh(("first", "data"), ("second", "first"), ("third", "second"), autoscaling=False)(server)
        for name in ("first", "second", "third"):
            server.await_workers(name, 1)
        chain = [measure(server, number, "third")[2] for number in range(RUNS + 3)][3:]
    stages = ("one", "two", "three", "four", "five")
    with common.server() as server:
        fresh(*zip(stages, ("data", *stages), strict=False), autoscaling=False)(server)
        for name in stages:
            server.await_workers(name, 1)
        long_chain = [measure(server, number, stages[-1])[2] for number in range(RUNS + 3)][3:]
    limit = common.median(alone)

    def row(what: str, values: list[float], promise: str, recorded: str) -> list[str]:
        return [
            what,
            common.spread(values, digits=0),
            f"{common.median(values) / limit:.0f}",
            promise,
            recorded,
        ]

    common.table(
        "Latency of a job of one small file",
        [
            "what",
            "ms, median (min - max)",
            "times the command alone",
            "to reach, ms",
            "Pachyderm, ms, recorded",
        ],
        [
            ["the command alone (`sh -c date`)", common.spread(alone), "1", "", ""],
            row("FinishCommit called -> command runs, warm worker", [run[0] for run in warm], "5", "1400"),
            row("command ran -> job SUCCESS, warm", [run[1] for run in warm], "100", "1360"),
            row(
                "FinishCommit called -> command runs, from zero workers",
                [run[0] for run in cold],
                "50",
                "5000 - 15000",
            ),
            row("unchanged commit -> SUCCESS, worker idle", unchanged, "5", "1650 - 1900"),
            row("unchanged commit -> SUCCESS, zero workers (stays zero)", idle, "5", "1650 - 1900"),
            row("chain of three, warm: FinishCommit -> last SUCCESS", chain, "40", "7000"),
            row("chain of five, warm: FinishCommit -> last SUCCESS", long_chain, "70", ""),
        ],
    )


if __name__ == "__main__":
    main()
