"""Small commits, durable: the limit beside them is one fsynced 4 KiB file, written in turns with them."""

from __future__ import annotations

import os
import time

import common

RUNS = 60


def synced_write(folder: str, number: int) -> None:
    handle = os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY)
    os.write(handle, b"x" * 4096)
    os.fsync(handle)
    os.close(handle)


def main() -> None:
    with common.server() as server:
        server.create_repo("data")
        folder = server.data / "limit"
        folder.mkdir()
        empty, one, limit = [], [], []
        for number in range(RUNS + 5):
            begun = time.perf_counter()
            server.finish_commit(server.start_commit("data"))
            middle = time.perf_counter()
            commit = server.start_commit("data")
            server.put(commit, [(f"/f{number}", b"small")])
            server.finish_commit(commit)
            end = time.perf_counter()
            synced_write(str(folder), number)
            if number >= 5:
                empty.append(middle - begun)
                one.append(end - middle)
                limit.append(time.perf_counter() - end)
    base = common.median(limit)
    common.table(
        "Small commits",
        [
            "what",
            "ms, median (min - max)",
            "times an fsynced write",
            "promise, ms",
            "Pachyderm, ms, recorded",
        ],
        [
            ["write and fsync 4 KiB", common.spread(limit, digits=2), "1", "", ""],
            [
                "empty commit: start -> FINISHED",
                common.spread(empty),
                f"{common.median(empty) / base:.0f}",
                "5",
                "180",
            ],
            [
                "one small file: start -> FINISHED",
                common.spread(one),
                f"{common.median(one) / base:.0f}",
                "8",
                "414",
            ],
        ],
    )


if __name__ == "__main__":
    main()
