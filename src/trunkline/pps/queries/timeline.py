"""What the workers of a job did when: for each a lane with the share of each slice of time in which datums ran.

Read from the job's datum sums, so the cost is that of its completions. Where few datums are in the range, they come one
by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import datum_sums as sum_rows
from trunkline.meta import event_log, workers
from trunkline.model.states import DatumState
from trunkline.pps import datum_sums
from trunkline.pps import jobs as job_ops

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.datum_sums import SumRow
    from trunkline.meta.jobs import JobRow
    from trunkline.model.events import Position
    from trunkline.model.names import JobName
    from trunkline.pfs.repository import VersionedStore

#: Slices and lanes of a timeline when the request does not say, and the most.
WIDTH, MOST_WIDTH = 1_000, 4_000
LANES = 200
#: Datums in range up to which they come one by one, and sums of several.
SINGLE = 2_000


class Bar(Struct, frozen=True):
    """A datum, or several that follow each other."""

    #: Position in what the job runs, of the first.
    position: int
    #: Seconds since the epoch.
    begin: float
    end: float
    state: DatumState
    count: int = 1
    failed: int = 0


class Lane(Struct, frozen=True):
    """What one worker did."""

    worker_id: str
    #: Name of its machine; empty when it is gone.
    machine: str
    #: Datums that ended in the range.
    datums: int
    #: For each slice, the share of it in which a datum ran, from 0 to 255.
    busy: bytes
    #: How many failed in a slice, by its number.
    failures: Mapping[int, int]
    #: None: too many are in range.
    bars: Sequence[Bar] | None


class Timeline(Struct, frozen=True):
    """Lanes over a time range."""

    job: JobRow
    #: Seconds since the epoch.
    begin: float
    end: float
    width: int
    lanes: Sequence[Lane]
    lanes_total: int
    event: Position


class Range(Struct, frozen=True, kw_only=True):
    """What of a job's timeline to return."""

    #: Seconds since the epoch; None: that of the job.
    begin: float | None = None
    end: float | None = None
    #: 0: ``WIDTH``, ``LANES``.
    width: int = 0
    lanes: int = 0


class _Seen(Struct, frozen=True):
    job: JobRow
    sums: Sequence[SumRow]
    claims: Sequence[ClaimRow]
    machines: Mapping[str, str]
    event: Position


def timeline(versions: VersionedStore, name: JobName, extent: Range) -> Timeline:
    """Return the timeline of a job. Blocks.

    Args:
        versions: the store.
        name: the job.
        extent: what of it.

    Raises:
        NotFound: there is no such job.
    """
    seen = versions.read(_look, name)
    now = versions.clock.now()
    begin, end = _bounds(seen, extent, now)
    width = min(extent.width or WIDTH, MOST_WIDTH)
    inside = [row for row in seen.sums if row.end >= begin and row.begin <= end]
    running = {
        claim.worker_id: claim
        for claim in seen.claims
        if claim.worker_id is not None and claim.datum_started is not None and claim.datum_started <= end
    }
    by_worker: dict[str, list[SumRow]] = {}
    for row in inside:
        by_worker.setdefault(row.worker_id, []).append(row)
    for worker_id in running:
        by_worker.setdefault(worker_id, [])
    chosen = _chosen(by_worker, min(extent.lanes or LANES, LANES))
    bars = _bars(versions, [row for worker_id in chosen for row in by_worker[worker_id]], begin, end)
    lanes = []
    for worker_id in chosen:
        rows, claim = by_worker[worker_id], running.get(worker_id)
        current = _running_bar(claim, now) if claim is not None else None
        own = None if bars is None else [bar for row in rows for bar in bars[row.id]]
        if own is not None and current is not None:
            own.append(current)
        lanes.append(
            Lane(
                worker_id,
                seen.machines.get(worker_id, ""),
                sum(row.count for row in rows),
                _density(rows, current, begin, end, width),
                _failures(rows, begin, end, width),
                own,
            )
        )
    return Timeline(seen.job, begin, end, width, lanes, len(by_worker), seen.event)


