"""What reads and transactions cost on a store with a year's history, beside a store with almost none.

Every RPC that reads and everything that the server reads for itself runs on both stores of ``tests/pps/long_history``,
in one process without a network. Shown is the processor time of the longest read or transaction of each call, with
the database's own work; none may take more than the limit:

    python benchmarks/scale.py [postgres]
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "pps")]

import long_history  # noqa: E402
import postgres_server  # noqa: E402
import pytest  # noqa: E402
import scale_calls  # noqa: E402
from common import median, table  # noqa: E402
from pps_world import PpsWorld  # noqa: E402
from sql_costs import recording  # noqa: E402

from trunkline.pps import pipeline_removal  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Milliseconds of processor time that a read or transaction may take.
LIMIT = 50.0
ROUNDS = 5
#: Rows of the table.
SHOWN = 12


@contextmanager
def store(kind: str, size: long_history.Size) -> Iterator[PpsWorld]:
    """A store of that size."""
    with tempfile.TemporaryDirectory() as folder, postgres_server.database_url(kind, Path(folder)) as url:
        world = PpsWorld(url)
        try:
            long_history.build(world, size)
            yield world
        finally:
            world.close()


def longest(world: PpsWorld, act: Callable[[], object]) -> tuple[float, str]:
    """Return the milliseconds and the name of the longest read or transaction of an act."""
    with recording(world.versions.db, pytest.MonkeyPatch()) as recorder:
        act()
    costs = [(1000 * each.seconds, each.name) for each in recorder.transactions]
    return max(costs, default=(0.0, ""))


def costs(world: PpsWorld) -> dict[str, tuple[float, str]]:
    """Return the median over some rounds of the longest read or transaction of each call, and its name."""
    results = {}
    for name in scale_calls.ALL:
        rounds = [longest(world, lambda name=name: scale_calls.run(world, name)) for _ in range(ROUNDS)]
        results[name] = (median(cost for cost, _ in rounds), rounds[-1][1])
    rounds = [
        longest(world, lambda number=number: world.put("dag0", {f"/{number}": b""}))
        for number in range(ROUNDS)
    ]
    results["a commit that 18 pipelines follow"] = (median(cost for cost, _ in rounds), rounds[-1][1])
    results["a pipeline with half of all jobs is deleted"] = longest(world, lambda: _delete(world))
    return results


def _delete(world: PpsWorld) -> None:
    pipeline_removal.delete_in_slices(
        world.versions, "default", long_history.BUSY, force=False, keep_repo=False
    )


def main() -> None:
    """Print the table."""
    kind = "postgres" if "postgres" in sys.argv[1:] else "sqlite"
    with store(kind, long_history.LEAST) as world:
        least = costs(world)
    with store(kind, long_history.FULL) as world:
        full = costs(world)
    postgres_server.close_shared()
    order = sorted(full, key=lambda name: -full[name][0])
    rows = [
        [
            name,
            full[name][1],
            f"{full[name][0]:.1f}",
            f"{least[name][0]:.1f}",
            f"{full[name][0] / (least[name][0] or 1):.1f}",
        ]
        for name in order[:SHOWN]
    ]
    rows.append(["the other calls, at most", "", f"{full[order[SHOWN]][0]:.1f}", "", ""])
    over = sum(cost > LIMIT for cost, _ in full.values())
    table(
        f"A long history on {kind}",
        [
            "call",
            "its longest read or transaction",
            f"ms (limit: {LIMIT:.0f})",
            "ms, almost empty store",
            "ratio",
        ],
        rows,
    )
    print(
        f"\n{len(full)} calls, {over} over the limit; median {median(cost for cost, _ in full.values()):.2f} ms"
    )


if __name__ == "__main__":
    main()
