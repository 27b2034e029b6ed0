"""Lists, waits and deletions cost what they return, not what there is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from postgres_server import database_url
from pps_world import PpsWorld, pfs

from trunkline import errors
from trunkline.meta import ancestry, jobs, query, schema
from trunkline.meta import claims as claim_rows
from trunkline.meta import commits as commit_rows
from trunkline.model import names
from trunkline.model.names import PipelineName
from trunkline.model.states import CommitState
from trunkline.pfs import commit_lists, resolve, watch
from trunkline.pfs import commits as commit_ops
from trunkline.pfs import repos as repo_ops
from trunkline.pfs.branches import BranchName
from trunkline.pfs.queries import Page
from trunkline.pps import jobs as job_ops
from trunkline.pps import logs, pipeline_removal
from trunkline.pps.queries import costs, job_queries, log_queries, pipeline_queries, worker_queries
from trunkline.pps.queries.job_queries import JobFilter
from trunkline.pps.workers import claims

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.pfs.writes import WriteTransaction

#: Of a pipeline that has been at work for long; a tenth of what a busy server has.
JOBS, PAST_WORKERS, BATCHES = 2_000, 1_000, 1_000


def set_id(number: int) -> str:
    """Return the id of a made-up commit set, in the form that names can tell from branches."""
    return f"{number:012x}4000a{0:015x}"


class RowCounter:
    """How many rows reads have fetched from the database's driver."""

    rows = 0


def fill(write: WriteTransaction, pipeline_id: int, repo_id: int) -> None:
    """Give a pipeline a long history: finished jobs, gone workers, logs."""
    conn = write.conn
    conn.execute(schema.job.update().values(created=-1.0))  # the pipeline's own first job
    first = conn.execute(sa.select(sa.func.max(schema.commit.c.id))).scalar() or 0
    rows = [
        commit_rows.CommitRow(
            first + 1 + number, set_id(number), repo_id, "master", first + number if number else None,
            "AUTO", "", "", float(number), number + 0.5, b"", 0, {},
        )
        for number in range(JOBS)
    ]  # fmt: skip
    conn.execute(
        schema.commit.insert(),
        [
            {name: getattr(row, name) for name in commit_rows.CommitRow.__struct_fields__}
            | {"checksum": commit_rows.checksum(row)}
            for row in rows
        ],
    )
    conn.execute(
        schema.job.insert(),
        [
            {
                "pipeline_id": pipeline_id, "version": 1, "commit_id": row.id, "set_id": row.set_id,
                "state": "SUCCESS", "created": row.started, "started": row.started, "finished": row.finished,
            }
            for row in rows
        ],
    )  # fmt: skip
    conn.execute(
        schema.worker_past.insert(),
        [
            {"pipeline_id": pipeline_id, "created": float(number), "ready": None, "ended": number + 0.5}
            for number in range(PAST_WORKERS)
        ],
    )
    data = logs.pack([logs.Line("", 1.0, "a line", user=True)])
    conn.execute(
        schema.log_batch.insert(),
        [
            {
                "pipeline_id": pipeline_id, "worker_id": "w", "first_ts": 1.0, "last_ts": 1.0, "lines": 1,
                "data": data,
            }
            for _ in range(BATCHES)
        ],
    )  # fmt: skip


def work_for_long(world: PpsWorld) -> None:
    """Make a pipeline with a long history and nothing to do."""
    world.repo("images")
    number = world.pipeline("edges", pfs("images"))
    world.until_workers("edges", 1)
    world.stop_controller()
    repo = world.versions.read(resolve.repo, names.RepoName("default", "edges"))
    world.has_all_events = False  # of the rows that the test fills in
    world.versions.write(fill, number, repo.id)


@pytest.fixture(params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PpsWorld]:
    """A store of its own on each kind of database."""
    with database_url(request.param, tmp_path, installed=True) as url:
        world = PpsWorld(url)
        yield world
        world.close()


