"""One more file in a repo with many finished datums: the cost must depend on the change, not on the repo.

The limit beside it is the same one-file job on an empty repo, in the same run.
"""

from __future__ import annotations

import sys
import time

import common

SIZES = (0, 10_000, 100_000)
RUNS = 9


def main() -> None:
    rows = []
    base = 0.0
    for size in [int(arg) for arg in sys.argv[1:]] or SIZES:
        with common.server() as server:
            server.create_repo("data")
            # One command for all datums at first would be another pipeline; so let them be done for real.
            server.create_pipeline("each", ["true"], "data", parallelism_spec={"constant": 2})
            server.await_workers("each", 2)
            first = 0.0
            if size:
                commit = server.start_commit("data")
                server.put(
                    commit,
                    ((f"/{number // 1000:03d}-{number:06d}", b"%d" % number) for number in range(size)),
                )
                first = common.timed(
                    lambda: (server.finish_commit(commit), server.wait_job("each", commit.id))
                )
            times = []
            for number in range(RUNS + 2):
                commit = server.start_commit("data")
                server.put(commit, [(f"/new-{number}", b"new %d" % number)])
                begun = time.perf_counter()
                server.finish_commit(commit)
                info = server.wait_job("each", commit.id)
                times.append(time.perf_counter() - begun)
                assert info.data_skipped == size + number, info
            times = times[2:]
        base = base or common.median(times)
        recorded = {0: "2760", 10_000: "9000"}.get(size, "")
        rows.append(
            [
                f"{size:,}",
                common.spread(times, digits=0),
                f"{common.median(times) / base:.2f}",
                "150" if size else "",
                recorded,
                f"{first:.1f}" if size else "",
            ]
        )
    common.table(
        "One file more: FinishCommit -> SUCCESS",
        [
            "datums done before",
            "ms, median (min - max)",
            "times the empty repo's",
            "to reach, ms",
            "Pachyderm, ms, recorded",
            "s for the first job",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
