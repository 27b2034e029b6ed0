"""What the workers of a job have cost: the time they existed, and the price of the machines they were on.

Every second of a worker counts for exactly one job of its pipeline: from a job's creation until the next
one's, so that the wait for a machine and the idle time behind the work are on the bill of the job that caused
them. Prices and rules are ``scaling.rates``; this module only adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.meta import jobs, pipelines, workers
from trunkline.model.workers import Machine
from trunkline.pps.pipelines import find
from trunkline.pps.spec_cache import memory_request
from trunkline.scaling import rates
from trunkline.scaling.prices import billed

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs


#: Jobs returned when the request does not say how many.
COSTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
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


def list_costs(
    read: ReadTransaction, specs: Specs, *, project: str, pipeline: str, job_id: str, number: int
) -> list[Cost]:
    """Return what jobs have cost, newest first.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        project: of this project's pipelines.
        pipeline: only of this pipeline, when given.
        job_id: only the jobs of this id, when given.
        number: at most so many; ``COSTS`` when 0.

    Raises:
        NotFound: there is no such pipeline.
    """
    conn = read.conn
    rows = [find(conn, project, pipeline)] if pipeline else pipelines.list_all(conn, [project])
    found = jobs.page(conn, pipeline_ids=[row.id for row in rows], set_id=job_id, number=number or COSTS)
    return [_cost(conn, specs, job, read.now) for job in found]


def _cost(conn: sa.Connection, specs: Specs, job: JobRow, now: float) -> Cost:
    pipeline = pipelines.by_id(conn, job.pipeline_id)
    assert pipeline is not None
    spec = specs.of(conn, job.pipeline_id, job.version)
    end = jobs.next_created(conn, job.pipeline_id, job.id) or now
    there = [
        workers.PastRow(row.created, row.ready, now, row.machine)
        for row in workers.of_pipeline(conn, job.pipeline_id)
    ]
    seconds = dollars = unpriced = 0.0
    pretended = False
    for worker in (*there, *workers.past(conn, job.pipeline_id, job.created)):
        lasted = _overlap(worker.created, worker.ended, job.created, end)
        if not lasted:
            continue
        seconds += lasted
        machine = Machine(**worker.machine) if worker.machine is not None else None
        if machine is None or machine.kind == "local":
            continue  # it never came, or it is ours already
        pretended = pretended or machine.pretended
        rate = rates.per_hour(machine)
        if rate is None:
            unpriced += lasted
            continue
        paid_from = max(worker.created, machine.created)
        paid = _overlap(paid_from, worker.ended, job.created, end)
        if paid:
            whole = worker.ended - paid_from
            bill = billed(whole * machine.speed, rate) * _share(machine, spec)
            dollars += bill * paid / whole  # what falls to this job
    return Cost(
        pipeline=pipeline,
        job=job,
        worker_seconds=seconds,
        work_seconds=(job.download_ns + job.process_ns + job.upload_ns) / 1e9,
        dollars=dollars,
        unpriced_seconds=unpriced,
        pretended=pretended,
    )


def _overlap(begun: float, ended: float, start: float, end: float) -> float:
    return max(0.0, min(ended, end) - max(begun, start))


def _share(machine: Machine, spec: PipelineSpec) -> float:
    """Return the part of a machine that a worker takes: of whatever it takes most."""
    if machine.kind == "fargate" or not (machine.cpu and machine.memory):
        return 1.0
    wanted = spec.resource_requests
    cpu = (wanted.cpu or 0.0) if wanted is not None else 0.0
    return min(1.0, max(cpu / machine.cpu, memory_request(spec) / machine.memory))