@pytest.fixture
def busy(world: PpsWorld) -> PpsWorld:
    """A pipeline with a long history, for a test that changes it."""
    work_for_long(world)
    return world


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PpsWorld]:
    """A pipeline with a long history, for the tests that only read."""
    with database_url(request.param, tmp_path_factory.mktemp("history"), installed=True) as url:
        world = PpsWorld(url)
        work_for_long(world)
        yield world
        world.close()


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[RowCounter]:
    """Rows fetched through ``meta.query`` and through SQLAlchemy."""
    counter = RowCounter()
    run = query._run

    class Counting:
        """A driver's cursor that counts."""

        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cursor, name)

        def fetchall(self) -> list[Any]:
            fetched: list[Any] = self._cursor.fetchall()
            counter.rows += len(fetched)
            return fetched

        def fetchone(self) -> Any:
            counter.rows += 1
            return self._cursor.fetchone()

    monkeypatch.setattr(query, "_run", lambda *args, **kwargs: Counting(run(*args, **kwargs)))
    fetchall = sa.engine.cursor.CursorFetchStrategy.fetchall

    def counted(self: Any, result: Any, dbapi_cursor: Any) -> Any:
        fetched = fetchall(self, result, dbapi_cursor)
        counter.rows += len(fetched)
        return fetched

    monkeypatch.setattr(sa.engine.cursor.CursorFetchStrategy, "fetchall", counted)
    return counter


def test_what_the_controller_and_claims_read_does_not_grow_with_finished_jobs(
    history: PpsWorld, rows: RowCounter
) -> None:
    number = history.pipeline_row("edges").id
    [worker_id] = [row.id for row in history.workers("edges")]
    looks = {
        "live": lambda: history.versions.read(jobs.live, number),
        "claim": lambda: history.versions.read(claims.work_waits, worker_id),
        "leases": lambda: history.versions.read(claim_rows.held_claims),
        "last with results": lambda: history.versions.read(jobs.last_with_results, number, 1),
        "gaps": lambda: history.versions.read(jobs.gaps, number, 20),
        "next created": lambda: history.versions.read(jobs.next_created, number, 1),
    }

    read = {}
    for name, look in looks.items():
        rows.rows = 0
        look()
        read[name] = rows.rows

    assert max(read.values()) <= 25, read


def test_the_first_page_of_each_list_reads_a_page(history: PpsWorld, rows: RowCounter) -> None:
    versions, edges = history.versions, PipelineName("default", "edges")
    firsts = {
        "jobs": job_queries.list_jobs(versions, JobFilter()),
        "jobs of a pipeline": job_queries.list_jobs(versions, JobFilter(pipeline=edges, details=True)),
        "jobs, oldest first": job_queries.list_jobs(versions, JobFilter(reverse=True)),
        "jobs before a time": job_queries.list_jobs(versions, JobFilter(marker=1000.0)),
        "job sets": job_queries.list_job_sets(versions, JobFilter()),
        "job sets before a time": job_queries.list_job_sets(versions, JobFilter(marker=1000.0)),
        "commits": commit_lists.list_commits(
            versions, commit_lists.CommitFilter(repo=names.RepoName("default", "edges"))
        ),
        "commit sets": commit_lists.list_commit_sets(versions, None),
        "costs": costs.list_costs(versions, history.specs, JobFilter(pipeline=edges, number=20)),
        "workers": worker_queries.list_workers(versions, "", ""),
    }

    read = {}
    for name, pages in firsts.items():
        rows.rows = 0
        next(iter(pages))
        read[name] = rows.rows

    assert max(read.values()) <= 12 * job_queries.PAGE, read


def test_a_list_of_jobs_is_complete_in_both_orders(history: PpsWorld) -> None:
    newest_first = [
        info.row.id for page in job_queries.list_jobs(history.versions, JobFilter()) for info in page
    ]
    oldest_first = [
        info.row.id
        for page in job_queries.list_jobs(history.versions, JobFilter(reverse=True, number=60))
        for info in page
    ]

    assert len(newest_first) == len(set(newest_first)) == JOBS + 1
    assert newest_first == sorted(newest_first, reverse=True)
    assert oldest_first == newest_first[::-1][:60]


def test_commit_sets_are_listed_once_each_newest_first(history: PpsWorld) -> None:
    listed = [
        set_id for page in commit_lists.list_commit_sets(history.versions, "default") for set_id, _ in page
    ]

    assert len(listed) == len(set(listed))
    assert [set_id(number) for number in reversed(range(JOBS))] == [
        listed_id for listed_id in listed if listed_id.endswith("4000a" + "0" * 15)
    ]


