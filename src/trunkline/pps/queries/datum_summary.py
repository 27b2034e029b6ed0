"""The datums of a job in numbers: how many in which state, quartiles of their times and sizes, the slowest, the failed.

Read from the job's datum sums, so the cost is that of its completions and of the datums shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import datum_sums as sum_rows
from trunkline.meta import event_log
from trunkline.model.states import DatumState
from trunkline.pps import datum_sums
from trunkline.pps import jobs as job_ops
from trunkline.pps.datum_sums import Distribution
from trunkline.pps.queries.job_datums import JobDatums

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.datum_sums import SumRow
    from trunkline.meta.jobs import JobRow
    from trunkline.model.events import Position
    from trunkline.model.names import JobName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_sums import Body, FiveNumbers, SummedDatum
    from trunkline.pps.queries.job_datums import ListedDatum

#: Of the slowest and of the failed datums, how many are shown when the request does not say.
SHOWN = 5


class Line(Struct, frozen=True):
    """A datum with when and where it ran, as far as that is known."""

    listed: ListedDatum
    #: Seconds since the epoch.
    started: float | None = None
    worker_id: str = ""


class DatumSummary(Struct, frozen=True):
    """The datums of a job in numbers."""

    job: JobRow
    states: Mapping[DatumState, int]
    #: None when no datum has run, or an earlier release ran them.
    seconds: FiveNumbers | None
    input_bytes: FiveNumbers | None
    output_bytes: FiveNumbers | None
    slowest: Sequence[Line]
    failed: Sequence[Line]
    event: Position


class JobSums(Struct, frozen=True):
    """A job with its sums, read in one snapshot."""

    job: JobRow
    claims: Sequence[ClaimRow]
    sums: Sequence[tuple[SumRow, Body]]
    #: The newest event that the snapshot includes.
    event: Position


def look(conn: sa.Connection, name: JobName, *, bodies: bool = True) -> JobSums:
    """Return a job with its sums, or raise NotFound.

    Args:
        conn: a snapshot.
        name: the job.
        bodies: whether to read the sums, which may be thousands.
    """
    job = job_ops.find(conn, name)
    stored = sum_rows.with_bodies(conn, job.id) if bodies else []
    sums = [(row, datum_sums.decode(data)) for row, data in stored]
    return JobSums(job, claim_rows.owned_claims(conn, job.id), sums, event_log.newest(conn))


def summary(versions: VersionedStore, name: JobName, number: int = 0) -> DatumSummary:
    """Return the datums of a job in numbers. Blocks.

    Args:
        versions: the store.
        name: the job.
        number: of the slowest and of the failed datums; 0: ``SHOWN``.

    Raises:
        NotFound: there is no such job.
    """
    seen = versions.read(look, name)
    number = number or SHOWN
    datums = JobDatums(versions, seen.job)
    return DatumSummary(
        job=seen.job,
        states=states(seen.job, seen.claims),
        seconds=_numbers(seen, lambda each: each.duration, lambda body: body.seconds, 1e-6),
        input_bytes=_numbers(seen, lambda each: each.input_bytes, lambda body: body.input_bytes, 1.0),
        output_bytes=_numbers(seen, lambda each: each.output_bytes, lambda body: body.output_bytes, 1.0),
        slowest=lines(datums, seen, slowest(seen)[0][:number]),
        failed=lines(datums, seen, problems(seen)[DatumState.FAILED][:number]),
        event=seen.event,
    )


def states(job: JobRow, claims: Sequence[ClaimRow]) -> dict[DatumState, int]:
    """Return how many datums of a job are in each state that any is in.

    Args:
        job: the job.
        claims: those on its datums that workers own.
    """
    remaining = 0 if job.finished is not None and job.datums is not None else job.todo_count - job.handed_in
    held = min(remaining, sum(claim.stop - claim.done for claim in claims))
    counts = {
        DatumState.SUCCESS: job.processed,
        DatumState.SKIPPED: job.skipped,
        DatumState.FAILED: job.failed,
        DatumState.RECOVERED: job.recovered,
        DatumState.STARTING: held,
        DatumState.UNKNOWN: remaining - held,
    }
    return {state: count for state, count in counts.items() if count}


def slowest(seen: JobSums) -> tuple[list[SummedDatum], bool]:
    """Return datums of a job from the longest down, and whether these are all that ran.

    A sum that lists only its slowest hides others that took less, so the list ends where one of these may belong.
    """
    listed = [each for _, body in seen.sums for each in body.datums]
    hidden = 0
    for row, body in seen.sums:
        if row.count > len(body.datums):
            durations = sorted((each.duration for each in body.datums), reverse=True)
            hidden = max(hidden, durations[: datum_sums.SLOWEST][-1])
    whole = all(row.count == len(body.datums) for row, body in seen.sums)
    listed = [each for each in listed if each.duration >= hidden]
    return sorted(listed, key=lambda each: (-each.duration, each.position)), whole


def problems(seen: JobSums) -> dict[DatumState, list[SummedDatum]]:
    """Return the datums of a job that failed and that recovered, in the order in which they were recorded."""
    states: dict[DatumState, list[SummedDatum]] = {DatumState.FAILED: [], DatumState.RECOVERED: []}
    for _, body in seen.sums:
        for each in body.datums:
            if each.state in states:
                states[each.state].append(each)
    return states


def lines(datums: JobDatums, seen: JobSums, some: Sequence[SummedDatum]) -> list[Line]:
    """Return datums with when and where they ran. Blocks.

    Args:
        datums: reads those of the job.
        seen: the job.
        some: datums that its sums list.
    """
    places = {
        each.position: (row.begin + each.offset / 1e6, row.worker_id)
        for row, body in seen.sums
        for each in body.datums
    }
    return [
        Line(listed, *places[listed.position])
        for listed in datums.at([each.position for each in some])
        if listed.position is not None
    ]


def _numbers(
    seen: JobSums,
    value: Callable[[SummedDatum], int],
    sketch: Callable[[Body], datum_sums.Sketch | None],
    unit: float,
) -> FiveNumbers | None:
    distribution = Distribution()
    for _, body in seen.sums:
        sketched = sketch(body)
        if sketched is None:
            distribution.add_values(map(value, body.datums))
        else:
            distribution.add(sketched)
    return distribution.five_numbers(unit)
