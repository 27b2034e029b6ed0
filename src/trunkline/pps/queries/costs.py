"""What the workers of a job have cost: the time they existed, and the price of the machines they were on.

Every second of a worker counts for exactly one job of its pipeline: from a job's creation until the next
one's, so that the wait for a machine and the idle time behind the work are on the bill of the job that caused
them. Prices and rules are ``scaling.rates``; this module only adds up.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import bills, jobs, pipelines, workers
from trunkline.meta.bills import BillRow
from trunkline.model.workers import Machine, memory_request
from trunkline.pps.queries import job_queries
from trunkline.scaling import rates
from trunkline.scaling.prices import MINIMUM_SECONDS, billed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.job_lines import JobLine
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import PastRow, WorkerRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.queries.job_queries import JobFilter
    from trunkline.pps.spec_cache import Specs

#: Bills settled, and past workers forgotten, in one transaction.
SETTLED, FORGOTTEN = 50, 500


#: Jobs returned when the request does not say how many.
COSTS = 20


class Cost(Struct, frozen=True, kw_only=True):
    """What a job has cost so far."""

    pipeline: PipelineRow
    job: JobRow
    #: Seconds that workers existed, starts included.
    worker_seconds: float
    #: Seconds that datums were worked on, inputs and outputs included.
    work_seconds: float
    #: US dollars for the seconds that have a price.
    dollars: float
    unpriced_seconds: float
    pretended: bool


def list_costs(versions: VersionedStore, specs: Specs, criteria: JobFilter) -> Generator[list[Cost]]:
    """Yield pages of what jobs have cost, in the order of the filter. Blocks; each page is a snapshot of its own.

    Args:
        versions: the store.
        specs: the parsed specifications.
        criteria: which jobs.

    Raises:
        NotFound: there is no such pipeline.
    """
    for page in job_queries.matching(versions, criteria):
        yield versions.query(of_jobs, specs, page)


def of_jobs(read: ReadTransaction, specs: Specs, page: Sequence[JobRow]) -> list[Cost]:
    """Return what jobs have cost so far, in their order.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        page: the jobs.
    """
    conn = read.conn
    owners = {number: pipelines.by_id(conn, number) for number in {job.pipeline_id for job in page}}
    stored = bills.of_jobs(conn, [job.id for job in page])
    for number in owners:
        unbilled = [job for job in page if job.pipeline_id == number and job.id not in stored]
        stored.update((bill.job_id, bill) for bill in unsettled(conn, specs, unbilled, read.now))
    costs = []
    for job in page:
        owner, bill = owners[job.pipeline_id], stored[job.id]
        if owner is None:
            continue  # deleted meanwhile
        costs.append(
            Cost(
                pipeline=owner,
                job=job,
                worker_seconds=bill.worker_seconds,
                work_seconds=(job.download_ns + job.process_ns + job.upload_ns) / 1e9,
                dollars=bill.dollars,
                unpriced_seconds=bill.unpriced_seconds,
                pretended=bill.pretended,
            )
        )
    return costs


def settle_bills(write: WriteTransaction, specs: Specs, pipeline_id: int) -> bool:
    """Store the next bills of a pipeline that nothing can change, and forget the past workers they were made of.

    A bill is settled when the next job exists and each worker that still is there and has a part in it has been
    paid for longer than the shortest time that is billed: from then on each second has the same price.

    Args:
        write: the transaction.
        specs: the parsed specifications.
        pipeline_id: row number of the pipeline.

    Returns:
        Whether there may be more to do at once.
    """
    conn, now = write.conn, write.now
    billed_up_to = bills.billed_up_to(conn, pipeline_id)
    page = jobs.page(
        conn, pipeline_id=pipeline_id, beyond=billed_up_to, oldest_first=True, number=SETTLED + 1
    )
    changing = [row.created for row in workers.of_pipeline(conn, pipeline_id) if not _runs_evenly(row, now)]
    end = min(changing, default=now)
    settled = [
        job
        for job, following in takewhile(
            lambda both: both[0].finished is not None and both[1].created <= end, pairwise(page)
        )
    ]
    if settled:
        bills.add(conn, pipeline_id, unsettled(conn, specs, settled, now))
    rest = page[len(settled) :]
    forgotten = bills.forget_past_workers(conn, pipeline_id, rest[0].created, FORGOTTEN) if rest else 0
    return len(settled) == SETTLED or forgotten == FORGOTTEN


def _runs_evenly(row: WorkerRow, now: float) -> bool:
    """Whether each further second of a worker has the same price."""
    if row.machine is None:
        return False
    machine = Machine(**row.machine)
    return (now - max(row.created, machine.created)) * machine.speed > MINIMUM_SECONDS


def unsettled(
    conn: sa.Connection, specs: Specs, unbilled: Sequence[JobRow | JobLine], now: float
) -> list[BillRow]:
    """Return the bills of jobs of one pipeline as of now; reads each worker once, however many jobs it served.

    Args:
        conn: a snapshot.
        specs: the parsed specifications.
        unbilled: the jobs, which have no stored bill.
        now: seconds since the epoch.
    """
    if not unbilled:
        return []
    in_order = sorted(unbilled, key=lambda job: job.created)
    pipeline_id = in_order[0].pipeline_id
    starts = [job.created for job in in_order]
    following = [jobs.next_created(conn, pipeline_id, job.id) for job in in_order]
    ends = [now if created is None else created for created in following]
    sums = [_Sum() for _ in in_order]
    versions = {job.version: specs.of(conn, pipeline_id, job.version) for job in in_order}
    present = [
        workers.PastRow(row.created, row.ready, now, row.machine)
        for row in workers.of_pipeline(conn, pipeline_id)
    ]
    for worker in (*present, *workers.past(conn, pipeline_id, starts[0], ends[-1])):
        machine = Machine(**worker.machine) if worker.machine is not None else None
        # Each job's time ends before the next one's begins: walk back until the worker did not exist yet.
        for at in range(bisect_right(starts, worker.ended) - 1, -1, -1):
            if ends[at] <= worker.created:
                break
            sums[at].add(worker, machine, (starts[at], ends[at]), versions[in_order[at].version])
    return [
        BillRow(job.id, total.seconds, total.dollars, total.unpriced, total.pretended)
        for job, total in zip(in_order, sums, strict=True)
    ]


class _Sum(Struct):
    """A bill in the making."""

    seconds: float = 0.0
    dollars: float = 0.0
    unpriced: float = 0.0
    pretended: bool = False

    def add(
        self, worker: PastRow, machine: Machine | None, span: tuple[float, float], spec: PipelineSpec
    ) -> None:
        """Add the part of a worker that falls into a job's span."""
        lasted = _overlap(worker.created, worker.ended, *span)
        self.seconds += lasted
        if not lasted or machine is None or machine.kind == "local":
            return  # it never came, or it is ours already
        self.pretended = self.pretended or machine.pretended
        rate = rates.per_hour(machine)
        if rate is None:
            self.unpriced += lasted
            return
        paid_from = max(worker.created, machine.created)
        paid = _overlap(paid_from, worker.ended, *span)
        if paid:
            whole = worker.ended - paid_from
            bill = billed(whole * machine.speed, rate) * _share(machine, spec)
            self.dollars += bill * paid / whole  # what falls to this job


def _overlap(begun: float, ended: float, start: float, end: float) -> float:
    return max(0.0, min(ended, end) - max(begun, start))


def _share(machine: Machine, spec: PipelineSpec) -> float:
    """Return the part of a machine that a worker takes: of whatever it takes most."""
    if machine.kind == "fargate" or not (machine.cpu and machine.memory):
        return 1.0
    requests = spec.resource_requests
    cpu = (requests.cpu or 0.0) if requests is not None else 0.0
    return min(1.0, max(cpu / machine.cpu, memory_request(spec) / machine.memory))
