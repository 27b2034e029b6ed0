"""Pages of a job's datums: by id from any offset, by state, by duration, or those that ran in a time range.

An order other than that of ids is read from the job's datum sums. What only the datums themselves can tell, such as
their paths, is looked for in a bounded number of them; the page then ends early and its token goes on from there.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.model import limits
from trunkline.model.states import DatumState
from trunkline.pps import datum_sums
from trunkline.pps.queries import datum_summary
from trunkline.pps.queries.datum_summary import JobSums, Line
from trunkline.pps.queries.job_datums import JobDatums
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trunkline.model.events import Position
    from trunkline.model.names import JobName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.queries.job_datums import ListedDatum

#: Datums of a page when the request does not say.
NUMBER = 100
#: Datums looked at for one page, some at a time.
LOOKED_AT, _SOME = 50_000, 1_000


class Order(StrEnum):
    """The order of a page."""

    ID = "ID"
    STATE = "STATE"
    DURATION = "DURATION"


class Selection(Struct, frozen=True, kw_only=True):
    """Which datums of a job to return, and in which order."""

    order: Order = Order.ID
    #: Empty: all.
    states: Collection[DatumState] = ()
    #: Contained in the path of an input.
    text: str = ""
    offset: int = 0
    #: Of an earlier page; takes the place of ``offset``.
    token: str = ""
    number: int = 0
    #: Seconds since the epoch; None: no bound. With them, or with workers, in the order in which they were given out.
    begin: float | None = None
    end: float | None = None
    worker_ids: Collection[str] = ()
    #: Positions in what the job runs; empty: all.
    positions: Sequence[int] = ()
    #: Ids in hex; empty: all.
    ids: Sequence[str] = ()

    @property
    def is_filtered(self) -> bool:
        """Return whether what the datums themselves say decides."""
        return bool(self.states or self.text)


class Page(Struct, frozen=True):
    """Some datums of a job."""

    lines: Sequence[Line]
    #: Of all that match; None: not known without reading all.
    total: int | None
    #: Empty: no more.
    token: str
    #: More match, but their order is not known.
    is_cut: bool
    event: Position


def page(versions: VersionedStore, name: JobName, selection: Selection) -> Page:
    """Return a page of a job's datums. Blocks.

    Args:
        versions: the store.
        name: the job.
        selection: which.

    Raises:
        NotFound: there is no such job.
        InvalidArgument: the token is not one of this list, or the number is too large.
    """
    limits.check_count(selection.number, limits.PAGE, "number", "request a page at a time")
    for what, some in (("positions", selection.positions), ("ids", selection.ids)):
        limits.check_count(len(some), limits.PAGE, what, "request a page at a time")
    is_ranked = (
        bool(selection.states or selection.begin or selection.end or selection.worker_ids or selection.ids)
        or selection.order is not Order.ID
    )
    seen = versions.read(datum_summary.look, name, bodies=is_ranked)
    datums = JobDatums(versions, seen.job)
    if selection.positions:
        lines = _lines(seen, datums.at(selection.positions))
        return Page(lines, len(lines), "", False, seen.event)
    if selection.ids:
        lines = [line for text in selection.ids for line in _by_key(seen, datums, text)]
        return Page(lines, len(lines), "", False, seen.event)
    if selection.begin is not None or selection.end is not None or selection.worker_ids:
        return _in_range(seen, datums, selection)
    if selection.order is Order.DURATION:
        return _by_duration(seen, datums, selection)
    if selection.order is Order.STATE or set(selection.states) & {DatumState.FAILED, DatumState.RECOVERED}:
        return _by_state(seen, datums, selection)
    if selection.is_filtered:
        return _by_id(seen, datums, selection)
    start = _number(selection.token) if selection.token else selection.offset
    listed = datums.page(start, selection.number or NUMBER)
    total = datums.total
    stop = start + len(listed)
    return Page(_lines(seen, listed), total, str(stop) if listed and stop < total else "", False, seen.event)


def _by_key(seen: JobSums, datums: JobDatums, text: str) -> list[Line]:
    """Return a datum with when and where it ran; nothing when the job has none of this id."""
    try:
        listed = datums.get(bytes.fromhex(text))
    except ValueError:
        listed = None
    if listed is None:
        return []
    [line] = _lines(seen, [listed])
    position = listed.position
    if position is None or line.worker_id:
        return [line]
    for row, body in seen.sums:
        for each in body.datums:
            if each.position == position:
                return [Line(listed, row.begin + each.offset / 1e6, row.worker_id)]
        if datum_sums.has(body, position):
            return [Line(listed, None, row.worker_id)]
    return [line]


def _in_range(seen: JobSums, datums: JobDatums, selection: Selection) -> Page:
    """Return datums that ran in a time range or on some workers."""
    runs: list[tuple[int, int]] = []
    for row, body in seen.sums:
        if selection.worker_ids and row.worker_id not in selection.worker_ids:
            continue
        if not _meets(selection, row.begin, row.end):
            continue
        if row.count > len(body.datums):
            runs += body.runs
            continue
        for each in body.datums:
            first = row.begin + each.offset / 1e6
            if _meets(selection, first, first + each.wall / 1e6):
                runs.append((each.position, 1))
    runs.sort()
    return _ranked(seen, datums, selection, _Runs(runs), is_cut=False)


def _meets(selection: Selection, begin: float, end: float) -> bool:
    return (selection.end is None or begin <= selection.end) and (
        selection.begin is None or end >= selection.begin
    )


def _by_duration(seen: JobSums, datums: JobDatums, selection: Selection) -> Page:
    slowest, is_whole = datum_summary.slowest(seen)
    if selection.states:
        slowest = [each for each in slowest if each.state in selection.states]
    has_all = is_whole and (bool(seen.sums) or not seen.job.handed_in)
    runs = _Runs([(each.position, 1) for each in slowest])
    return _ranked(seen, datums, selection, runs, is_cut=not has_all)


def _by_state(seen: JobSums, datums: JobDatums, selection: Selection) -> Page:
    """Return the failed, then the recovered, then those that workers hold, then the others by id."""
    problems = datum_summary.problems(seen)
    job = seen.job
    first: list[tuple[int, int]] = []
    ranked_states = {DatumState.STARTING}
    for state, count in ((DatumState.FAILED, job.failed), (DatumState.RECOVERED, job.recovered)):
        if len(problems[state]) >= count:
            ranked_states.add(state)
            if not selection.states or state in selection.states:
                first += ((each.position, 1) for each in problems[state])
    if not selection.states or DatumState.STARTING in selection.states:
        first += ((claim.done, claim.stop - claim.done) for claim in seen.claims)
    runs = _Runs(first)
    others = [state for state in DatumState if state not in ranked_states]
    if selection.states:
        others = [state for state in others if state in selection.states]
    if not selection.token.startswith("after:"):
        ranked = _ranked(seen, datums, selection, runs, is_cut=False)
        if ranked.token or not others:
            return ranked
        total = None if selection.text or selection.states else datums.total
        missing = (selection.number or NUMBER) - len(ranked.lines)
        if missing == 0:
            return Page(ranked.lines, total, "after:", False, seen.event)
        rest = _by_id(seen, datums, selection, others, missing)
        return Page([*ranked.lines, *rest.lines], total, rest.token, False, seen.event)
    return _by_id(seen, datums, selection, others)


def _by_id(
    seen: JobSums,
    datums: JobDatums,
    selection: Selection,
    states: Collection[DatumState] | None = None,
    number: int = 0,
) -> Page:
    """Return the next datums by id that match; looks at no more than ``LOOKED_AT``."""
    states = states if states is not None else selection.states
    number = number or selection.number or NUMBER
    after = _key(selection.token.removeprefix("after:")) if selection.token.startswith("after:") else b""
    needle = _needle(selection.text)
    rows = datums.scan(after)
    lines: list[Line] = []
    for _ in range(0, LOOKED_AT, _SOME):
        cancellation.check()
        some = list(islice(rows, _SOME))
        matching = [row for row in some if needle in row[1]] if needle else some
        for at in range(0, len(matching), NUMBER):
            for listed in datums.complete(matching[at : at + NUMBER]):
                if _matches(listed, states, selection.text):
                    lines += _lines(seen, [listed])
                    if len(lines) == number:
                        return Page(lines, None, f"after:{listed.row.id.hex()}", False, seen.event)
        if len(some) < _SOME:
            return Page(lines, None, "", False, seen.event)
        after = some[-1][0]
    return Page(lines, None, f"after:{after.hex()}", False, seen.event)


class _Runs:
    """Positions as runs, of which any part can be taken."""

    def __init__(self, runs: Sequence[tuple[int, int]]) -> None:
        self._runs = runs
        self._ends = list(accumulate(count for _, count in runs))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def part(self, start: int, number: int) -> list[int]:
        """Return so many positions from a place on."""
        positions: list[int] = []
        at = bisect_right(self._ends, start)
        while at < len(self._runs) and len(positions) < number:
            first, count = self._runs[at]
            skipped = max(0, start - (self._ends[at] - count))
            positions += range(first + skipped, first + count)
            at += 1
        return positions[:number]


def _ranked(seen: JobSums, datums: JobDatums, selection: Selection, runs: _Runs, *, is_cut: bool) -> Page:
    """Return a page of datums whose order is known by their positions."""
    start = _number(selection.token) if selection.token else selection.offset
    number = selection.number or NUMBER
    lines: list[Line] = []
    end = start + (LOOKED_AT if selection.is_filtered else number)
    while len(lines) < number and (some := runs.part(start, min(max(number, NUMBER), end - start))):
        cancellation.check()
        by_position = {each.position: each for each in datums.at(some)}
        for position in some:
            start += 1
            listed = by_position.get(position)
            if listed is not None and _matches(listed, selection.states, selection.text):
                lines += _lines(seen, [listed])
                if len(lines) == number:
                    break
    total = None if selection.is_filtered or is_cut else len(runs)
    return Page(lines, total, str(start) if start < len(runs) else "", is_cut, seen.event)


def _matches(listed: ListedDatum, states: Collection[DatumState], text: str) -> bool:
    return (not states or listed.state in states) and (
        not text or any(text in item.path for item in listed.row.items)
    )


def _lines(seen: JobSums, listed: Sequence[ListedDatum]) -> list[Line]:
    """Return datums with when and where they run; of those that have ended it is not looked up."""
    lines = []
    for each in listed:
        line = Line(each)
        for claim in seen.claims if each.state is DatumState.STARTING else ():
            if each.position is not None and claim.done <= each.position < claim.stop:
                started = claim.datum_started if each.position == claim.datum_position else None
                line = Line(each, started, claim.worker_id or "")
        lines.append(line)
    return lines


def _needle(text: str) -> bytes:
    """Return what a row with this text in a path contains."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="surrogatepass")


def _number(token: str) -> int:
    if not token.isascii() or not token.isdigit():
        raise errors.InvalidArgument(
            f'"{token[:100]}" is not a token of this list; send next_page_token of a page with the same order and'
            " filters"
        )
    return int(token)


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise errors.InvalidArgument(
            f'"after:{text[:100]}" is not a token of this list; send next_page_token of a page with the same order'
            " and filters"
        ) from None