def _look(conn: sa.Connection, name: JobName) -> _Seen:
    job = job_ops.find(conn, name)
    present = workers.of_pipeline(conn, job.pipeline_id)
    machines = {row.id: str((row.machine or {}).get("name", "")) for row in present}
    return _Seen(
        job,
        sum_rows.of_job(conn, job.id),
        claim_rows.owned_claims(conn, job.id),
        machines,
        event_log.newest(conn),
    )


def _bounds(seen: _Seen, extent: Range, now: float) -> tuple[float, float]:
    """Return the range that is shown: at least a millisecond."""
    job = seen.job
    first = min((row.begin for row in seen.sums), default=job.first_claim or job.started or job.created)
    last = max((row.end for row in seen.sums), default=first)
    if job.finished is None:
        last = max(last, now)
    begin = extent.begin if extent.begin is not None else first
    end = extent.end if extent.end is not None else last
    return begin, max(end, begin + 0.001)


def _chosen(by_worker: Mapping[str, Sequence[SumRow]], number: int) -> list[str]:
    """Return the workers that are shown, in the order of their begins: those with failures, and the busiest."""
    ranked = sorted(
        by_worker,
        key=lambda worker_id: (
            -sum(row.failed for row in by_worker[worker_id]),
            -sum(row.busy for row in by_worker[worker_id]),
        ),
    )
    order = {worker_id: number for number, worker_id in enumerate(by_worker)}
    return sorted(ranked[:number], key=lambda worker_id: order[worker_id])


def _density(rows: Sequence[SumRow], current: Bar | None, begin: float, end: float, width: int) -> bytes:
    """Return the share of each slice in which a datum ran."""
    seconds, scale = [0.0] * width, width / (end - begin)
    spans = [(row.begin, row.end, row.busy) for row in rows]
    if current is not None:
        spans.append((current.begin, current.end, current.end - current.begin))
    for first, last, busy in spans:
        low, high = (first - begin) * scale, (last - begin) * scale
        if high - low < 1e-9:
            continue
        per_slice = min(busy, last - first) * scale / (high - low)
        start, stop = max(0, int(low)), min(width, int(high) + 1)
        for number in range(start, stop):
            seconds[number] += (min(high, number + 1) - max(low, number)) * per_slice
    return bytes(min(255, round(share * 255) or (1 if share > 0 else 0)) for share in seconds)


def _failures(rows: Sequence[SumRow], begin: float, end: float, width: int) -> dict[int, int]:
    failures: dict[int, int] = {}
    for row in rows:
        number = int((row.end - begin) / (end - begin) * width)
        if row.failed and 0 <= number <= width:
            number = min(number, width - 1)
            failures[number] = failures.get(number, 0) + row.failed
    return failures


def _bars(
    versions: VersionedStore, rows: Sequence[SumRow], begin: float, end: float
) -> dict[int, list[Bar]] | None:
    """Return the bars of each sum in range; None when there are too many."""
    if len(rows) > SINGLE:
        return None
    bars: dict[int, list[Bar]] = {}
    count = 0
    for row, data in zip(rows, versions.read(sum_rows.bodies, [row.id for row in rows]), strict=True):
        bars[row.id] = []
        if data is None:
            continue  # it was merged meanwhile
        body = datum_sums.decode(data)
        if row.count > len(body.datums):
            state = DatumState.FAILED if row.failed else DatumState.SUCCESS
            bars[row.id].append(Bar(body.runs[0][0], row.begin, row.end, state, row.count, row.failed))
        for datum in body.datums:
            first = row.begin + datum.offset / 1e6
            last = first + datum.wall / 1e6
            if last >= begin and first <= end:
                failed = int(datum.state is DatumState.FAILED)
                bars[row.id].append(Bar(datum.position, first, last, datum.state, failed=failed))
        count += len(bars[row.id])
    return bars if count <= SINGLE else None


def _running_bar(claim: ClaimRow, now: float) -> Bar:
    """Return the bar of the datum that a worker runs."""
    started = min(claim.datum_started or now, now)
    return Bar(claim.datum_position or claim.done, started, now, DatumState.STARTING)
