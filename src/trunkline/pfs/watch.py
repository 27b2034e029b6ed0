"""Waiting for commits. The only part of this layer that is asynchronous: it holds no thread while it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import branches, commits
from trunkline.pfs import refs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.model import names
    from trunkline.model.states import CommitState
    from trunkline.pfs.versions import Versions

#: Commits read at a time by a subscriber that catches up.
PAGE = 100


def reached(conn: sa.Connection, row: CommitRow, state: CommitState) -> bool:
    """Tell whether a commit is at least in ``state``."""
    if state == "STARTED" or row.finished is not None:
        return True
    if state == "READY":
        return all(up.finished is not None for up in commits.upstream(conn, row.id))
    return False


async def wait_commit(versions: Versions, name: refs.CommitName, state: CommitState) -> CommitRow:
    """Return the commit once it is at least in ``state``.

    Raises:
        NotFound: there is no such commit, or it was removed while waited for (``commit X was deleted``).
    """
    first = await versions.db.read(refs.commit, name)
    return await wait_row(versions, first.id, state, str(name))


async def wait_row(versions: Versions, number: int, state: CommitState, text: str) -> CommitRow:
    """Like ``wait_commit`` for a commit whose row number is known."""

    def look(conn: sa.Connection) -> tuple[CommitRow | None, bool]:
        row = commits.find_by_id(conn, number)
        return row, row is not None and reached(conn, row, state)

    while True:
        stamp = versions.wakeups.stamp("commits")
        row, there = await versions.db.read(look)
        if row is None:
            raise errors.NotFound(f"commit {text} was deleted")
        if there:
            return row
        await versions.wakeups.changed(stamp, "commits")


async def subscribe(
    versions: Versions,
    repo: names.RepoName,
    branch: str,
    *,
    after: refs.CommitName | None,
    state: CommitState,
    origin: str | None,
) -> AsyncIterator[CommitRow]:
    """Yield the commits of a branch (or, without one, of the repo), oldest first, for ever.

    Each is yielded once it is in ``state``; the order is that of their making.
    """
    owner = await versions.db.read(refs.repo, repo)
    seen = 0
    if after is not None:
        seen = (await versions.db.read(refs.commit, after)).id

    def next_page(conn: sa.Connection) -> list[CommitRow]:
        refs.repo(conn, repo)
        page = commits.of_repo_after(conn, owner.id, seen, PAGE)
        if not branch:
            return page
        found = branches.find(conn, owner.id, branch)
        moved_here = found.head_id if found is not None else None
        return [row for row in page if row.branch_name == branch or row.id == moved_here]

    def newest(conn: sa.Connection) -> int:
        page = commits.of_repo(conn, owner.id, number=1)
        return page[0].id if page else 0

    topic = f"repo:{owner.id}"
    while True:
        stamp = versions.wakeups.stamp(topic)
        last = await versions.db.read(newest)
        for row in await versions.db.read(next_page):
            seen = row.id
            if origin is not None and row.origin != origin:
                continue
            try:
                yield await wait_row(versions, row.id, state, f"{repo}@{row.set_id}")
            except errors.NotFound:
                continue  # removed while it was waited for
        if seen < last:
            full_page = await versions.db.read(commits.of_repo_after, owner.id, seen, PAGE)
            if full_page:
                # Nothing of this page was wanted: go past it.
                seen = full_page[-1].id
                continue
        await versions.wakeups.changed(stamp, topic)
