"""Moves branches with triggers. The rules are in ``model.trigger_rules``.

The heads are the only state: the candidates of a branch are the commits of the other branch behind its own head, oldest
first, so each commit is judged as if it had just finished, also after a restart. What was judged is remembered, so that
a commit costs one look. A trigger on a branch that has a trigger itself is judged when that one has moved, with its
head as the only candidate.

Every move is a write of its own, so the commits that follow from it have a new id. A ``cron_spec`` moves the branch at
each tick that comes while the server runs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.errors import TrunklineError
from trunkline.meta import branches as rows
from trunkline.meta import commits, repos
from trunkline.model import names, trigger_rules
from trunkline.model.schedules import parse_schedule
from trunkline.model.trigger_rules import Point
from trunkline.pfs.branches import BranchName, create_branch

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.branches import BranchRow
    from trunkline.meta.commits import CommitRow
    from trunkline.model.spec import Trigger
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

log = logging.getLogger("trunkline.pfs")

#: Seconds after which the clock is looked at again for ``cron_spec``: it may be set.
MOST_PAUSE = 30.0
#: Announced when a trigger is set.
TOPIC = "triggers"


class _Judged(Struct, frozen=True):
    """How far the candidates of a branch were judged."""

    #: Row number of the branch's head then.
    head_id: int | None
    #: Row number of the last judged candidate.
    last_id: int
    #: Number of commits from behind the head up to the last one.
    commits: int


class Triggers:
    """Moves all branches with triggers. One thread at a time uses it."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._judged: dict[int, _Judged] = {}
        #: Schedule and next tick by branch.
        self._ticks: dict[int, tuple[str, float | None]] = {}
        #: What to wait for before the next step.
        self.topics: list[str] = [TOPIC]

    def step(self) -> float | None:
        """Move each branch whose conditions hold. Blocks.

        Returns:
            In how many seconds to do it again at the latest; None when only a change can move a branch.
        """
        triggered = self._versions.read(rows.with_trigger)
        self.topics = [TOPIC, *sorted({f"repo:{row.repo_id}" for row in triggered})]
        for forgotten in self._judged.keys() - {row.id for row in triggered}:
            del self._judged[forgotten]
        pauses: list[float] = []
        for row in triggered:
            try:
                pause = self._step_of(row, triggered)
            except TrunklineError as error:
                log.error(
                    "branch %d cannot be moved by its trigger: %s; next try in 30 s", row.id, error.message
                )
                pause = MOST_PAUSE
            if pause is not None:
                pauses.append(min(pause, MOST_PAUSE))
        return min(pauses, default=None)

    def _step_of(self, row: BranchRow, triggered: list[BranchRow]) -> float | None:
        trigger = _trigger_of(row)
        if trigger.cron_spec:
            return self._tick(row, trigger)
        while (commit := self._versions.read(self._next, row.id)) is not None:
            self._versions.write(_move, row.id, commit)
            for other in triggered:
                if other.repo_id == row.repo_id and _trigger_of(other).branch == row.name:
                    self._step_of(other, triggered)
        return None

    def _tick(self, row: BranchRow, trigger: Trigger) -> float | None:
        """Move a branch if a tick is due; return the seconds until the next one."""
        now = self._versions.clock.now()
        schedule = parse_schedule(trigger.cron_spec, "cron_spec")
        spec, due = self._ticks.get(row.id, ("", None))
        if spec != trigger.cron_spec:
            due = schedule.after(now)
        if due is not None and due <= now:
            commit = self._versions.read(_finished_head, row.repo_id, trigger.branch)
            if commit is not None and commit.id != row.head_id:
                self._versions.write(_move, row.id, commit)
            due = schedule.after(now)
        self._ticks[row.id] = trigger.cron_spec, due
        return due - now if due is not None else None

    def _next(self, conn: sa.Connection, branch_id: int) -> CommitRow | None:
        """Return the next commit that a branch moves to; None when no condition holds yet."""
        row = rows.find_by_id(conn, branch_id)
        source = rows.find(conn, row.repo_id, _trigger_of(row).branch) if row is not None else None
        if row is None or source is None or source.head_id is None or source.head_id == row.head_id:
            return None
        trigger = _trigger_of(row)
        old = commits.find_by_id(conn, row.head_id) if row.head_id is not None else None
        judged = self._judged.get(branch_id)
        if judged is not None and judged.head_id != row.head_id:
            judged = None
        candidates, before = _candidates(conn, row, source, judged)
        for count, commit in enumerate(candidates, start=before + 1):
            if commit.finished is None:
                break
            self._judged[branch_id] = _Judged(row.head_id, commit.id, count)
            if not commit.error and trigger_rules.fires(trigger, _point(old), _point_of(commit), count):
                return commit
        return None


def _candidates(
    conn: sa.Connection, row: BranchRow, source: BranchRow, judged: _Judged | None
) -> tuple[list[CommitRow], int]:
    """Return the commits to judge, oldest first, and how many there are between the branch's head and the first one."""
    assert source.head_id is not None
    own = trigger_rules.from_json(row.trigger or {})
    candidates: list[CommitRow] = []
    earlier = 0
    is_candidate = True
    at: CommitRow | None = commits.by_id(conn, source.head_id)
    while at is not None and at.id != row.head_id and (is_candidate or earlier < own.trigger.commits):
        if judged is not None and at.id == judged.last_id:
            return candidates[::-1], judged.commits + earlier
        is_candidate = is_candidate and at.set_id != own.since
        if is_candidate:
            candidates.append(at)
        else:
            earlier += 1
        at = commits.find_by_id(conn, at.parent_id) if at.parent_id is not None else None
        if source.trigger and candidates:
            # Only its head is a candidate; the commits before it count.
            is_candidate = False
    return candidates[::-1], earlier


def _trigger_of(row: BranchRow) -> Trigger:
    return trigger_rules.from_json(row.trigger or {}).trigger


def _point(row: CommitRow | None) -> Point | None:
    return _point_of(row) if row is not None else None


def _point_of(row: CommitRow) -> Point:
    return Point(row.size, row.finished or 0.0)


def _finished_head(conn: sa.Connection, repo_id: int, name: str) -> CommitRow | None:
    """Return the head of a branch, if it has one that finished without an error."""
    row = rows.find(conn, repo_id, name)
    head = commits.find_by_id(conn, row.head_id) if row is not None and row.head_id is not None else None
    return head if head is not None and head.finished is not None and not head.error else None


def _move(write: WriteTransaction, branch_id: int, commit: CommitRow) -> None:
    """Move a branch to a commit, if both still exist."""
    row = rows.find_by_id(write.conn, branch_id)
    if row is None or commits.find_by_id(write.conn, commit.id) is None:
        return
    repo = repos.repo_by_id(write.conn, row.repo_id)
    name = names.RepoName(repo.project, repo.name, repo.type)
    create_branch(write, BranchName(name, row.name), head=names.CommitName(name, commit.set_id))
