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


def record_repo(write: WriteTransaction, row: RepoRow, *, deleted: bool = False) -> None:
    """Record that a repo was created or removed.

    Args:
        write: transaction that the change belongs to.
        row: the repo.
        deleted: it was removed.
    """
    state = DELETED if deleted else "CREATED"
    write.tx.record(event(EventKind.REPO, write.now, row.project, repo=row.name, type=row.type, state=state))


def record_commits(write: WriteTransaction) -> None:
    """Record the commits that a write created, finished and removed: one event for each, its last state."""
    changed = {row.id: row for row in (*write.created, *write.finished)}
    removed = {row.id for row in write.removed}
    states = [
        *((row, CommitState.STARTED if row.finished is None else CommitState.FINISHED)
          for row in changed.values() if row.id not in removed),
        *((row, DELETED) for row in write.removed),
    ]  # fmt: skip
    if not states:
        return
    owners = repos.by_ids(write.conn, list(dict.fromkeys(row.repo_id for row, _ in states)))
    for row, state in states:
        owner = owners.get(row.repo_id)
        if owner is not None:  # else it went with its repo, which has an event
            _record(write, owner, row, state)


def _record(write: WriteTransaction, owner: RepoRow, row: CommitRow, state: str) -> None:
    write.tx.record(
        event(
            EventKind.COMMIT, write.now, owner.project, repo=owner.name, type=owner.type, branch=row.branch_name,
            commit=row.set_id, state=state, origin=row.origin, started=row.started, finished=row.finished,
            size=row.size, error=row.error,
        )
    )  # fmt: skip
