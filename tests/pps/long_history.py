"""A store with a long history, filled by bulk inserts: what a busy server has after a year, and a tenth of it.

Ten DAGs of chained diamonds, a pipeline with half of all jobs, and pipelines that rest; then one new commit in
each source, so that every pipeline but the resting ones has a live job. No controller runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pps_world import pfs

from trunkline.meta import branches, jobs, pipelines, schema, workers
from trunkline.meta import commits as commit_rows
from trunkline.model import names
from trunkline.model.states import JobState, WorkerState
from trunkline.pfs import resolve
from trunkline.pps import controller, logs, plan
from trunkline.pps.worker_tokens import token_hash
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pps_world import PpsWorld

    from trunkline.pfs.writes import WriteTransaction

#: Diamonds of a DAG, one after the other; each has three pipelines.
DIAMONDS = 6
#: The busy pipeline, its source, and a repo that no pipeline reads.
BUSY, IMAGES, ARCHIVE = "edges", "images", "archive"
WORKER, TOKEN = "0" * 31 + "1", "token"


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is."""

    jobs: int
    commits: int
    pipelines: int
    dags: int
    past_workers: int
    log_batches: int
    versions: int = 3


FULL = Size(20_000, 60_000, 200, 10, 10_000, 100_000)
TENTH = Size(2_000, 6_000, 20, 1, 1_000, 10_000)
#: As good as nothing, to compare with; what calls name is there.
LEAST = Size(40, 200, 20, 1, 10, 20)


@dataclass(slots=True)
class _Rows:
    """Rows to be inserted."""

    commits: list[dict[str, Any]] = field(default_factory=list)
    provenance: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    bills: list[dict[str, Any]] = field(default_factory=list)
    handins: list[dict[str, Any]] = field(default_factory=list)


def set_id(number: int) -> str:
    """Return the id of a commit set of the history."""
    return f"{number:012x}4000a{0:015x}"


def diamonds(number: int) -> list[str]:
    """Return the names of a DAG's pipelines, the most upstream first."""
    return [f"dag{number}-{level}{part}" for level in range(DIAMONDS) for part in ("left", "right", "join")]


def build(world: PpsWorld, size: Size) -> None:
    """Fill an empty store.

    Args:
        world: the store; its controller is stopped.
        size: how much.
    """
    world.stop_controller()
    _make_pipelines(world, size)
    world.versions.write(_fill, size)
    if world.versions.db.engine.dialect.name == "postgresql":
        with world.versions.db.engine.connect() as conn:
            conn.execute(sa.text("ANALYZE"))  # as its background process does
            conn.commit()
    for source in (IMAGES, *(f"dag{number}" for number in range(size.dags))):
        world.put(source, {"/new": b"x"})
    _begin(world, BUSY)
    world.versions.write(add_workers, size)


def _make_pipelines(world: PpsWorld, size: Size) -> None:
    for name in (IMAGES, ARCHIVE, "rest"):
        world.repo(name)
    world.pipeline(BUSY, pfs(IMAGES))
    for number in range(size.dags):
        source = f"dag{number}"
        world.repo(source)
        for left, right, join in batched_names(diamonds(number)):
            world.pipeline(left, pfs(source))
            world.pipeline(right, pfs(source))
            world.pipeline(join, {"union": [pfs(left, name="left"), pfs(right, name="right")]})
            source = join
    for number in range(size.pipelines - 1 - size.dags * 3 * DIAMONDS):
        world.pipeline(f"rest-{number}", pfs("rest"))


def batched_names(values: Sequence[str]) -> Iterable[tuple[str, str, str]]:
    """Yield the pipelines of each diamond."""
    return zip(values[::3], values[1::3], values[2::3], strict=True)


