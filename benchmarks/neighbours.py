"""What other clients wait for while the first plan of a million datums is made: InspectRepo, and ListFile of a folder.

A client calls both in turn, with a pause after each call, first beside an idle server and then beside the plan of a cross
of 1,000 x 1,000 files, or of a glob of a million.

    python benchmarks/neighbours.py [--kind cross] [--files 1000000]
"""

from __future__ import annotations

import argparse
import statistics
import time
from math import isqrt

import common

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pfs_pb2, pps_pb2

#: Files of the folder that is listed.
LISTED = 100
#: Seconds beside an idle server; between two calls.
IDLE, PAUSE = 8.0, 0.002


class Client:
    """A client with a connection of its own."""

    def __init__(self, server: common.Server, commit: pfs_pb2.Commit) -> None:
        self._channel = Channel(server.address)
        inspect = pfs_pb2.InspectRepoRequest(repo=common.repo("small")).SerializeToString()
        files = pfs_pb2.ListFileRequest(file=pfs_pb2.File(commit=commit, path="/")).SerializeToString()
        self._calls = {
            "InspectRepo": lambda: self._channel.unary("/pfs_v2.API/InspectRepo", inspect, 60),
            f"ListFile of {LISTED} files": lambda: list(
                self._channel.server_stream("/pfs_v2.API/ListFile", files, 60)
            ),
        }
        #: Seconds of each call by its name.
        self.times: dict[str, list[float]] = {name: [] for name in self._calls}

    def call(self) -> None:
        """Make each call once."""
        for name, call in self._calls.items():
            self.times[name].append(common.timed(call))
            time.sleep(PAUSE)

    def close(self) -> None:
        self._channel.close()


def is_planned(server: common.Server, job_id: str) -> bool:
    job = pps_pb2.Job(pipeline=pps_pb2.Pipeline(name="each"), id=job_id)
    state = server.call("InspectJob", pps_pb2.InspectJobRequest(job=job), pps_pb2.JobInfo).state
    return state not in (pps_pb2.JOB_CREATED, pps_pb2.JOB_STARTING)


def fill(server: common.Server, repo: str, count: int) -> pfs_pb2.Commit:
    commit = server.start_commit(repo)
    server.put(commit, ((f"/d{number // 1000:05d}/{number:09d}", b"%d" % number) for number in range(count)))
    return commit


def measure(kind: str, files: int) -> tuple[Client, Client, float]:
    """Return the calls beside an idle server, those beside a plan, and the seconds of the plan."""
    count = isqrt(files) if kind == "cross" else files
    leaves = [{"pfs": {"repo": repo, "glob": "/*/*"}} for repo in ("data", "other")]
    with common.server() as server:
        for repo in ("small", "data", "other"):
            server.create_repo(repo)
        listed = server.start_commit("small")
        server.put(listed, ((f"/{number:03d}", b"x") for number in range(LISTED)))
        server.finish_commit(listed)
        if kind == "cross":
            server.finish_commit(fill(server, "other", count))
        source = {"cross": leaves} if kind == "cross" else leaves[0]
        server.create_pipeline("each", ["true"], "data", input=source, parallelism_spec={"constant": 1})
        commit = fill(server, "data", count)
        server.await_workers("each", 1)
        idle, beside = Client(server, listed), Client(server, listed)
        end = time.monotonic() + IDLE
        while time.monotonic() < end:
            idle.call()
        begun = time.monotonic()
        server.finish_commit(commit)
        while not is_planned(server, commit.id):
            for _ in range(20):
                beside.call()
        seconds = time.monotonic() - begun
        server.call(
            "StopJob",
            pps_pb2.StopJobRequest(job=pps_pb2.Job(pipeline=pps_pb2.Pipeline(name="each"), id=commit.id)),
        )
        idle.close()
        beside.close()
        return idle, beside, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("cross", "glob"), action="append")
    parser.add_argument("--files", type=int, default=1_000_000, help="datums")
    options = parser.parse_args()
    rows = []
    for kind in options.kind or ("cross", "glob"):
        idle, beside, seconds = measure(kind, options.files)
        for name, alone in idle.times.items():
            meanwhile = beside.times[name]
            p99, busy = (statistics.quantiles(times, n=100)[98] for times in (alone, meanwhile))
            rows.append(
                [
                    f"{kind}, {seconds:.1f} s",
                    name,
                    f"{len(meanwhile)}",
                    f"{1000 * common.median(alone):.2f}, {1000 * p99:.2f}",
                    f"{1000 * common.median(meanwhile):.2f}, {1000 * busy:.2f}",
                    f"{busy / p99:.1f}",
                ]
            )
    common.table(
        f"Other clients while the first plan of {options.files:,} datums is made",
        ["plan", "call", "calls", "idle p50, p99, ms", "beside it p50, p99, ms", "times p99 (to reach: ≤ 5)"],
        rows,
    )


if __name__ == "__main__":
    main()
