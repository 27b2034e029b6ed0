"""From nothing to nothing: ten files of three seconds each on five workers that do not exist yet, and what 200 pipelines
without work cost.

The limit of the first is the start of one worker and two rounds of three seconds; that of the second an idle server
without pipelines.
"""

from __future__ import annotations

import time

import common

RUNS = 3
WORK = 3
PIPELINES = 200
IDLE_SECONDS = 20


def from_zero(files: int, workers: int, seconds: float) -> float:
    """Return the seconds from FinishCommit to SUCCESS of a job whose workers do not exist yet."""
    with common.server() as server:
        server.create_repo("data")
        server.create_pipeline(
            "each",
            ["sleep", str(seconds)],
            "data",
            parallelism_spec={"constant": workers},
            autoscaling=True,
            resource_requests={"cpu": 0.1, "memory": "16Mi"},
        )
        commit = server.start_commit("data")
        server.put(commit, ((f"/{number}", b"%d" % number) for number in range(files)))
        return common.timed(lambda: (server.finish_commit(commit), server.wait_job("each", commit.id)))


def idle(pipelines: int) -> float:
    """Return the share of a core that a server with idle pipelines takes."""
    with common.server() as server:
        server.create_repo("data")
        for number in range(pipelines):
            server.create_pipeline(f"each{number}", ["true"], "data", autoscaling=True)
        time.sleep(5)
        before = common.cpu_seconds(server.process.pid)
        time.sleep(IDLE_SECONDS)
        return (common.cpu_seconds(server.process.pid) - before) / IDLE_SECONDS


def main() -> None:
    starts = [from_zero(1, 1, 0) for _ in range(RUNS)]
    jobs = [from_zero(10, 5, WORK) for _ in range(RUNS)]
    least = common.median(starts) + 2 * WORK
    nothing, many = idle(0), idle(PIPELINES)
    common.table(
        "From nothing to nothing",
        ["what", "figure", "limit", "times", "to reach"],
        [
            [
                "ten files of 3 s, five workers from zero, s",
                common.spread(jobs, 1, 2),
                f"{least:.2f}",
                f"{common.median(jobs) / least:.3f}",
                "1.1",
            ],
            [
                f"{PIPELINES} idle pipelines, % of a core",
                f"{100 * many:.2f}",
                f"{100 * nothing:.2f}",
                "",
                "1 %",
            ],
        ],
    )


if __name__ == "__main__":
    main()
