"""What is read costs what is alive or a page, whatever has happened before: every RPC that reads, every loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import long_history
import pytest
import scale_calls
from postgres_server import database_url
from pps_world import PpsWorld, pfs
from sql_costs import full_scans, recording

from trunkline.meta import database, pipelines
from trunkline.meta import logs as log_rows
from trunkline.model import names
from trunkline.model.states import JobState
from trunkline.pfs import commit_lists, commits, queries
from trunkline.pps.jobs import end_job, wake_job
from trunkline.pps.queries import job_queries
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Rows that one read or transaction may fetch: a page of 100 commits with their neighbours, 1,000 events.
PAGE_ROWS = 1_300
#: Rows that a statement may visit to find them; retention skips the events that stay, 2,000 of a pipeline.
VISITED = 2_500
#: Reads of the call for the first answers of a list, the page that is read ahead included.
READS = 60


@contextmanager
def _built(kind: str, size: long_history.Size, factory: pytest.TempPathFactory) -> Iterator[PpsWorld]:
    with database_url(kind, factory.mktemp("history"), installed=True) as url:
        world = PpsWorld(url)
        world.has_all_events = False  # of the long history
        try:
            long_history.build(world, size)
            yield world
        finally:
            world.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PpsWorld]:
    """A tenth of a busy server's history."""
    with _built(request.param, long_history.TENTH, tmp_path_factory) as world:
        yield world


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full_history(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PpsWorld]:
    """The whole history of a busy server."""
    with _built(request.param, long_history.FULL, tmp_path_factory) as world:
        yield world


def pipeline_count(world: PpsWorld) -> int:
    """Return how many pipelines there are: a search for log lines looks at each."""
    return len(world.versions.read(pipelines.list_all, []))


def check_cost(world: PpsWorld, name: str, patch: pytest.MonkeyPatch, *, small: bool) -> None:
    """Run a call; check what its reads and transactions fetch, and that none scans a history table."""
    with recording(world.versions.db, patch) as recorder:
        scale_calls.run(world, name)

    costs = {f"{each.name} {number}": each.rows for number, each in enumerate(recorder.transactions)}
    assert max(costs.values(), default=0) <= PAGE_ROWS, costs
    assert len(costs) <= READS + 3 * pipeline_count(world), costs
    assert full_scans(world.versions.db, recorder.transactions, VISITED, small=small) == []


def test_every_rpc_that_is_served_is_called_here_or_known_as_a_write(history: PpsWorld) -> None:
    reads = {name.partition(" ")[0] for name in scale_calls.READS}
    writes = {f"{service}/{rpc}" for service, rpcs in scale_calls.WRITES.items() for rpc in rpcs.split()}

    assert reads | writes == scale_calls.served_rpcs(history)
    assert not reads & writes


@pytest.mark.parametrize("name", scale_calls.ALL)
def test_a_read_costs_a_page_or_what_is_alive(
    history: PpsWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_cost(history, name, monkeypatch, small=True)


def test_a_description_names_the_newest_downstream_commits_and_a_walk_returns_all(history: PpsWorld) -> None:
    name = names.CommitName(names.RepoName("default", long_history.BUSY, names.SPEC), branch="master")

    info = history.versions.query(queries.commit, name)
    walked = [
        commit.row.id
        for page in commit_lists.walk(history.versions, [name], up=False, limit=0, depth=1)
        for commit in page
    ]

    assert len(info.downstream) == commits.SUBVENANCE
    assert [row.id for row in info.downstream] == walked[-commits.SUBVENANCE :]
    assert len(set(walked)) == len(walked) > 2_000


def test_a_walk_ends_at_its_limit(history: PpsWorld) -> None:
    name = names.CommitName(names.RepoName("default", long_history.BUSY, names.SPEC), branch="master")

    pages = list(commit_lists.walk(history.versions, [name], up=False, limit=15, depth=0))

    assert [len(page) for page in pages] == [commit_lists.MIXED_PAGE, 5]


@pytest.mark.parametrize(("time", "count"), [(100.0, 100), (100.5, 101), (0.0, 0), (1e12, 1_000)])
def test_commits_before_a_time_are_found_without_those_after_it(
    history: PpsWorld, time: float, count: int
) -> None:
    criteria = commit_lists.CommitFilter(
        repo=names.RepoName("default", long_history.IMAGES), started_before=time, number=1_000
    )

    started = [
        info.row.started for page in commit_lists.list_commits(history.versions, criteria) for info in page
    ]

    assert len(started) == count
    assert started == sorted(started, reverse=True)
    assert max(started, default=0.0) <= time


def test_the_first_logs_since_a_time_are_found_by_bisection(history: PpsWorld) -> None:
    number = history.pipeline_row(long_history.BUSY).id
    at = {
        since: history.versions.read(log_rows.first_since, number, since)
        for since in (0.0, 5_000.0, 5_001.0, 5_001.5, 1e12)
    }
    batches = history.versions.read(
        lambda conn: log_rows.page(conn, pipeline_id=number, job_id=None, beyond=None, number=10_000)
    )

    for since, first in at.items():
        expected = [batch.id for batch in batches if batch.last_ts >= since]
        assert [batch.id for batch in batches if batch.id >= first] == expected
    assert len(batches) > 4_000


@pytest.mark.slow
@pytest.mark.parametrize("name", scale_calls.ALL)
def test_a_read_costs_a_page_or_what_is_alive_on_a_busy_server(
    full_history: PpsWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_cost(full_history, name, monkeypatch, small=False)


def test_the_controller_and_workers_read_while_clients_hold_all_other_threads(world: PpsWorld) -> None:
    db, release = world.versions.db, threading.Event()
    held = threading.Semaphore(0)

    def hold(_conn: object) -> None:
        held.release()
        release.wait(60)

    async def client(number: int) -> None:
        threads.enter_lane(f"client {number}")
        await db.read(hold)

    async def scenario() -> list[object]:
        clients = [asyncio.ensure_future(client(number)) for number in range(2 * database.READERS)]
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, held.acquire, True, 30)
        try:
            with threads.lane(threads.CONTROL):
                return await asyncio.wait_for(db.read(pipelines.list_all, []), 30)
        finally:
            release.set()
            await asyncio.gather(*clients)

    assert world.on_loop(scenario()) == []


def test_who_waits_for_a_job_looks_again_for_that_job_only(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stop_controller()
    world.repo("images")
    for name in ("waited", "busy"):
        world.pipeline(name, pfs("images"))
    [waited], [busy] = world.jobs("waited"), world.jobs("busy")
    name = names.JobName(names.PipelineName("default", "waited"), waited.set_id)

    async def scenario() -> JobState:
        waiting = [
            asyncio.ensure_future(job_queries.wait_for_end(world.versions, name, details=False))
            for _ in range(20)
        ]
        for _ in range(10):
            await world.versions.write_soon(lambda write: wake_job(write, busy))
        await world.versions.write_soon(end_job, waited, JobState.KILLED, "by the test")
        ended = await asyncio.gather(*waiting)
        return ended[-1].row.state

    with recording(world.versions.db, monkeypatch) as recorder:
        state = world.on_loop(scenario())

    assert state is JobState.KILLED
    assert sum(each.name == "job" for each in recorder.transactions) <= 2 * 20 + 20