def _fill(write: WriteTransaction, size: Size) -> None:
    conn = write.conn
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SET LOCAL session_replication_role = replica"))  # foreign keys are not checked
    _end_first_jobs(conn)
    owners = {row.name: row for row in pipelines.list_all(conn, [])}
    _add_versions(conn, size.versions)
    rows, heads, last_billed = _Rows(), {}, {}
    commit_numbers = count(1 + conn.execute(sa.select(sa.func.max(schema.commit.c.id))).scalar_one())
    job_numbers = count(1 + conn.execute(sa.select(sa.func.max(schema.job.c.id))).scalar_one())
    dag_runs = (size.jobs // 2) // max(1, size.dags * 3 * DIAMONDS)
    busy_runs = size.jobs - dag_runs * size.dags * 3 * DIAMONDS
    sets = count()
    plans: list[tuple[str, list[str], int]] = [(IMAGES, [BUSY], busy_runs)]
    plans += [(f"dag{number}", diamonds(number), dag_runs) for number in range(size.dags)]
    line = _Line(conn, rows, heads, commit_numbers)
    for source, members, runs in plans:
        root = branches.find(conn, resolve.repo(conn, names.RepoName("default", source)).id, "master")
        assert root is not None
        edges = {
            owner.id: [edge.upstream_id for edge in branches.upstream(conn, owner.output_branch_id)]
            for owner in (owners[name] for name in members)
        }
        for run in range(runs):
            number = next(sets)
            line.add(root.id, number, "USER", ())
            for name in members:
                owner = owners[name]
                failed = run % 20 == 7
                sources = [line.head(branch_id) for branch_id in edges[owner.id]]
                output = line.add(owner.output_branch_id, number, "AUTO", sources)
                line.add(owner.meta_branch_id, number, "AUTO", sources)
                job_id = next(job_numbers)
                version = 1 + size.versions * run // runs
                billed = run < runs * 0.9
                _add_job(
                    rows, owner.id, job_id, output, number, failed=failed, billed=billed, version=version
                )
                if billed:
                    last_billed[owner.id] = job_id
    archive = branches.add(conn, resolve.repo(conn, names.RepoName("default", ARCHIVE)).id, "master", 0.0)
    while len(rows.commits) < size.commits:
        line.add(archive.id, next(sets), "USER", ())
    for table, values in (
        (schema.commit, rows.commits), (schema.commit_provenance, rows.provenance), (schema.job, rows.jobs),
        (schema.job_bill, rows.bills), (schema.handin, rows.handins),
    ):  # fmt: skip
        conn.execute(table.insert(), values)
    for pipeline_id, job_id in last_billed.items():
        pipelines.change(conn, pipeline_id, billed_job_id=job_id)
    for branch_id, head in line.heads.items():
        branches.move(conn, branch_id, head, write.now)
    _add_details(conn, size, owners, [row["id"] for row in rows.jobs[:busy_runs]])
    if conn.dialect.name == "postgresql":
        for table in ("commit", "job"):
            conn.execute(
                sa.text(
                    f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), max(id)) FROM \"{table}\""
                )
            )


class _Line:
    """Makes commits on branches, each the child of the one before."""

    def __init__(self, conn: sa.Connection, rows: _Rows, heads: dict[int, int], numbers: count[int]) -> None:
        self.heads = heads
        self._conn, self._rows, self._numbers = conn, rows, numbers
        self._branches: dict[int, branches.BranchRow] = {}

    def _branch(self, branch_id: int) -> branches.BranchRow:
        row = self._branches.get(branch_id)
        if row is None:
            row = self._branches[branch_id] = branches.by_id(self._conn, branch_id)
        return row

    def head(self, branch_id: int) -> int:
        head = self.heads.get(branch_id) or self._branch(branch_id).head_id
        assert head is not None
        return head

    def add(self, branch_id: int, number: int, origin: str, sources: Sequence[int]) -> int:
        branch = self._branch(branch_id)
        row = commit_rows.CommitRow(
            next(self._numbers), set_id(number), branch.repo_id, branch.name,
            self.heads.get(branch_id) or branch.head_id, origin, "", "",
            float(number), number + 0.5, bytes(EMPTY), 0, {},
        )  # fmt: skip
        values = {name: getattr(row, name) for name in commit_rows.CommitRow.__struct_fields__}
        self._rows.commits.append(values | {"checksum": commit_rows.checksum(row)})
        self._rows.provenance.extend({"commit_id": row.id, "upstream_id": source} for source in sources)
        self.heads[branch_id] = row.id
        return row.id


