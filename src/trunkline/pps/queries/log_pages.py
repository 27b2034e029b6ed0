"""Windows of a log, lines that contain a text, and lines over time (docs/design/console.md, "Logs").

The log of a pipeline, job, worker or datum is its batches in the order they came. The position of a line is the number
of its batch and its place in it. Batches are compressed lines of JSON; what is read or searched of them is looked at as
bytes, and only lines that are returned are parsed.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import zstandard
from msgspec import Struct
from msgspec.json import Decoder

from trunkline import errors
from trunkline.meta import event_log, jobs
from trunkline.meta import logs as batches
from trunkline.model import limits, logql
from trunkline.pps import datum_sums
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.logs import Line
from trunkline.pps.queries import datum_summary
from trunkline.pps.queries.job_datums import JobDatums
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.logs import BatchInfo
    from trunkline.model.events import Position
    from trunkline.model.names import JobName, PipelineName
    from trunkline.pfs.repository import VersionedStore

#: Lines of a window on each side when the request does not say, hits with their lines, slices of a histogram.
LINES, HITS, WIDTH = 200, 1_000, 200
#: Batches whose data is read at a time.
_BATCHES = 16
#: Seconds by which lines of a datum may be outside of the time that it ran.
_LATE = 60.0
_LINES = Decoder(tuple[str, float, str, bool])


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


class Window(Struct, frozen=True):
    """Lines of a log that follow each other."""

    lines: Sequence[LogLine]
    #: Of all lines, and before the first one.
    total: int
    before: int
    #: Lines before the begin were removed by retention.
    is_expired: bool
    #: The newest event that the window includes.
    event: Position


class Place(Struct, frozen=True, kw_only=True):
    """Where a window of a log is."""

    #: A position; the first line with it or after it. Empty: that of the other fields.
    position: str = ""
    #: Number of a line, from 0.
    number: int | None = None
    #: The first line of this time or later, seconds since the epoch.
    since: float | None = None
    from_begin: bool = False
    #: Lines before that place and from it on.
    before: int = 0
    after: int = 0


class Hits(Struct, frozen=True):
    """Lines that match, as they are found."""

    lines: Sequence[LogLine]
    #: So far.
    total: int
    is_done: bool


class Histogram(Struct, frozen=True):
    """Lines over time."""

    #: Seconds since the epoch.
    begin: float
    end: float
    #: In each slice.
    lines: Sequence[int]


class _Log(Struct, frozen=True):
    """A log as it was read: its batches, and which of their lines belong to it."""

    batches: Sequence[BatchInfo]
    datum: str
    job_ids: dict[int, str]
    begin: float
    oldest: tuple[int, float] | None
    event: Position


def window(versions: VersionedStore, name: LogName, place: Place) -> Window:
    """Return lines around a place of a log; without one, its last lines. Blocks.

    Args:
        versions: the store.
        name: the log.
        place: where.

    Raises:
        NotFound: there is no such pipeline or job.
        InvalidArgument: the position is not one of a line.
    """
    log = _open(versions, name)
    reader = _Reader(versions, log)
    total = reader.total
    if place.position:
        at = reader.number_of(_parsed(place.position))
    elif place.number is not None:
        at = min(max(0, place.number), total)
    elif place.since is not None:
        at = reader.first_since(place.since)
    else:
        at = 0 if place.from_begin else total
    before = place.before or (LINES if at == total and not place.after else 0)
    after = place.after or (LINES if not place.before else 0)
    first = max(0, at - before)
    lines = list(reader.lines(first, min(total, at + after)))
    oldest = log.oldest
    is_expired = oldest is not None and oldest[0] > 1 and log.begin < oldest[1]
    return Window(lines, total, first, is_expired, log.event)


class Pattern(Struct, frozen=True, kw_only=True):
    """What to look for in lines."""

    text: str
    #: It is an expression of RE2.
    is_expression: bool = False
    match_case: bool = False


def search(
    versions: VersionedStore,
    name: LogName,
    pattern: Pattern,
    *,
    begin: float | None = None,
    end: float | None = None,
    number: int = 0,
) -> Generator[Hits]:
    """Yield the lines that match, in the order of the log, as they are found; all are counted. Blocks between them.

    Args:
        versions: the store.
        name: the log.
        pattern: what to look for.
        begin: only lines of this time or later, seconds since the epoch.
        end: only lines before this time.
        number: how many are returned with their text; 0: ``HITS``.

    Raises:
        NotFound: there is no such pipeline or job.
        InvalidArgument: the text is empty or too long, or the expression is not valid.
    """
    if not pattern.text:
        raise errors.InvalidArgument("the text to look for is empty; send at least one character")
    limits.check_text(pattern.text, limits.LOG_QUERY, "the text to look for")
    places_of = _finder(pattern)
    log = _open(versions, name)
    reader = _Reader(versions, log)
    number = number or HITS
    some = [
        batch
        for batch in log.batches
        if (begin is None or batch.last_ts >= begin) and (end is None or batch.first_ts < end)
    ]
    total = returned = 0
    is_bounded = begin is not None or end is not None
    prefix = _prefix(log.datum)
    for batch, data in reader.data(some):
        hits = []
        for place, start, stop in places_of(data):
            if prefix and not data.startswith(prefix, start):
                continue
            if is_bounded or returned < number:
                line = _line(log, batch, data[start:stop])
                if (begin is not None and line.ts < begin) or (end is not None and line.ts >= end):
                    continue
                if returned < number:
                    hits.append(LogLine(batch.id, place, line))
                    returned += 1
            total += 1
        if hits:
            yield Hits(hits, total, False)
    yield Hits((), total, True)


def histogram(
    versions: VersionedStore, name: LogName, begin: float | None, end: float | None, width: int
) -> Histogram:
    """Return how many lines a log has over time; lines of a batch count as spread over its time. Blocks.

    Args:
        versions: the store.
        name: the log.
        begin: seconds since the epoch; None: that of the log.
        end: likewise.
        width: number of slices; 0: ``WIDTH``.

    Raises:
        NotFound: there is no such pipeline or job.
    """
    log = _open(versions, name)
    width = min(width or WIDTH, limits.PAGE)
    spans = [(batch.first_ts, batch.last_ts, batch.lines) for batch in log.batches]
    if log.datum:
        lines = _Reader(versions, log).all_lines()
        spans = [(line.line.ts, line.line.ts, 1) for line in lines]
    first = begin if begin is not None else min((span[0] for span in spans), default=log.begin)
    last = max(end if end is not None else max((span[1] for span in spans), default=first), first + 0.001)
    counts, scale = [0.0] * width, width / (last - first)
    for low, high, count in spans:
        start, stop = (low - first) * scale, (high - first) * scale
        if high < first or low > last:
            continue
        if stop - start < 1:
            counts[min(width - 1, max(0, int(start)))] += count
            continue
        for at in range(max(0, int(start)), min(width, int(stop) + 1)):
            counts[at] += count * (min(stop, at + 1) - max(start, at)) / (stop - start)
    totals = [0, *(round(total) for total in accumulate(counts))]  # so that the slices add up to all lines
    return Histogram(first, last, [after - before for before, after in pairwise(totals)])


def _open(versions: VersionedStore, name: LogName) -> _Log:
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
    return _Log(near, log.datum, log.job_ids, log.begin, log.oldest, log.event)


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


def _look(conn: sa.Connection, name: LogName) -> _Log:
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
    return _Log(infos, name.datum, job_ids, begin, batches.oldest(conn), event_log.newest(conn))


class _Reader:
    """Reads the lines of a log by their numbers."""

    def __init__(self, versions: VersionedStore, log: _Log) -> None:
        self._versions = versions
        self._log = log
        self._prefix = _prefix(log.datum)
        counts = [batch.lines for batch in log.batches]
        if self._prefix:
            counts = [len(self._places(data)) for _, data in self.data(log.batches, all_of_them=True)]
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
            [(_, data)] = self.data([self._log.batches[at]], all_of_them=True)
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

    def all_lines(self) -> Iterator[LogLine]:
        """Yield all lines."""
        return self.lines(0, self.total)

    def lines(self, first: int, stop: int) -> Iterator[LogLine]:
        """Yield the lines from one number to another."""
        at = bisect_right(self._ends, first)
        chosen = []
        while at < len(self._ends) and (self._ends[at - 1] if at else 0) < stop:
            chosen.append(at)
            at += 1
        read = self.data([self._log.batches[number] for number in chosen], all_of_them=True)
        for number, (batch, data) in zip(chosen, read, strict=True):
            start = self._ends[number - 1] if number else 0
            for place, begin, end in self._places(data)[max(0, first - start) : stop - start]:
                yield LogLine(batch.id, place, _line(self._log, batch, data[begin:end]))

    def data(
        self, some: Sequence[BatchInfo], *, all_of_them: bool = False
    ) -> Iterator[tuple[BatchInfo, bytes]]:
        """Yield batches with their lines.

        Args:
            some: the batches.
            all_of_them: yield a batch that was removed meanwhile too, without lines.
        """
        decompressor = zstandard.ZstdDecompressor()  # one may not be used by two threads at once
        for start in range(0, len(some), _BATCHES):
            cancellation.check()
            part = some[start : start + _BATCHES]
            packed = self._versions.read(
                lambda conn, ids: [batches.data(conn, each) for each in ids], [each.id for each in part]
            )
            for batch, content in zip(part, packed, strict=True):
                if content is not None:
                    yield batch, decompressor.decompress(content)
                elif all_of_them:
                    yield batch, b""

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


def _prefix(datum: str) -> bytes:
    """Return how the stored lines of a datum begin; empty for all lines."""
    return f'["{datum}",'.encode() if datum else b""


def _line(log: _Log, batch: BatchInfo, text: bytes) -> Line:
    datum, ts, message, user = json.loads(text)
    job = log.job_ids.get(batch.job_id, "") if batch.job_id is not None else ""
    return Line(datum, ts, message, user, batch.worker_id, job)


def _parsed(position: str) -> tuple[int, int]:
    batch, dot, place = position.partition(".")
    if not (dot and batch.isascii() and batch.isdigit() and place.isascii() and place.isdigit()):
        raise errors.InvalidArgument(
            f'"{position[:100]}" is not the position of a line; send one that a line has, such as 17.4'
        )
    return int(batch), int(place)


def _finder(pattern: Pattern) -> Callable[[bytes], Iterator[tuple[int, int, int]]]:
    """Return what yields place, begin and end of the matching lines of a batch."""
    text = pattern.text
    if pattern.is_expression:
        expression = text if pattern.match_case else f"(?i){text}"
        matches, may_match = logql.line_filter(expression, negated=False), logql.block_filter(expression)
        return lambda data: _tested(data, matches, may_match)
    if not pattern.match_case and not text.isascii():
        folded = text.casefold()
        return lambda data: _tested(data, lambda message: folded in message.casefold())
    # As JSON writes it, so that a stored line need not be parsed.
    needle = json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="surrogatepass")
    if pattern.match_case:
        return lambda data: _containing(data, data, needle)
    return lambda data: _containing(data, data.lower(), needle.lower())


def _tested(
    data: bytes, matches: Callable[[str], bool], may_match: Callable[[str], bool] | None = None
) -> Iterator[tuple[int, int, int]]:
    """Yield the lines whose message passes a test.

    Args:
        data: stored lines: JSON lists of datum, time, message and source.
        matches: the test of a message.
        may_match: the test of all messages at once, which is much cheaper; None: there is none.
    """
    messages = [line[2] for line in _LINES.decode_lines(data)]
    if may_match is not None and not may_match("\n".join(messages)):
        return
    start = 0
    for place, (line, message) in enumerate(zip(data.split(b"\n"), messages, strict=True)):
        if matches(message):
            yield place, start, start + len(line)
        start += len(line) + 1


def _containing(data: bytes, searched: bytes, needle: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the lines whose message contains bytes.

    Args:
        data: stored lines: JSON lists of datum, time, message and source.
        searched: ``data``, in lower case unless case counts.
        needle: the bytes.
    """
    place = start = 0
    hit = searched.find(needle)
    while hit >= 0:
        begin = data.rfind(b"\n", start, hit) + 1 or start
        place += data.count(b"\n", start, begin)
        start = begin
        end = data.find(b"\n", hit)
        end = len(data) if end < 0 else end
        message, stop = data.find(b', "', begin, end) + 3, data.rfind(b'", ', begin, end)
        if hit < message:
            hit = searched.find(needle, message, stop)
        if message <= hit and hit + len(needle) <= stop:
            yield place, begin, end
        hit = searched.find(needle, end)
