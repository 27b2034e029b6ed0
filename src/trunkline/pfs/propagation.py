"""Propagate a moved branch head to the branches downstream of it.

For every branch that depends on a moved one, directly or not, a new open AUTO commit is created: its parent
is the branch's old head, its direct provenance the heads of the branch's upstream branches, all in the
write's commit set (reference behaviour: Pachyderm 2.12, ``pachyderm-api.md`` §2.2). Edges marked
``never`` carry nothing. The order is topological, so that a commit's provenance exists before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import branches, commits, repos
from trunkline.model import names

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.pfs.writes import WriteTransaction


def propagate(write: WriteTransaction) -> None:
    """Create the downstream commits of every branch that the write moved."""
    if not write.moved:
        return
    conn = write.conn
    for branch_id in _downstream_in_order(conn, list(write.moved)):
        row = branches.by_id(conn, branch_id)
        existing = commits.find(conn, write.set_id, row.repo_id)
        if existing is not None and existing.id == row.head_id:
            continue
        upstream = branches.sources(conn, branch_id)
        if all(type_ == names.SPEC for _, type_ in upstream):
            continue  # a branch that follows nothing but its own specification makes its commits itself
        if existing is not None:
            repo = repos.repo_by_id(conn, row.repo_id)
            raise errors.FailedPrecondition(
                f"inconsistent dependencies: {repo} already has a commit in this transaction"
                f" (on branch {existing.branch_name!r}) and would get another on branch {row.name!r};"
                " let at most one branch of a repo depend on what one transaction changes"
            )
        commit = commits.add(
            conn,
            set_id=write.set_id,
            repo_id=row.repo_id,
            branch_name=row.name,
            parent_id=row.head_id,
            origin="AUTO",
            description="",
            started=write.now,
            provenance=[up.head_id for up, _ in upstream if up.head_id is not None],
        )
        branches.move_row(conn, row, commit.id, write.now)
        write.created.append(commit)


def closure(conn: sa.Connection, start: int, *, up: bool, carrying: bool = False) -> list[int]:
    """Return the branches reachable from ``start`` (without it), upstream or downstream.

    Args:
        conn: the transaction.
        start: where to begin.
        up: towards provenance; otherwise towards subvenance.
        carrying: leave out edges that carry no commits.
    """
    seen: dict[int, None] = {}
    pending = [start]
    while pending:
        branch_id = pending.pop()
        edges = branches.upstream(conn, branch_id) if up else branches.downstream(conn, branch_id)
        for edge in edges:
            if carrying and edge.never:
                continue
            other = edge.upstream_id if up else edge.branch_id
            if other not in seen:
                seen[other] = None
                pending.append(other)
    return list(seen)


def _downstream_in_order(conn: sa.Connection, moved: list[int]) -> list[int]:
    """Return the branches that the moved ones reach, each after all that it depends on."""
    reached: dict[int, list[int]] = {}
    pending = list(moved)
    while pending:
        branch_id = pending.pop()
        for edge in branches.downstream(conn, branch_id):
            if edge.never:
                continue
            if edge.branch_id not in reached:
                reached[edge.branch_id] = []
                pending.append(edge.branch_id)
            if branch_id not in reached[edge.branch_id]:
                reached[edge.branch_id].append(branch_id)
    order: dict[int, None] = {}

    def visit(branch_id: int) -> None:
        if branch_id in order or branch_id not in reached:
            return
        for upstream_id in reached[branch_id]:
            visit(upstream_id)
        order[branch_id] = None

    for branch_id in reached:
        visit(branch_id)
    return list(order)