def test_the_last_lines_of_a_log_are_read_from_its_end(history: PpsWorld, rows: RowCounter) -> None:
    selection = log_queries.select(
        history.versions, log_queries.LogFilter(pipeline=PipelineName("default", "edges"), tail=3)
    )

    async def last() -> int:
        return len([line async for line in log_queries.lines(history.versions, selection)])

    rows.rows = 0
    count = history.on_loop(last())

    assert count == 3
    assert rows.rows <= logs.PAGE + 20


def test_bills_are_settled_once_and_past_workers_forgotten_without_changing_them(busy: PpsWorld) -> None:
    versions, number = busy.versions, busy.pipeline_row("edges").id
    criteria = JobFilter(pipeline=PipelineName("default", "edges"))
    before = [
        cost.worker_seconds for page in costs.list_costs(versions, busy.specs, criteria) for cost in page
    ]

    while versions.write(costs.settle_bills, busy.specs, number):
        pass

    after = [
        cost.worker_seconds for page in costs.list_costs(versions, busy.specs, criteria) for cost in page
    ]
    remaining = versions.read(
        lambda conn: conn.execute(sa.select(sa.func.count()).select_from(schema.worker_past)).scalar()
    )
    assert after[1:] == pytest.approx(before[1:])  # the newest job goes on
    assert sum(after[1:]) == pytest.approx(PAST_WORKERS * 0.5)
    assert remaining == 0


def test_a_pipeline_with_a_long_history_is_deleted_in_short_transactions(busy: PpsWorld) -> None:
    before = busy.transactions

    pipeline_removal.delete_in_slices(busy.versions, "default", "edges", force=False, keep_repo=False)

    remaining = busy.versions.read(
        lambda conn: [
            conn.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in (schema.job, schema.log_batch, schema.pipeline, schema.worker_past)
        ]
    )
    assert remaining == [0, 0, 0, 0]
    assert busy.transactions - before >= (JOBS + BATCHES) / repo_ops.SLICE


def test_a_repo_with_many_commits_is_deleted_in_short_transactions(busy: PpsWorld) -> None:
    repo = busy.versions.read(resolve.repo, names.RepoName("default", "edges"))
    pipeline_removal.delete_in_slices(busy.versions, "default", "edges", force=False, keep_repo=True)

    removed = repo_ops.delete_repo_in_slices(busy.versions, names.RepoName("default", "edges"), force=False)

    assert removed
    assert busy.versions.read(commit_rows.oldest, repo.id, 1) == []


def test_the_values_that_a_statement_of_a_removal_binds_do_not_grow_with_what_is_removed(
    world: PpsWorld,
) -> None:
    """PostgreSQL takes 65,535 of them, SQLite 32,766."""
    many = list(range(1_000_000, 1_002_000))
    bound: list[int] = []

    def count(_conn: Any, _cursor: Any, _text: str, values: Any, _context: Any, executemany: bool) -> None:
        bound.extend(map(len, values) if executemany else [len(values)])

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        world.versions.write(lambda write: jobs.remove(write.conn, many))
        world.versions.write(lambda write: commit_rows.remove(write.conn, many))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)

    assert len(bound) >= 2
    assert max(bound) <= len(many) / 2


