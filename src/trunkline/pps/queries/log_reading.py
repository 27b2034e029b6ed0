"""A log as its batches: opening it, and reading its lines by number (docs/design/console.md, "Logs").

The log of a pipeline, job, worker or datum is its batches in the order they came. The position of a line is the number
of its batch and its place in it. Batches are compressed lines of JSON.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING

import zstandard
from msgspec import Struct
from msgspec.json import Decoder

from trunkline import errors
from trunkline.meta import event_log, jobs
from trunkline.meta import logs as batches
from trunkline.pps import datum_sums
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.logs import Line
from trunkline.pps.queries import datum_summary
from trunkline.pps.queries.job_datums import JobDatums
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.logs import BatchInfo
    from trunkline.model.events import Position
    from trunkline.model.names import JobName, PipelineName
    from trunkline.pfs.repository import VersionedStore

#: Batches whose data is read at a time.
_BATCHES = 16
#: Seconds by which lines of a datum may be outside of the time that it ran.
_LATE = 60.0
#: Stored lines: lists of datum, time, message and whether the user's command wrote it.
DECODER = Decoder(tuple[str, float, str, bool])


class LogName(Struct, frozen=True, kw_only=True):
    """A log."""

    pipeline: PipelineName
    #: Only lines of this job, this datum of it (hex), this worker.
    job: JobName | None = None
    datum: str = ""
    worker_id: str = ""


class LogLine(Struct, frozen=True):
    """A line of a log."""

    batch: int
    place: int
    line: Line

    @property
    def position(self) -> str:
        """Return its position as clients see it."""
        return f"{self.batch}.{self.place}"


class Log(Struct, frozen=True):
    """A log as it was read: its batches, and which of their lines belong to it."""

    batches: Sequence[BatchInfo]
    datum: str
    job_ids: dict[int, str]
    begin: float
    oldest: tuple[int, float] | None
    event: Position


def open_log(versions: VersionedStore, name: LogName) -> Log:
    """Return a log with its batches; of a datum, those of its worker in the time that it ran."""
    log = versions.read(_look, name)
    place = datum_place(versions, name.job, name.datum) if name.datum and name.job is not None else None
    if place is None:
        return log
    worker_id, begin, end = place
    near = [
        batch
        for batch in log.batches
        if batch.worker_id == worker_id and batch.last_ts >= begin - _LATE and batch.first_ts <= end + _LATE
    ]
    return Log(near, log.datum, log.job_ids, log.begin, log.oldest, log.event)


def datum_place(versions: VersionedStore, name: JobName, datum_id: str) -> tuple[str, float, float] | None:
    """Return the worker of a datum, and when it began and ended; None when that is not known. Blocks.

    Args:
        versions: the store.
        name: the job.
        datum_id: id of the datum, in hex.

    Raises:
        InvalidArgument: the id is not one of a datum.
    """
    try:
        key = bytes.fromhex(datum_id)
    except ValueError:
        raise errors.InvalidArgument(
            f'"{datum_id[:100]}" is not the id of a datum; send 64 hex digits'
        ) from None
    seen = versions.read(datum_summary.look, name)
    listed = JobDatums(versions, seen.job).get(key)
    position = listed.position if listed is not None else None
    if position is None:
        return None
    for row, body in seen.sums:
        for each in body.datums:
            if each.position == position:
                begin = row.begin + each.offset / 1e6
                return row.worker_id, begin, begin + each.wall / 1e6
        if datum_sums.has(body, position):
            return row.worker_id, row.begin, row.end
    return None


def _look(conn: sa.Connection, name: LogName) -> Log:
    pipeline = pipeline_ops.find(conn, name.pipeline.project, name.pipeline.name)
    job = job_ops.find(conn, name.job) if name.job is not None else None
    infos = batches.of_log(
        conn, pipeline_id=pipeline.id, job_id=job.id if job is not None else None, worker_id=name.worker_id
    )
    job_ids = {job.id: job.set_id} if job is not None else {}
    for number in {info.job_id for info in infos} - job_ids.keys() if job is None else ():
        row = jobs.by_id(conn, number) if number is not None else None
        if row is not None:
            job_ids[row.id] = row.set_id
    begin = job.created if job is not None else pipeline.created_at
    return Log(infos, name.datum, job_ids, begin, batches.oldest(conn), event_log.newest(conn))


def whole_text(versions: VersionedStore, name: LogName) -> Generator[bytes]:
    """Return what yields all lines of a log as text, each behind its time, in pieces. Both block.

    Args:
        versions: the store.
        name: the log.

    Raises:
        NotFound: there is no such pipeline or job.
    """
    return _texts(versions, open_log(versions, name))


def _texts(versions: VersionedStore, log: Log) -> Generator[bytes]:
    for lines in decoded_lines(versions, log):
        yield "".join(f"{_moment(ts)} {message}\n" for ts, message in lines).encode(errors="replace")


def decoded_lines(versions: VersionedStore, log: Log) -> Iterator[list[tuple[float, str]]]:
    """Yield the times and texts of a log's lines, those of a batch together."""
    for _, data in batch_data(versions, log.batches):
        lines = DECODER.decode_lines(data)
        chosen = [(ts, message) for datum, ts, message, _ in lines if not log.datum or datum == log.datum]
        if chosen:
            yield chosen


