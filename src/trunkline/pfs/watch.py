"""Wait for commits. The only asynchronous module of this layer: it holds no thread while it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import commit_graph, commits
from trunkline.model.states import CommitState
from trunkline.pfs import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.model import names
    from trunkline.pfs.repository import VersionedStore

#: Commits read at a time by a subscriber that catches up.
PAGE = 100


def _missing(conn: sa.Connection, row: CommitRow, state: CommitState) -> list[int]:
    """Return the commits that must finish before a commit is at least in ``state``."""
    if state is CommitState.STARTED or row.finished is not None:
        return []
    if state is CommitState.READY:
        return [up.id for up in commit_graph.upstream(conn, row.id) if up.finished is None]
    return [row.id]


async def wait_commit(versions: VersionedStore, name: names.CommitName, state: CommitState) -> CommitRow:
    """Return the commit once it is at least in ``state``.

    Args:
        versions: the store to read and write.
        name: the commit.
        state: the first state that is enough.

    Raises:
        NotFound: there is no such commit, or it was removed while waited for (``commit X was deleted``).
    """
    first = await versions.db.read(resolve.commit, name)
    return await wait_row(versions, first.id, state, str(name))


async def wait_row(versions: VersionedStore, number: int, state: CommitState, text: str) -> CommitRow:
    """Like ``wait_commit`` for a commit whose row number is known.

    Args:
        versions: where it is read.
        number: row number of the commit.
        state: the first state that is enough.
        text: the commit as messages name it.

    Raises:
        NotFound: it was deleted.
    """

    def look(conn: sa.Connection) -> tuple[CommitRow | None, list[int]]:
        row = commits.find_by_id(conn, number)
        return row, [] if row is None else _missing(conn, row, state)

    while True:
        stamp = versions.wakeups.stamp()
        row, missing = await versions.db.read(look)
        if row is None:
            raise errors.NotFound(f"commit {text} was deleted")
        if not missing:
            return row
        await versions.wakeups.changed(stamp, *(f"commit:{row_id}" for row_id in {number, *missing}))


async def subscribe(
    versions: VersionedStore,
    repo: names.RepoName,
    branch: str,
    *,
    after: names.CommitName | None,
    state: CommitState,
    origin: str | None,
) -> AsyncGenerator[CommitRow]:
    """Yield the commits of a branch (or, without one, of the repo), oldest first, without end.

    Each is yielded once it is in ``state``; they come in the order of their creation.

    Args:
        versions: the store to read and write.
        repo: the repo whose commits are yielded.
        branch: name of the branch; empty: all commits of the repo.
        after: yield only commits after this one; None: all.
        state: the first state that is enough.
        origin: yield only commits of this origin; None: of all.
    """
    owner = await versions.db.read(resolve.repo, repo)
    seen = (await versions.db.read(resolve.commit, after)).id if after is not None else 0
    topic = f"repo:{owner.id}"
    while True:
        stamp = versions.wakeups.stamp()
        await versions.db.read(resolve.repo, repo)  # raises once the repo is gone
        page = await versions.db.read(
            commits.page, repo_id=owner.id, beyond=seen, oldest_first=True, number=PAGE
        )
        for row in page:
            seen = row.id
            if (branch and row.branch_name != branch) or (origin is not None and row.origin != origin):
                continue
            try:
                yield await wait_row(versions, row.id, state, f"{repo}@{row.set_id}")
            except errors.NotFound:
                continue  # removed while it was waited for
        if not page:
            await versions.wakeups.changed(stamp, topic)
