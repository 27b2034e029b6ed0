"""Windows of a log, lines that contain a text, and lines over time (docs/design/console.md, "Logs").

What is read or searched of a log's batches is looked at as bytes, and only lines that are returned are parsed.
"""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.model import limits, logql
from trunkline.pps.queries.log_reading import (
    DECODER,
    LogLine,
    LogReader,
    batch_data,
    decoded_lines,
    line_prefix,
    open_log,
    parsed_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from trunkline.model.events import Position
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.queries.log_reading import LogName

#: Lines of a window on each side when the request does not say, hits with their lines, slices of a histogram.
LINES, HITS, WIDTH = 200, 1_000, 200


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
    log = open_log(versions, name)
    reader = LogReader(versions, log)
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
    log = open_log(versions, name)
    number = number or HITS
    some = [
        batch
        for batch in log.batches
        if (begin is None or batch.last_ts >= begin) and (end is None or batch.first_ts < end)
    ]
    total = returned = 0
    is_bounded = begin is not None or end is not None
    prefix = line_prefix(log.datum)
    for batch, data in batch_data(versions, some):
        hits = []
        for place, start, stop in places_of(data):
            if prefix and not data.startswith(prefix, start):
                continue
            if is_bounded or returned < number:
                line = parsed_line(log, batch, data[start:stop])
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
    log = open_log(versions, name)
    width = min(width or WIDTH, limits.PAGE)
    spans = [(batch.first_ts, batch.last_ts, batch.lines) for batch in log.batches]
    if log.datum:
        spans = [(ts, ts, 1) for lines in decoded_lines(versions, log) for ts, _ in lines]
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
    messages = [line[2] for line in DECODER.decode_lines(data)]
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
