"""Datum sums: what a worker's completed datums add up to (docs/design/console.md, "Sums of datums"). All pure.

A sum is made with each completion and stored as one row, so that summaries of a job cost its completions and not its
datums. A sum of few datums lists them all. One of more has sketches of their durations and sizes, and lists only those
that a reader looks for: what did not succeed, and the slowest. Sums of a worker that follow each other can be merged.

A sketch counts values in logarithmic buckets, eight per octave, so that a quantile is off by 4.5 % at most (the idea of
DDSketch, Masson, Rim and Lee, 2019).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta.datum_sums import NewSum
from trunkline.model.states import DatumState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.meta.datum_sums import SumRow

#: Datums up to which a sum lists all.
LISTED = 16
#: Of a larger sum: the slowest that it lists, and the most that did not succeed.
SLOWEST, PROBLEMS = 8, 64
#: Buckets per octave, and by how much a quantile may be off.
_OCTAVE = 8
ERROR = 2 ** (0.5 / _OCTAVE) - 1
#: How states are stored.
_CODES = {DatumState.SUCCESS: 0, DatumState.FAILED: 1, DatumState.RECOVERED: 2}
_STATES = {code: state for state, code in _CODES.items()}


class SummedDatum(Struct, frozen=True, array_like=True, gc=False):
    """A datum that a sum lists. Times are microseconds."""

    #: In what the job runs (``pps.todos``).
    position: int
    code: int
    #: From the begin of the sum, and until its end by the worker's clock.
    offset: int
    wall: int
    #: Download, process and upload time together.
    duration: int
    input_bytes: int
    output_bytes: int

    @property
    def state(self) -> DatumState:
        """Return what became of it."""
        return _STATES[self.code]


class Sketch(Struct, frozen=True, array_like=True, gc=False):
    """A distribution of values that are 0 or more."""

    least: int
    largest: int
    #: How many values are in each bucket.
    buckets: dict[int, int]


class Body(Struct, frozen=True, array_like=True, gc=False):
    """What a row stores of a sum beside its counters."""

    #: First position and number of the runs of positions that it sums up.
    runs: list[tuple[int, int]]
    #: By position.
    datums: list[SummedDatum]
    #: None: all datums are listed.
    seconds: Sketch | None = None
    input_bytes: Sketch | None = None
    output_bytes: Sketch | None = None


_DECODER = msgspec.msgpack.Decoder(Body)
_ENCODER = msgspec.msgpack.Encoder()


def decode(data: bytes) -> Body:
    """Return the body of a row."""
    return _DECODER.decode(data)


class Measured(Struct, frozen=True, gc=False):
    """What is known of a datum that ran."""

    state: DatumState
    #: Nanoseconds of download, process and upload together.
    duration_ns: int
    input_bytes: int
    output_bytes: int
    #: By the worker's clock, seconds since the epoch; 0 when not known.
    started: float = 0.0
    finished: float = 0.0


def sum_of(first: int, measured: Sequence[Measured], now: float) -> NewSum:
    """Return the sum of datums that one completion records.

    Args:
        first: position of the first one.
        measured: at least one, in the order of their positions.
        now: seconds since the epoch; the end of datums whose times are not known, and of those of a worker whose clock
            is ahead.
    """
    last = measured[-1]
    has_times = all(0 < each.started <= each.finished for each in measured)
    if has_times:
        begin, end = min(each.started for each in measured), last.finished
        shift = max(0.0, end - now)
    else:
        end, shift = now, 0.0
        begin = now - sum(each.duration_ns for each in measured) / 1e9
    datums, offset, busy = [], 0, 0
    for position, each in enumerate(measured, first):
        duration = each.duration_ns // 1000
        if has_times:
            offset, wall = round((each.started - begin) * 1e6), round((each.finished - each.started) * 1e6)
        else:
            wall = duration
        datums.append(
            SummedDatum(
                position, _CODES[each.state], offset, wall, duration, each.input_bytes, each.output_bytes
            )
        )
        offset += wall
        busy += wall
    states = [each.state for each in measured]
    return NewSum(
        begin=begin - shift,
        end=end - shift,
        count=len(measured),
        failed=states.count(DatumState.FAILED),
        recovered=states.count(DatumState.RECOVERED),
        busy=busy / 1e6,
        body=_ENCODER.encode(_body([(first, len(measured))], datums)),
    )


def merged(sums: Sequence[tuple[SumRow, bytes]]) -> NewSum:
    """Return the sum of several sums of a worker, at least one."""
    rows = [row for row, _ in sums]
    begin = min(row.begin for row in rows)
    bodies = [decode(data) for _, data in sums]
    datums: list[SummedDatum] = []
    for row, body in zip(rows, bodies, strict=True):
        shift = round((row.begin - begin) * 1e6)
        datums += (replace(datum, offset=datum.offset + shift) for datum in body.datums)
    runs = _joined([run for body in bodies for run in body.runs])
    count = sum(row.count for row in rows)
    if len(datums) == count:
        body = _body(runs, datums)
    else:
        columns = zip(*map(_sketches, bodies), strict=True)
        body = Body(runs, _notable(datums), *map(_together, columns))
    return NewSum(
        begin=begin,
        end=max(row.end for row in rows),
        count=count,
        failed=sum(row.failed for row in rows),
        recovered=sum(row.recovered for row in rows),
        busy=sum(row.busy for row in rows),
        body=_ENCODER.encode(body),
    )


def _body(runs: list[tuple[int, int]], datums: list[SummedDatum]) -> Body:
    """Return the body of a sum whose datums are all known."""
    datums.sort(key=_position)
    if len(datums) <= LISTED:
        return Body(runs, datums)
    return Body(
        runs,
        _notable(datums),
        _sketch(each.duration for each in datums),
        _sketch(each.input_bytes for each in datums),
        _sketch(each.output_bytes for each in datums),
    )


def _sketches(body: Body) -> tuple[Sketch, Sketch, Sketch]:
    if body.seconds is not None and body.input_bytes is not None and body.output_bytes is not None:
        return body.seconds, body.input_bytes, body.output_bytes
    return (
        _sketch(each.duration for each in body.datums),
        _sketch(each.input_bytes for each in body.datums),
        _sketch(each.output_bytes for each in body.datums),
    )


def _position(datum: SummedDatum) -> int:
    return datum.position


def _notable(datums: list[SummedDatum]) -> list[SummedDatum]:
    """Return the datums that did not succeed and the slowest, by position."""
    problems = [each for each in datums if each.code][:PROBLEMS]
    slowest = sorted(datums, key=lambda each: each.duration, reverse=True)[:SLOWEST]
    return sorted({each.position: each for each in (*problems, *slowest)}.values(), key=_position)


def _joined(runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return runs sorted, those that touch each other as one."""
    joined: list[tuple[int, int]] = []
    for first, count in sorted(runs):
        if joined and sum(joined[-1]) == first:
            joined[-1] = (joined[-1][0], joined[-1][1] + count)
        else:
            joined.append((first, count))
    return joined


