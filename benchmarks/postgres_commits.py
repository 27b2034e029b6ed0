"""What a small write costs on PostgreSQL, as a multiple of two bare transactions of the same run.

The database is on this machine, with fsync on. By its socket a trip costs almost nothing, so each operation is also
measured through a wire that takes half a millisecond for a trip, as a network does, and that counts the trips:

    python benchmarks/postgres_commits.py
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "pps")]

import common  # noqa: E402
import postgres_server  # noqa: E402
import psycopg  # noqa: E402
from pps_world import PpsWorld  # noqa: E402

from trunkline.model import names  # noqa: E402
from trunkline.model.names import CommitName  # noqa: E402
from trunkline.pfs import commits  # noqa: E402
from trunkline.pfs.branches import BranchName  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 100
#: Seconds of a trip through the slow wire.
TRIP = 0.0005


class Counter:
    """Counts the statements that this process executes."""

    def __init__(self) -> None:
        self.statements = 0
        execute = psycopg.Cursor.execute

        def counted(cursor: psycopg.Cursor, *arguments: object, **options: object) -> psycopg.Cursor:
            self.statements += 1
            return execute(cursor, *arguments, **options)

        psycopg.Cursor.execute = counted


def measure(
    act: Callable[[int], object], wire: postgres_server.Wire, counter: Counter
) -> tuple[float, float, float]:
    """Return the median milliseconds of an act, and how many trips and statements it makes on average."""
    for number in range(10):
        act(-1 - number)  # statements are prepared when they have run five times
    times = []
    trips, statements = wire.trips, counter.statements
    for number in range(ROUNDS):
        begin = time.perf_counter()
        act(number)
        times.append(time.perf_counter() - begin)
    return (
        1000 * statistics.median(times),
        (wire.trips - trips) / ROUNDS,
        (counter.statements - statements) / ROUNDS,
    )


def compare(server: postgres_server.PostgresServer, delay: float, counter: Counter) -> None:
    """Print the costs of each operation behind a wire with a delay each way."""
    wire = postgres_server.Wire(server, delay)
    with server.database() as name:
        world = PpsWorld(f"postgresql+psycopg://postgres@/{name}?host={wire.socket}")
        world.stop_controller()
        world.repo("images")
        branch = BranchName(names.RepoName("default", "images"), "master")
        with psycopg.connect(f"host={wire.socket} user=postgres dbname={name}", autocommit=True) as bare:
            bare.execute("CREATE TABLE bare (value INTEGER)")
            bare.execute("INSERT INTO bare VALUES (0)")

            def two_transactions(number: int) -> None:
                for _ in range(2):
                    bare.execute("BEGIN")
                    bare.execute("UPDATE bare SET value = %s", (number,))
                    bare.execute("COMMIT")

            def empty_commit(_: int) -> None:
                row = world.versions.write(commits.start_commit, branch)
                commits.finish_commit(world.versions, CommitName(branch.repo, id=row.set_id))

            acts = {
                "two bare transactions": two_transactions,
                "an empty commit": empty_commit,
                "a small file": lambda number: world.put("images", {f"/{number}": b"x"}),
            }
            costs = {label: measure(act, wire, counter) for label, act in acts.items()}
        world.start_controller()
        world.close()
    wire.close()
    peer = costs["two bare transactions"]
    more = f", a trip takes {2000 * delay:.1f} ms more" if delay else ""
    common.table(
        f"Small commits in trips {'by a slow wire' if delay else 'by a socket'}{more}",
        ["what", "trips", "times the peer", "statements", "ms", "times the peer"],
        [
            [
                label,
                f"{trips:.0f}",
                f"{trips / peer[1]:.1f}",
                f"{statements:.0f}",
                f"{milliseconds:.1f}",
                f"{milliseconds / peer[0]:.1f}",
            ]
            for label, (milliseconds, trips, statements) in costs.items()
        ],
    )


def main() -> None:
    """Print the costs."""
    counter = Counter()
    server = postgres_server.shared()
    server.execute("ALTER SYSTEM SET fsync = on")  # the tests' server has it off
    server.execute("SELECT pg_reload_conf()")
    for delay in (0.0, TRIP / 2):
        compare(server, delay, counter)
    postgres_server.close_shared()


if __name__ == "__main__":
    main()
