"""How many trips to PostgreSQL small commits make. Two bare transactions make six; see docs/benchmarks.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from postgres_server import Wire
from pps_world import PpsWorld

from trunkline.model import names
from trunkline.model.names import CommitName
from trunkline.pfs import commits
from trunkline.pfs.branches import BranchName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import PostgresServer

BRANCH = BranchName(names.RepoName("default", "images"), "master")
#: A trip for each statement of two transactions of BEGIN, one UPDATE and COMMIT.
TWO_TRANSACTIONS = 6


@pytest.fixture
def wire(postgres: PostgresServer) -> Iterator[Wire]:
    wire = Wire(postgres)
    yield wire
    wire.close()


@pytest.fixture
def world(postgres: PostgresServer, wire: Wire) -> Iterator[PpsWorld]:
    """A store with a repo, whose controller does not run, so that nobody else makes trips."""
    with postgres.database() as name:
        world = PpsWorld(f"postgresql+psycopg://postgres@/{name}?host={wire.socket}")
        world.stop_controller()
        world.repo("images")
        yield world
        world.start_controller()
        world.close()


def make_empty_commit(world: PpsWorld, _number: int) -> None:
    row = world.versions.write(commits.start_commit, BRANCH)
    commits.finish_commit(world.versions, CommitName(BRANCH.repo, id=row.set_id))


def put_small_file(world: PpsWorld, number: int) -> None:
    world.put("images", {f"/{number}": b"x"})


@pytest.mark.parametrize(
    ("act", "times"), [(make_empty_commit, 3), (put_small_file, 4)], ids=["empty commit", "small file"]
)
def test_a_small_commit_makes_at_most_some_times_the_trips_of_two_bare_transactions(
    world: PpsWorld, wire: Wire, act: Callable[[PpsWorld, int], None], times: int
) -> None:
    for number in range(10):  # statements are prepared when they have run five times
        act(world, number)
    before = wire.trips

    for number in range(10, 20):
        act(world, number)

    assert 0 < wire.trips - before <= 10 * times * TWO_TRANSACTIONS
