"""What a datum costs beside its command: `true`, two workers, against ``xargs -P2 -n1 true`` on the same list."""

from __future__ import annotations

import subprocess

import common

DATUMS = 5000


def xargs(count: int) -> float:
    names = "\n".join(f"/pfs/data/{number:06d}" for number in range(count)).encode()
    return common.timed(lambda: subprocess.run(["xargs", "-P2", "-n1", "true"], input=names, check=True))


def main() -> None:
    ours, peer, cpu = [], [], []
    for turn in range(3):
        with common.server() as server:
            server.create_repo("data")
            server.create_pipeline("each", ["true"], "data", parallelism_spec={"constant": 2})
            server.await_workers("each", 2)
            commit = server.start_commit("data")
            server.put(commit, ((f"/{number:06d}", b"%d" % number) for number in range(DATUMS)))
            before = common.cpu_seconds(server.process.pid)
            ours.append(
                common.timed(lambda: (server.finish_commit(commit), server.wait_job("each", commit.id)))
            )
            cpu.append(common.cpu_seconds(server.process.pid) - before)
        peer.append(xargs(DATUMS))
    rate, bare = DATUMS / common.median(ours), DATUMS / common.median(peer)
    common.table(
        f"{DATUMS} datums of `true`, 2 workers",
        [
            "what",
            "s, median (min - max)",
            "datums/s",
            "of xargs",
            "server's CPU, µs a datum",
            "to reach",
            "Pachyderm, recorded",
        ],
        [
            ["xargs -P2 -n1 true", common.spread(peer, 1, 2), f"{bare:.0f}", "1", "", "", ""],
            [
                "FinishCommit -> job SUCCESS",
                common.spread(ours, 1, 2),
                f"{rate:.0f}",
                f"{rate / bare:.2f}",
                f"{common.median(cpu) / DATUMS * 1e6:.0f}",
                "0.82 of xargs; 150 µs",
                "24 datums/s",
            ],
        ],
    )


if __name__ == "__main__":
    main()