def _add_job(
    rows: _Rows,
    pipeline_id: int,
    job_id: int,
    commit_id: int,
    number: int,
    *,
    failed: bool,
    billed: bool,
    version: int,
) -> None:
    rows.jobs.append(
        {
            "id": job_id, "pipeline_id": pipeline_id, "version": version, "commit_id": commit_id,
            "set_id": set_id(number), "state": JobState.FAILURE if failed else JobState.SUCCESS,
            "created": float(number), "started": float(number), "finished": number + 0.5, "total": 3,
            "processed": 3, "todo_count": 3, "process_ns": 10**9, "datums": None if failed else bytes(EMPTY),
        }
    )  # fmt: skip
    if failed:
        rows.handins.append({"job_id": job_id, "delta": bytes(EMPTY), "rows": bytes(EMPTY)})
    if billed:
        rows.bills.append(
            {
                "job_id": job_id,
                "worker_seconds": 1.0,
                "dollars": 0.0,
                "unpriced_seconds": 0.0,
                "pretended": False,
            }
        )


def _end_first_jobs(conn: sa.Connection) -> None:
    """Let the jobs that came with the pipelines be long over."""
    conn.execute(
        schema.job.update().values(state=JobState.SUCCESS, created=-1.0, started=-1.0, finished=-0.5)
    )
    conn.execute(schema.job.update().values(datums=bytes(EMPTY)))
    open_ones = conn.execute(
        sa.select(schema.commit.c.id).where(schema.commit.c.finished.is_(None))
    ).scalars()
    for number in list(open_ones):
        row = commit_rows.by_id(conn, number)
        commit_rows.finish(conn, row, tree=bytes(EMPTY), size=0, error="", description="", at=row.started)


def _add_versions(conn: sa.Connection, number: int) -> None:
    first = conn.execute(sa.select(schema.pipeline_version)).mappings().all()
    later = [{**row, "version": version} for row in first for version in range(2, number + 1)]
    conn.execute(schema.pipeline_version.insert(), later)
    conn.execute(schema.pipeline.update().values(version=number))


def _add_details(
    conn: sa.Connection, size: Size, owners: dict[str, pipelines.PipelineRow], busy_jobs: Sequence[int]
) -> None:
    """Add past workers, logs, decisions and events, half of them of the busy pipeline."""
    busy, others = owners[BUSY].id, [row.id for row in owners.values() if row.name != BUSY]

    def owner(number: int) -> int:
        return busy if number % 2 else others[number // 2 % len(others)]

    step = len(busy_jobs) / size.past_workers
    conn.execute(
        schema.worker_past.insert(),
        [
            {
                "pipeline_id": owner(number),
                "created": number * step,
                "ready": None,
                "ended": number * step + 1,
            }
            for number in range(size.past_workers)
        ],
    )
    data = logs.pack([logs.Line("", 1.0, "a line", user=True)])
    conn.execute(
        schema.log_batch.insert(),
        [
            {
                "pipeline_id": owner(number), "job_id": busy_jobs[number % len(busy_jobs)] if number % 2 else None,
                "worker_id": "w", "first_ts": float(number), "last_ts": float(number), "lines": 1, "data": data,
            }
            for number in range(size.log_batches)
        ],
    )  # fmt: skip
    conn.execute(
        schema.decision.insert(),
        [
            {"pipeline_id": busy, "at": float(number), "target": 1, "sentence": "one worker", "inputs": {}}
            for number in range(500)
        ],
    )
    conn.execute(
        schema.worker_event.insert(),
        [
            {
                "pipeline_id": owner(number), "worker_id": "w", "at": float(number), "state": WorkerState.IDLE,
                "text": "came",
            }
            for number in range(2_000)
        ],
    )  # fmt: skip


def _begin(world: PpsWorld, name: str) -> None:
    """Plan the live job of a pipeline, as the controller does."""
    number = world.pipeline_row(name).id
    [job] = world.versions.read(jobs.live, number)
    world.versions.write(controller._move, job.id, JobState.CREATED, JobState.STARTING)
    job_plan = plan.plan(world.versions, world.specs, job)
    world.versions.write(controller._begin, job.id, job_plan, None, world.core.waiting, world.specs)


def add_workers(write: WriteTransaction, size: Size) -> None:
    """Give the busy pipeline a worker that asks for work, and others one that waits, unless they have it."""
    owners = [BUSY, *(name for number in range(size.dags) for name in diamonds(number)[:3])]
    for position, name in enumerate(owners):
        row = pipelines.find(write.conn, "default", name)
        assert row is not None
        worker = workers.WorkerRow(
            f"{position + 1:032x}", row.id, row.version, token_hash(TOKEN), WorkerState.IDLE, "",
            write.now, write.now, write.now,
        )  # fmt: skip
        if workers.by_id(write.conn, worker.id) is None:
            workers.add(write.conn, [worker])
