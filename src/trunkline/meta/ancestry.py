"""Queries that follow the parents of a commit inside the database, however long the history is."""

from __future__ import annotations

import sqlalchemy as sa

from trunkline.meta import commits
from trunkline.meta.schema import commit


def ancestor(conn: sa.Connection, commit_id: int, steps: int) -> tuple[commits.CommitRow | None, int]:
    """Follow parents inside the database, any number of them.

    Args:
        conn: a snapshot.
        commit_id: where to begin.
        steps: how many parents to follow; negative: up to the first commit, then that many less one down again.

    Returns:
        The commit, or None when the history is shorter; and how many commits the line up to it, or in that case the
        whole history, has.
    """
    line = (
        sa.select(commit.c.id, commit.c.parent_id, sa.literal(0).label("steps"))
        .where(commit.c.id == commit_id)
        .cte("line", recursive=True)
    )
    parent = commit.alias("parent")
    further = sa.select(parent.c.id, parent.c.parent_id, line.c.steps + 1).join_from(
        line, parent, parent.c.id == line.c.parent_id
    )
    if steps >= 0:
        further = further.where(line.c.steps < steps)
    line = line.union_all(further)
    length = int(conn.execute(sa.select(sa.func.max(line.c.steps))).scalar_one()) + 1
    at = steps if steps >= 0 else length + steps
    number = conn.execute(sa.select(line.c.id).where(line.c.steps == at)).scalar()
    return (commits.by_id(conn, number) if number is not None else None), length


def last_good(conn: sa.Connection, row: commits.CommitRow) -> commits.CommitRow | None:
    """Return the nearest ancestor that finished without an error, in at most three reads; None without one."""
    if row.parent_id is None:
        return None
    parent = commits.by_id(conn, row.parent_id)
    if _is_good(parent) or parent.parent_id is None:
        return parent if _is_good(parent) else None
    line = (
        sa.select(commit.c.id, commit.c.parent_id, commit.c.tree, commit.c.error)
        .where(commit.c.id == parent.parent_id)
        .cte("line", recursive=True)
    )
    upper = commit.alias("upper")
    further = (
        sa.select(upper.c.id, upper.c.parent_id, upper.c.tree, upper.c.error)
        .join_from(line, upper, upper.c.id == line.c.parent_id)
        .where(sa.or_(line.c.tree.is_(None), line.c.error != ""))
    )
    line = line.union_all(further)
    good = sa.select(line.c.id).where(line.c.tree.is_not(None), line.c.error == "")
    number = conn.execute(good).scalar()
    return None if number is None else commits.by_id(conn, number)


def _is_good(row: commits.CommitRow) -> bool:
    return row.tree is not None and not row.error
