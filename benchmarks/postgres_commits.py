"""What a small write costs on PostgreSQL, as a multiple of two bare transactions on the same connection.

The server and the database are on one machine, so what is measured is round trips and not the network:

    python benchmarks/postgres_commits.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "pps")]

import postgres_server  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from pps_world import PpsWorld  # noqa: E402

from trunkline.model import names  # noqa: E402
from trunkline.pfs import commits  # noqa: E402
from trunkline.pfs.branches import BranchName  # noqa: E402
from trunkline.pfs.resolve import CommitName  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 200


def median_ms(act: Callable[[int], object]) -> float:
    """Return the median of the milliseconds that an act takes."""
    times = []
    for number in range(ROUNDS):
        begin = time.perf_counter()
        act(number)
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print the costs."""
    server = postgres_server.shared()
    server.execute("ALTER SYSTEM SET fsync = on")  # the tests' server has it off
    server.execute("SELECT pg_reload_conf()")
    with server.database() as name, tempfile.TemporaryDirectory():
        world = PpsWorld(server.url(name))
        world.stop_controller()
        world.repo("images")
        branch = BranchName(names.RepoName("default", "images"), "master")
        engine = sa.create_engine(server.url(name))
        with engine.connect() as conn:
            conn.execute(sa.text("CREATE TABLE bare (value INTEGER)"))
            conn.commit()

            def two_transactions(number: int) -> None:
                for _ in range(2):
                    conn.execute(sa.text("INSERT INTO bare VALUES (:value)"), {"value": number})
                    conn.commit()

            def empty_commit(_: int) -> None:
                row = world.versions.write(commits.start_commit, branch)
                commits.finish_commit(world.versions, CommitName(branch.repo, id=row.set_id))

            bare = median_ms(two_transactions)
            empty = median_ms(empty_commit)
            small = median_ms(lambda number: world.put("images", {f"/{number}": b"x"}))
        engine.dispose()
        world.start_controller()
        world.close()
    postgres_server.close_shared()
    print(f"two bare transactions {bare:6.2f} ms")
    print(f"an empty commit       {empty:6.2f} ms  {empty / bare:4.1f} times")
    print(f"a small file          {small:6.2f} ms  {small / bare:4.1f} times")


if __name__ == "__main__":
    main()
