"""Queries on workers: what they run, on which machines, and their events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, pipelines, workers
from trunkline.pps import datum_rows, todos

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import EventRow, WorkerRow
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore

#: Workers read at a time.
PAGE = 50
#: Events of workers returned at once, the latest.
EVENTS = 1_000


class WorkerInfo(Struct, frozen=True):
    """A worker and its current work."""

    row: WorkerRow
    pipeline: PipelineRow
    #: Job and datum (hex) that it works on; empty without a claim.
    job_id: str = ""
    datum_id: str = ""


class Task(Struct, frozen=True):
    """Datums of a job that a worker has claimed."""

    claim: ClaimRow
    job: JobRow
    #: Full name of the pipeline.
    pipeline: str


class WorkerEvent(Struct, frozen=True):
    """An event of a worker."""

    row: EventRow
    pipeline: PipelineRow


class _Work(Struct, frozen=True):
    """The position of a worker in a job's todo."""

    job: JobRow
    position: int


def list_workers(versions: VersionedStore, project: str, pipeline: str) -> Generator[list[WorkerInfo]]:
    """Yield workers and their current work, page by page. Blocks; each page is a snapshot of its own.

    Args:
        versions: the store.
        project: only those of this project's pipelines, of all when empty.
        pipeline: only those of pipelines of this name, of all when empty.
    """
    after: tuple[float, str] | None = None
    while True:
        rows, last = versions.query(_worker_rows, project, pipeline, after)
        # All rows first, the trees afterwards: reading a tree may need a snapshot of its own.
        infos = []
        for row, owner, work in rows:
            if work is None:
                infos.append(WorkerInfo(row, owner))
                continue
            datums = todos.rows(datum_rows.trees(versions), work.job, work.position, work.position + 1)
            infos.append(WorkerInfo(row, owner, work.job.set_id, datums[0][0].hex() if datums else ""))
        yield infos
        if last is None:
            return
        after = last


def _worker_rows(
    read: ReadTransaction, project: str, pipeline: str, after: tuple[float, str] | None
) -> tuple[list[tuple[WorkerRow, PipelineRow, _Work | None]], tuple[float, str] | None]:
    """Return what is listed of the next workers, and the last of them; None at the end."""
    conn = read.conn
    page = workers.page(conn, after=after, number=PAGE)
    owners = {number: pipelines.by_id(conn, number) for number in {row.pipeline_id for row in page}}
    rows = []
    for row in page:
        owner = owners[row.pipeline_id]
        if owner is None or project not in ("", owner.project) or pipeline not in ("", owner.name):
            continue
        work: _Work | None = None
        for claim in claim_rows.claims_of_worker(conn, row.id):
            job = jobs.by_id(conn, claim.job_id)
            if job is not None:
                at = claim.done if claim.datum_position is None else claim.datum_position
                work = _Work(job, at)
        rows.append((row, owner, work))
    return rows, (page[-1].created, page[-1].id) if len(page) == PAGE else None


def tasks(read: ReadTransaction, pipeline: str, job: str) -> list[Task]:
    """Return what workers have claimed, by pipeline, job and position.

    Args:
        read: a snapshot.
        pipeline: only of the pipeline with this full name, of all when empty.
        job: only of jobs with this id, of all when empty.
    """
    conn = read.conn
    listed: list[Task] = []
    for claim in claim_rows.held_claims(conn):
        row = jobs.by_id(conn, claim.job_id)
        owner = pipelines.by_id(conn, row.pipeline_id) if row is not None else None
        if row is not None and owner is not None and pipeline in ("", str(owner)) and job in ("", row.set_id):
            listed.append(Task(claim, row, str(owner)))
    return sorted(listed, key=lambda task: (task.pipeline, task.job.id, task.claim.start))


def by_machine(read: ReadTransaction) -> Mapping[str, list[tuple[str, str]]]:
    """Return the id and the pipeline of the workers on each machine, by its name."""
    owners = {row.id: str(row) for row in pipelines.list_all(read.conn, [])}
    result: dict[str, list[tuple[str, str]]] = {}
    for row in workers.list_all(read.conn):
        if row.machine is not None:
            result.setdefault(row.machine["name"], []).append((row.id, owners[row.pipeline_id]))
    return result


def on_joined(read: ReadTransaction) -> dict[str, str]:
    """Return the machines, by name, of the workers that run on machines which have joined."""
    return {
        row.id: row.machine["name"]
        for row in workers.list_all(read.conn)
        if row.machine is not None and row.machine["kind"] == "joined"
    }


def events(read: ReadTransaction, since: float) -> list[WorkerEvent]:
    """Return what happened to workers from a time on (seconds since the epoch), oldest first."""
    owners = {row.id: row for row in pipelines.list_all(read.conn, [])}
    rows = workers.events(read.conn, since, EVENTS)
    return [WorkerEvent(row, owners[row.pipeline_id]) for row in rows]