def _moment(ts: float) -> str:
    """Return a time in the form of RFC 3339, UTC, in microseconds."""
    return f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def batch_data(
    versions: VersionedStore, some: Sequence[BatchInfo], *, all_of_them: bool = False
) -> Iterator[tuple[BatchInfo, bytes]]:
    """Yield batches with their lines.

    Args:
        versions: the store.
        some: the batches.
        all_of_them: yield a batch that was removed meanwhile too, without lines.
    """
    decompressor = zstandard.ZstdDecompressor()  # one may not be used by two threads at once
    for start in range(0, len(some), _BATCHES):
        cancellation.check()
        part = some[start : start + _BATCHES]
        packed = versions.read(
            lambda conn, ids: [batches.data(conn, each) for each in ids], [each.id for each in part]
        )
        for batch, content in zip(part, packed, strict=True):
            if content is not None:
                yield batch, decompressor.decompress(content)
            elif all_of_them:
                yield batch, b""


class LogReader:
    """Reads the lines of a log by their numbers."""

    def __init__(self, versions: VersionedStore, log: Log) -> None:
        self._versions = versions
        self._log = log
        self._prefix = line_prefix(log.datum)
        counts = [batch.lines for batch in log.batches]
        if self._prefix:
            counts = [
                len(self._places(data)) for _, data in batch_data(versions, log.batches, all_of_them=True)
            ]
        #: Number of the first line after each batch.
        self._ends = list(accumulate(counts))

    @property
    def total(self) -> int:
        """Return how many lines the log has."""
        return self._ends[-1] if self._ends else 0

    def number_of(self, position: tuple[int, int]) -> int:
        """Return the number of the first line with a position or after it."""
        batch_id, place = position
        at = bisect_left(self._log.batches, batch_id, key=lambda batch: batch.id)
        if at == len(self._log.batches):
            return self.total
        start = self._ends[at - 1] if at else 0
        if self._log.batches[at].id != batch_id:
            return start
        if self._prefix:
            [(_, data)] = batch_data(self._versions, [self._log.batches[at]], all_of_them=True)
            place = bisect_left([each[0] for each in self._places(data)], place)
        return min(start + place, self._ends[at])

    def first_since(self, since: float) -> int:
        """Return the number of the first line of a time or later."""
        for at, batch in enumerate(self._log.batches):
            if batch.last_ts >= since:
                start = self._ends[at - 1] if at else 0
                lines = self.lines(start, self._ends[at])
                return start + next((number for number, each in enumerate(lines) if each.line.ts >= since), 0)
        return self.total

    def lines(self, first: int, stop: int) -> Iterator[LogLine]:
        """Yield the lines from one number to another."""
        at = bisect_right(self._ends, first)
        chosen = []
        while at < len(self._ends) and (self._ends[at - 1] if at else 0) < stop:
            chosen.append(at)
            at += 1
        some = [self._log.batches[number] for number in chosen]
        read = batch_data(self._versions, some, all_of_them=True)
        for number, (batch, data) in zip(chosen, read, strict=True):
            start = self._ends[number - 1] if number else 0
            for place, begin, end in self._places(data)[max(0, first - start) : stop - start]:
                yield LogLine(batch.id, place, parsed_line(self._log, batch, data[begin:end]))

    def _places(self, data: bytes) -> list[tuple[int, int, int]]:
        """Return place, begin and end of the lines of a batch that belong to the log."""
        places, place, start = [], 0, 0
        if not self._prefix:
            for line in data.split(b"\n") if data else ():
                places.append((place, start, start + len(line)))
                place, start = place + 1, start + len(line) + 1
            return places
        hit = 0 if data.startswith(self._prefix) else data.find(b"\n" + self._prefix) + 1 or len(data)
        while hit < len(data):
            end = data.find(b"\n", hit)
            end = len(data) if end < 0 else end
            place, start = place + data.count(b"\n", start, hit), hit
            places.append((place, hit, end))
            hit = data.find(b"\n" + self._prefix, end) + 1 or len(data)
        return places


def line_prefix(datum: str) -> bytes:
    """Return how the stored lines of a datum begin; empty for all lines."""
    return f'["{datum}",'.encode() if datum else b""


def parsed_line(log: Log, batch: BatchInfo, text: bytes) -> Line:
    """Return a stored line.

    Args:
        log: whose line it is.
        batch: that has it.
        text: the line as it is stored.
    """
    datum, ts, message, user = json.loads(text)
    job = log.job_ids.get(batch.job_id, "") if batch.job_id is not None else ""
    return Line(datum, ts, message, user, batch.worker_id, job)
