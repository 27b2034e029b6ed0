"""Jobs as narrow rows: pages of a list with filters, at a cost that does not depend on history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import bills, event_log, job_lines, jobs, pipelines
from trunkline.meta.job_lines import MOST_COUNTED, JobLine, Selection
from trunkline.model.states import TERMINAL_JOB_STATES, JobState
from trunkline.pfs import resolve
from trunkline.pps.queries import costs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.meta.pipelines import PipelineLabel
    from trunkline.model.events import Position
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs

__all__ = ["JobLine"]

#: Rows of a page when the request does not say how many, and at most.
ROWS, MOST_ROWS = 100, 1_000


class Row(Struct, frozen=True):
    """A job of a list with what it has cost."""

    job: JobLine
    pipeline: PipelineLabel
    #: US dollars so far; None when no price is known.
    dollars: float | None

    @property
    def reason(self) -> str:
        """Why the job ended as it did; of a live one, what its pipeline waits for or fails at; or empty."""
        job = self.job
        if job.state in TERMINAL_JOB_STATES or job.state is JobState.CREATED:
            return job.reason
        return job.reason or self.pipeline.reason


class RowFilter(Struct, frozen=True, kw_only=True):
    """Selects the rows of a page; empty texts and lists admit all."""

    projects: Sequence[str] = ()
    #: Names of pipelines, in any of the projects.
    pipelines: Sequence[str] = ()
    #: Names of ``JobState``.
    states: Sequence[str] = ()
    set_id: str = ""
    #: Jobs that existed at some time between the two moments, in seconds since the epoch.
    since: float | None = None
    until: float | None = None
    #: ``next`` of the page before.
    token: str = ""
    #: 0: ``ROWS``.
    number: int = 0
    #: Count what the filter admits.
    count: bool = False


class RowPage(Struct, frozen=True):
    """A page of jobs, newest first."""

    rows: Sequence[Row]
    #: Token of the next page; empty at the end.
    next: str
    position: Position
    #: How many there are, if that was asked for; at most ``MOST_COUNTED`` are counted.
    total: int | None

    @property
    def is_least(self) -> bool:
        """Whether there may be more than ``total``."""
        return self.total == MOST_COUNTED


def list_rows(read: ReadTransaction, specs: Specs, criteria: RowFilter) -> RowPage:
    """Return a page of jobs.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        criteria: which jobs.

    Raises:
        InvalidArgument: a state, the number or the token is not valid.
        NotFound: a project does not exist.
    """
    conn, number = read.conn, criteria.number or ROWS
    if not 0 < number <= MOST_ROWS:
        raise errors.InvalidArgument(f"number {number} is not valid; ask for 1 to {MOST_ROWS:,} rows")
    selection = _selection(read, criteria)
    if criteria.set_id:
        lines, following = _of_set(read, criteria.set_id, selection), None
    else:
        lines, following = job_lines.page(conn, selection, number)
    total = None
    if criteria.count:
        total = (
            len(lines)
            if criteria.set_id
            else job_lines.count(conn, _selection(read, criteria, all_pages=True))
        )
    token = "" if following is None else str(following)
    return RowPage(describe(read, specs, lines), token, event_log.newest(conn), total)


def unpriced(read: ReadTransaction, lines: Sequence[JobLine]) -> list[Row]:
    """Return jobs with their pipelines and without costs, in their order."""
    owners = pipelines.labels(read.conn, sorted({line.pipeline_id for line in lines}))
    return [Row(line, owners[line.pipeline_id], None) for line in lines]


def describe(read: ReadTransaction, specs: Specs, lines: Sequence[JobLine]) -> list[Row]:
    """Return jobs with their pipelines and costs, in their order.

    Args:
        read: the snapshot that the jobs were read in.
        specs: the parsed specifications.
        lines: the jobs.
    """
    conn = read.conn
    owners = pipelines.labels(conn, sorted({line.pipeline_id for line in lines}))
    paid = bills.of_jobs(conn, [line.id for line in lines])
    for number in owners:
        unsettled = [line for line in lines if line.pipeline_id == number and line.id not in paid]
        paid.update((bill.job_id, bill) for bill in costs.unsettled(conn, specs, unsettled, read.now))
    rows = []
    for line in lines:
        bill = paid[line.id]
        unknown = not bill.dollars and bill.unpriced_seconds > 0
        rows.append(Row(line, owners[line.pipeline_id], None if unknown else bill.dollars))
    return rows


def _selection(read: ReadTransaction, criteria: RowFilter, *, all_pages: bool = False) -> Selection:
    conn, below = read.conn, None
    if criteria.token and not all_pages:
        if not criteria.token.isdecimal() or len(criteria.token) > 18:
            raise errors.InvalidArgument(
                f'page_token "{criteria.token[:40]}" is not valid; send next_page_token of the page before'
            )
        below = int(criteria.token)
    if criteria.until is not None:
        end = jobs.first_created_from(conn, criteria.until)
        below = end if below is None else min(below, end)
    chosen = None
    if criteria.projects or criteria.pipelines:
        chosen = frozenset(pipelines.numbers(conn, criteria.projects, criteria.pipelines))
        if not chosen:
            for name in criteria.projects:
                resolve.project(conn, name)
    return Selection(
        pipeline_ids=chosen, states=frozenset(_states(criteria.states)), since=criteria.since, below=below
    )


def _states(texts: Iterable[str]) -> Iterable[JobState]:
    for text in texts:
        try:
            yield JobState(text)
        except ValueError:
            choices = ", ".join(JobState)
            raise errors.InvalidArgument(
                f'state "{text[:40]}" is not a state of jobs; use some of {choices}'
            ) from None


def _of_set(read: ReadTransaction, set_id: str, selection: Selection) -> list[JobLine]:
    """Return the jobs of a global id that a selection admits, newest first."""
    return [
        line
        for line in reversed(job_lines.of_set(read.conn, set_id))
        if (selection.pipeline_ids is None or line.pipeline_id in selection.pipeline_ids)
        and (not selection.states or line.state in selection.states)
    ]
