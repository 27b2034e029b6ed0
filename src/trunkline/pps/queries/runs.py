"""Lists of global ids: what one change has caused, over all projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import commits, event_log, repos, runs
from trunkline.pfs import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.meta.runs import RunRow
    from trunkline.model.events import Position
    from trunkline.pfs.reads import ReadTransaction

#: Rows of a page when the request does not say how many, and at most; commits looked at for a page.
ROWS, MOST_ROWS, LOOK = 50, 1_000, 1_000


class Run(Struct, frozen=True):
    """A global id."""

    id: str
    row: RunRow
    jobs: Mapping[str, int]
    #: As ``project/repo@branch``.
    origin: str


class RunPage(Struct, frozen=True):
    """A page of global ids, newest first."""

    runs: Sequence[Run]
    #: Token of the next page; empty at the end.
    next: str
    position: Position


def list_runs(read: ReadTransaction, project: str, token: str, number: int) -> RunPage:
    """Return a page of global ids. It may have fewer than asked for although more follow.

    Args:
        read: a snapshot.
        project: only those with a commit in this project; empty: all.
        token: ``next`` of the page before; empty: the first page.
        number: at most so many; 0: ``ROWS``.

    Raises:
        NotFound: there is no such project.
        InvalidArgument: the token or the number is not valid.
    """
    conn, number = read.conn, number or ROWS
    if not 0 < number <= MOST_ROWS:
        raise errors.InvalidArgument(f"number {number} is not valid; ask for 1 to {MOST_ROWS:,} rows")
    if token and (not token.isdecimal() or len(token) > 18):
        raise errors.InvalidArgument(
            f'page_token "{token[:40]}" is not valid; send next_page_token of the page before'
        )
    inside = None
    if project:
        resolve.project(conn, project)
        inside = frozenset(row.id for row in repos.list_repos(conn, "", [project]))
    below, looked, listed = int(token) if token else None, 0, list[Run]()
    while len(listed) < number and looked < LOOK:
        step = min(number - len(listed), LOOK - looked)
        set_ids, below = commits.set_ids(conn, below, step, inside)
        looked += step
        for set_id in set_ids:
            row = runs.commits_of(conn, set_id)
            if row is not None:
                listed.append(Run(set_id, row, runs.job_states(conn, set_id), runs.origin(conn, set_id)))
        if below is None:
            break
    return RunPage(listed, "" if below is None else str(below), event_log.newest(conn))
