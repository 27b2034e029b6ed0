"""Events of repos and commits (docs/design/events.md, Events)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import repos
from trunkline.model.events import EventKind, event
from trunkline.model.states import CommitState

if TYPE_CHECKING:
    from trunkline.meta.commits import CommitRow
    from trunkline.meta.repos import RepoRow
    from trunkline.pfs.writes import WriteTransaction

#: The state in an event of what was removed.
DELETED = "DELETED"
#: Names of repos that are remembered between transactions.
NAMES = 10_000


def record_repo(write: WriteTransaction, row: RepoRow, *, deleted: bool = False) -> None:
    """Record that a repo was created or removed.

    Args:
        write: transaction that the change belongs to.
        row: the repo.
        deleted: it was removed.
    """
    # A number that SQLite gives again gets another repo here, also when the first one's transaction was undone.
    write.repo_names.clear()
    state = DELETED if deleted else "CREATED"
    more = {"description": row.description} if row.description and not deleted else {}
    write.tx.record(
        event(EventKind.REPO, write.now, row.project, repo=row.name, type=row.type, state=state, **more)
    )


def record_commits(write: WriteTransaction) -> None:
    """Record the commits that a write created, finished and removed: one event for each, its last state."""
    if not (write.created or write.finished or write.removed):
        return
    changed = {row.id: row for row in (*write.created, *write.finished)}
    for row in write.removed:
        changed.pop(row.id, None)
        _record(write, row, DELETED)
    for row in changed.values():
        _record(write, row, CommitState.STARTED if row.finished is None else CommitState.FINISHED)


def _record(write: WriteTransaction, row: CommitRow, state: str) -> None:
    name = write.repo_names.get(row.repo_id)
    if name is None:
        owner = repos.find_by_id(write.conn, row.repo_id)
        if owner is None:
            return  # it went with its repo, which has an event
        name = write.repo_names[row.repo_id] = owner.project, owner.name, owner.type
        if len(write.repo_names) > NAMES:
            del write.repo_names[next(iter(write.repo_names))]
    project, repo, type_ = name
    write.tx.record(
        event(
            EventKind.COMMIT, write.now, project, repo=repo, type=type_, branch=row.branch_name,
            commit=row.set_id, state=state, origin=row.origin, started=row.started, finished=row.finished,
            size=row.size, error=row.error,
        )
    )  # fmt: skip
