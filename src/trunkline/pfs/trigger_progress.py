"""How far the conditions of a trigger are from holding, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import branches, commits
from trunkline.model import trigger_rules
from trunkline.model.schedules import parse_schedule, text_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.branches import BranchRow

#: Commits that are counted at most.
_COUNTED = 10_000


def progress(conn: sa.Connection, row: BranchRow, now: float) -> str:
    """Return each condition of a branch's trigger with its figures.

    Args:
        conn: connection of the transaction.
        row: a branch with a trigger.
        now: seconds since the epoch.
    """
    trigger = trigger_rules.from_json(row.trigger or {}).trigger
    source = branches.find(conn, row.repo_id, trigger.branch)
    if source is None or source.head_id is None:
        return f"branch {trigger.branch} has no commit yet"
    if trigger.cron_spec:
        due = parse_schedule(trigger.cron_spec, "cron_spec").after(now)
        return (
            f"it follows branch {trigger.branch} at {text_of(due)}" if due is not None else "it never moves"
        )
    if source.head_id == row.head_id:
        return f"branch {trigger.branch} has no commit since it moved last"
    head = commits.by_id(conn, source.head_id)
    old = commits.find_by_id(conn, row.head_id) if row.head_id is not None else None
    figures = []
    if trigger.size:
        grown, size = (
            head.size - (old.size if old is not None else 0),
            trigger_rules.parse_size(trigger.size, "size"),
        )
        figures.append(f"{max(0, grown):,} of {size:,} bytes")
    if trigger.commits:
        figures.append(f"{_count(conn, head, row.head_id):,} of {trigger.commits:,} commits")
    if trigger.rate_limit_spec:
        since = old.finished or 0.0 if old is not None else 0.0
        due = parse_schedule(trigger.rate_limit_spec, "rate_limit_spec").after(since)
        figures.append(f"a commit after {text_of(due)}" if due is not None else "a time that never comes")
    return (" and " if trigger.all else " or ").join(figures) + f" on branch {trigger.branch}"


def _count(conn: sa.Connection, head: commits.CommitRow, until: int | None) -> int:
    """Return the number of commits from behind ``until`` up to ``head``."""
    number, at = 0, head
    while at.id != until and number < _COUNTED:
        number += 1
        parent = commits.find_by_id(conn, at.parent_id) if at.parent_id is not None else None
        if parent is None:
            break
        at = parent
    return number
