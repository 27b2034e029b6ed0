"""One changed file among many datums that are done: from FinishCommit to the job's end, with a real server and worker.

The first job is recorded without running its datums, so that a million of them take seconds. The peer is the same change
among 10,000 datums, in the same run.

    python benchmarks/changed.py [10000 100000 1000000]
"""

from __future__ import annotations

import random
import sys
import time
from functools import partial
from pathlib import Path

import common
import opened_store

from trunkline.rpc.gen import pfs_pb2

SIZES = (10_000, 100_000, 1_000_000)
RUNS = 15
PROMISES = {100_000: "20", 1_000_000: "40 and 1.3 times"}


def prepare(data: Path, files: int) -> None:
    """Make a data folder whose only job is done."""
    with opened_store.Store(data) as store:
        store.create_repo(files)
        store.create_done_pipeline(
            {
                "pipeline": {"name": "each"},
                "transform": {"cmd": ["true"]},
                "input": {"pfs": {"repo": opened_store.REPO, "glob": "/*/*"}},
                "parallelism_spec": {"constant": 1},
            }
        )


def change(commit: pfs_pb2.Commit, path: str, data: bytes):
    """Yield the encoded messages that overwrite a file."""
    yield pfs_pb2.ModifyFileRequest(set_commit=commit).SerializeToString()
    delete = pfs_pb2.DeleteFile(path=path)
    yield pfs_pb2.ModifyFileRequest(delete_file=delete).SerializeToString()
    message = pfs_pb2.ModifyFileRequest()
    message.add_file.path = path
    message.add_file.raw.value = data
    yield message.SerializeToString()


def measure(files: int) -> tuple[list[float], float]:
    """Return the seconds of each change, and the server's processor time for one."""
    generator = random.Random(7)
    times = []
    with common.server(prepare=partial(prepare, files=files)) as server:
        server.await_workers("each", 1)
        begun_cpu = 0.0
        for number in range(RUNS + 3):
            if number == 3:
                begun_cpu = common.cpu_seconds(server.process.pid)
            commit = server.start_commit(opened_store.REPO)
            server.put_frames(change(commit, opened_store.a_path(generator, files), b"new %d" % number))
            begun = time.perf_counter()
            server.finish_commit(commit)
            info = server.wait_job("each", commit.id)
            times.append(time.perf_counter() - begun)
            assert (info.data_processed, info.data_skipped) == (1, files - 1), info
        cpu = (common.cpu_seconds(server.process.pid) - begun_cpu) / RUNS
    return times[3:], cpu


def main() -> None:
    rows = []
    base = 0.0
    for files in [int(argument) for argument in sys.argv[1:]] or SIZES:
        times, cpu = measure(files)
        base = base or common.median(times)
        rows.append(
            [
                f"{files:,}",
                common.spread(times, digits=0),
                f"{common.median(times) / base:.2f}",
                f"{cpu * 1000:.0f}",
                PROMISES.get(files, ""),
            ]
        )
    common.table(
        "One changed file: FinishCommit -> SUCCESS",
        [
            "datums",
            "ms, median (min - max)",
            "times the first row",
            "server's CPU with the upload, ms",
            "to reach, ms",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