def _sketch(values: Iterable[int]) -> Sketch:
    buckets: dict[int, int] = {}
    least, largest = None, 0
    for value in values:
        bucket = int(math.log2(value) * _OCTAVE) if value > 0 else -1
        buckets[bucket] = buckets.get(bucket, 0) + 1
        if least is None or value < least:
            least = value
        if value > largest:
            largest = value
    return Sketch(least or 0, largest, buckets)


def _together(sketches: Sequence[Sketch]) -> Sketch:
    buckets: dict[int, int] = {}
    for sketch in sketches:
        for bucket, count in sketch.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    return Sketch(min(each.least for each in sketches), max(each.largest for each in sketches), buckets)


class FiveNumbers(Struct, frozen=True):
    """Least, quartiles and largest of values."""

    count: int
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    largest: float
    #: By what share the quartiles may be off.
    error: float


class Distribution:
    """Values of many sums, exact as long as all of them list their datums."""

    def __init__(self) -> None:
        self._values: list[int] = []
        self._sketches: list[Sketch] = []

    def add_values(self, values: Iterable[int]) -> None:
        """Add single values."""
        self._values += values

    def add(self, sketch: Sketch) -> None:
        """Add the values of a sketch."""
        self._sketches.append(sketch)

    def five_numbers(self, unit: float) -> FiveNumbers | None:
        """Return the summary; None without values.

        Args:
            unit: what values are multiplied with.
        """
        points: list[tuple[float, int]] = [(value, 1) for value in self._values]
        ends = [*self._values]
        if self._sketches:
            together = _together(self._sketches)
            ends += (together.least, together.largest)
            points += (
                (2 ** ((bucket + 0.5) / _OCTAVE) if bucket >= 0 else 0.0, count)
                for bucket, count in together.buckets.items()
            )
        if not points:
            return None
        points.sort()
        least, largest = min(ends), max(ends)
        ranks = list(accumulate(count for _, count in points))

        def at(share: float) -> float:
            value = points[bisect_right(ranks, int(share * (ranks[-1] - 1)))][0]
            return min(max(value, least), largest) * unit

        return FiveNumbers(
            ranks[-1],
            least * unit,
            at(0.25),
            at(0.5),
            at(0.75),
            largest * unit,
            ERROR if self._sketches else 0.0,
        )


def has(body: Body, position: int) -> bool:
    """Return whether a sum has the datum at a position."""
    at = bisect_right(body.runs, position, key=lambda run: run[0])
    return at > 0 and position < sum(body.runs[at - 1])