def test_who_waits_for_a_commit_looks_again_for_that_commit_only(world: PpsWorld) -> None:
    world.repo("waited")
    world.repo("busy")
    branch = BranchName(names.RepoName("default", "waited"), "master")
    row = world.versions.write(commit_ops.start_commit, branch)
    name = names.CommitName(branch.repo, id=row.set_id)
    looks = 0
    read = world.versions.db.read_blocking

    def counting(fn: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += getattr(fn, "__qualname__", "").startswith("wait_row")
        return read(fn, *args, **kwargs)

    world.versions.db.read_blocking = counting  # type: ignore[method-assign]

    async def scenario() -> str:
        waiting = [
            asyncio.ensure_future(watch.wait_commit(world.versions, name, CommitState.FINISHED))
            for _ in range(20)
        ]
        loop = asyncio.get_running_loop()
        for number in range(10):
            await loop.run_in_executor(None, world.put, "busy", {f"/{number}": b"x"})
        await loop.run_in_executor(None, commit_ops.finish_commit, world.versions, name)
        finished = await asyncio.gather(*waiting)
        return finished[0].set_id

    assert world.on_loop(scenario()) == row.set_id
    assert looks <= 2 * 20 + 20


def test_the_base_of_a_job_is_read_at_once_behind_many_jobs_that_failed(
    busy: PpsWorld, rows: RowCounter
) -> None:
    newest, *_ = busy.jobs("edges")

    def fail_all_but_the_first(write: WriteTransaction) -> None:
        table = schema.job
        first = write.conn.execute(sa.select(sa.func.min(table.c.id)).where(table.c.id > 1)).scalar()
        write.conn.execute(table.update().where(table.c.id > first).values(state="FAILURE", base_id=first))

    busy.versions.write(fail_all_but_the_first)
    rows.rows = 0
    base = busy.versions.read(job_ops.base_job, newest)

    assert base is not None
    assert base.set_id == set_id(0)
    assert rows.rows <= 10


def test_a_job_that_fails_behind_many_failures_finds_the_last_good_files_at_once(
    busy: PpsWorld, rows: RowCounter
) -> None:
    repo_id = busy.versions.read(lambda conn: _newest_commit(conn).repo_id)

    def fail_all_but_the_first(write: WriteTransaction) -> None:
        table = schema.commit
        first = write.conn.execute(sa.select(table.c.id).where(table.c.set_id == set_id(0))).scalar_one()
        write.conn.execute(
            table.update().where(table.c.id > first, table.c.repo_id == repo_id).values(error="failed")
        )

    busy.versions.write(fail_all_but_the_first)
    rows.rows = 0
    newest = busy.versions.read(_newest_commit)
    good = busy.versions.read(ancestry.last_good, newest)

    assert good is not None
    assert good.set_id == set_id(0)
    assert rows.rows <= 10


def test_without_a_good_commit_there_are_no_files_to_build_on(busy: PpsWorld) -> None:
    def fail_all(write: WriteTransaction) -> None:
        write.conn.execute(schema.commit.update().values(error="failed"))

    busy.versions.write(fail_all)

    assert busy.versions.read(lambda conn: ancestry.last_good(conn, _newest_commit(conn))) is None


def _newest_commit(conn: sa.Connection) -> commit_rows.CommitRow:
    number = conn.execute(
        sa.select(schema.commit.c.id).where(schema.commit.c.set_id == set_id(JOBS - 1))
    ).scalar_one()
    return commit_rows.by_id(conn, number)


@pytest.mark.parametrize(("ancestry", "position"), [("^1500", JOBS - 1501), (".1", 0), (".2000", JOBS - 1)])
def test_an_ancestor_is_found_in_few_reads_however_far_it_is(
    history: PpsWorld, rows: RowCounter, ancestry: str, position: int
) -> None:
    repo = names.RepoName("default", "edges")

    rows.rows = 0
    row = history.versions.read(resolve.commit, names.parse_revision(repo, set_id(JOBS - 1) + ancestry))

    assert row.set_id == set_id(position)
    assert rows.rows <= 10


def test_an_ancestor_that_does_not_exist_is_not_found(history: PpsWorld) -> None:
    repo = names.RepoName("default", "edges")

    for step in (f"^{JOBS}", f".{JOBS + 1}"):
        with pytest.raises(errors.NotFound):
            history.versions.read(resolve.commit, names.parse_revision(repo, set_id(JOBS - 1) + step))


def test_versions_of_a_pipeline_are_listed_in_pages(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    world.stop_controller()
    for _ in range(pipeline_queries.PAGE + 5):
        world.pipeline("edges", pfs("images"), update=True)
    criteria = pipeline_queries.PipelineFilter(history=-1, page=Page(0, 0))

    pages = list(pipeline_queries.list_pipelines(world.versions, world.specs, criteria))

    listed = [info.version.version for page in pages for info in page]
    assert listed == list(range(pipeline_queries.PAGE + 6, 0, -1))
    assert max(len(page) for page in pages) == pipeline_queries.PAGE
