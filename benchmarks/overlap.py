"""Fifty commits of one new file each, whose datums take very different times, against list scheduling of these times.

A worker that is free takes the next datum in the order of the commits; that is list scheduling (Graham, 1969), and the
least that workers which know no times in advance can be expected to need. Jobs one after the other take the sum.
"""

from __future__ import annotations

import heapq
import random
import subprocess
import sys
import time

import common

COMMITS, WORKERS = 50, 4
#: Waits as long as its file says.
WAIT = ["sh", "-c", "sleep $(cat /pfs/data/*) && cp /pfs/data/* /pfs/out/"]


def durations(seed: int) -> list[float]:
    """Return seconds of datums: most short, some ten times as long."""
    source = random.Random(seed)
    return [round(min(5.0, source.lognormvariate(-0.6, 0.9)), 3) for _ in range(COMMITS)]


def list_schedule(seconds: list[float]) -> float:
    """Return when the last datum ends if each free worker takes the next one."""
    free = [0.0] * WORKERS
    for each in seconds:
        heapq.heappush(free, heapq.heappop(free) + each)
    return max(free)


def bare(seconds: list[float]) -> float:
    """Return how long the same waits take as bare processes, as many at a time."""
    waits = "\n".join(map(str, seconds)).encode()
    command = ["xargs", f"-P{WORKERS}", "-n1", "sh", "-c", "sleep $0"]
    return common.timed(lambda: subprocess.run(command, input=waits, check=True))


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    seconds = durations(seed)
    with common.server() as server:
        server.create_repo("data")
        server.create_pipeline(
            "waits", WAIT, "data", parallelism_spec={"constant": WORKERS}, autoscaling=False
        )
        server.await_workers("waits", WORKERS)
        begun = time.perf_counter()
        for number, each in enumerate(seconds):
            commit = server.start_commit("data")
            server.put(commit, [(f"/{number:03}", b"%.3f" % each)])
            server.finish_commit(commit)
        committed = time.perf_counter() - begun
        server.wait_job("waits", commit.id)
        measured = time.perf_counter() - begun
    bound, alone = list_schedule(seconds), bare(seconds)
    common.table(
        f"{COMMITS} commits of one datum each, {WORKERS} workers, seed {seed}",
        ["what", "s", "times list scheduling"],
        [
            ["list scheduling of the durations", f"{bound:.2f}", "1"],
            ["`xargs -P`, the same waits", f"{alone:.2f}", f"{alone / bound:.3f}"],
            ["first commit -> last SUCCESS", f"{measured:.2f}", f"{measured / bound:.3f}"],
            ["first commit -> last commit", f"{committed:.2f}", f"{committed / bound:.3f}"],
            ["one after the other", f"{sum(seconds):.2f}", f"{sum(seconds) / bound:.2f}"],
        ],
    )


if __name__ == "__main__":
    main()
