"""Queries and writes on branches and their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta import checksums
from trunkline.meta.query import Query, inserted_id, require
from trunkline.meta.schema import branch, branch_provenance, repo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class BranchRow(Struct, frozen=True):
    """A branch."""

    id: int
    repo_id: int
    name: str
    head_id: int | None
    trigger: dict[str, Any] | None
    created_at: float
    updated_at: float
    metadata: dict[str, str]


class Edge(Struct, frozen=True):
    """Direct provenance between two branches."""

    branch_id: int
    upstream_id: int
    never: bool


#: What ``checked`` takes.
COLUMNS = (*(branch.c[name] for name in BranchRow.__struct_fields__), branch.c.checksum)
_BRANCH = sa.select(*COLUMNS)
_BY_NAME = Query(
    _BRANCH.where(branch.c.repo_id == sa.bindparam("repo_id"), branch.c.name == sa.bindparam("name"))
)
_BY_ID = Query(_BRANCH.where(branch.c.id == sa.bindparam("branch_id")))
_EDGE = sa.select(*(branch_provenance.c[name] for name in Edge.__struct_fields__))
_UP = Query(
    _EDGE.where(branch_provenance.c.branch_id == sa.bindparam("branch_id")).order_by(
        branch_provenance.c.upstream_id
    )
)
_SOURCES = Query(
    _BRANCH.add_columns(repo.c.type)
    .join(branch_provenance, branch_provenance.c.upstream_id == branch.c.id)
    .join(repo, repo.c.id == branch.c.repo_id)
    .where(branch_provenance.c.branch_id == sa.bindparam("branch_id"))
    .order_by(branch.c.id)
)
_DOWN = Query(
    _EDGE.where(branch_provenance.c.upstream_id == sa.bindparam("branch_id")).order_by(
        branch_provenance.c.branch_id
    )
)
_MOVE = Query(
    branch.update()
    .where(branch.c.id == sa.bindparam("branch_id"))
    .values(head_id=sa.bindparam("new_head"), updated_at=sa.bindparam("now"), checksum=sa.bindparam("sum"))
)


def checked(values: Sequence[Any]) -> BranchRow:
    """Return the row of ``COLUMNS`` after comparing it with its checksum, which is the last value.

    Raises:
        DataLoss: they do not match.
    """
    row = BranchRow(*values[:-1])
    if values[-1] != checksums.of(row.repo_id, row.name, row.head_id):
        raise checksums.damaged("branch", (row.id, row.name))
    return row


def find(conn: sa.Connection, repo_id: int, name: str) -> BranchRow | None:
    """Return the branch of that name.

    Args:
        conn: connection of the transaction.
        repo_id: row number of the repo.
        name: name of the branch.
    """
    row = _BY_NAME.first(conn, repo_id=repo_id, name=name)
    return checked(row) if row else None


def by_id(conn: sa.Connection, branch_id: int) -> BranchRow:
    """Return a branch that exists."""
    return checked(require(_BY_ID.first(conn, branch_id=branch_id)))


def find_by_id(conn: sa.Connection, branch_id: int) -> BranchRow | None:
    """Return a branch, or None when it was removed."""
    row = _BY_ID.first(conn, branch_id=branch_id)
    return checked(row) if row else None


def of_repo(conn: sa.Connection, repo_id: int) -> list[BranchRow]:
    """Return a repo's branches, newest first."""
    return [
        checked(row)
        for row in conn.execute(_BRANCH.where(branch.c.repo_id == repo_id).order_by(branch.c.id.desc()))
    ]


def with_head(conn: sa.Connection, commit_ids: Iterable[int]) -> list[BranchRow]:
    """Return the branches whose head is one of the commits."""
    return [checked(row) for row in conn.execute(_BRANCH.where(branch.c.head_id.in_(list(commit_ids))))]


def add(conn: sa.Connection, repo_id: int, name: str, now: float) -> BranchRow:
    """Insert a branch without a head.

    Args:
        conn: connection of the transaction.
        repo_id: row number of the repo.
        name: name of the branch.
        now: current time, in seconds since the epoch.
    """
    values: dict[str, Any] = {
        "repo_id": repo_id, "name": name, "head_id": None, "trigger": None,
        "created_at": now, "updated_at": now, "metadata": {}, "checksum": checksums.of(repo_id, name, None),
    }  # fmt: skip
    number = inserted_id(conn.execute(branch.insert().values(values)))
    return BranchRow(number, repo_id, name, None, None, now, now, {})


def with_trigger(conn: sa.Connection) -> list[BranchRow]:
    """Return the branches that have a trigger."""
    return [
        checked(row) for row in conn.execute(_BRANCH.where(sa.cast(branch.c.trigger, sa.Text).like("{%")))
    ]


def set_trigger(conn: sa.Connection, branch_id: int, trigger: dict[str, Any]) -> None:
    """Set a branch's trigger.

    Args:
        conn: connection of the transaction.
        branch_id: row number of the branch.
        trigger: as ``model.trigger_rules.SetTrigger.to_json`` returns it.
    """
    conn.execute(branch.update().where(branch.c.id == branch_id).values(trigger=trigger))


def move(conn: sa.Connection, branch_id: int, head_id: int | None, now: float) -> None:
    """Set a branch's head.

    Args:
        conn: connection of the transaction.
        branch_id: row number of the branch.
        head_id: row number of the new head; None: no head.
        now: current time, in seconds since the epoch.
    """
    move_row(conn, by_id(conn, branch_id), head_id, now)


def move_row(conn: sa.Connection, row: BranchRow, head_id: int | None, now: float) -> BranchRow:
    """Set the head of a branch by its row; return its new row.

    Args:
        conn: connection of the transaction.
        row: the row as it was read in this transaction.
        head_id: row number of the new head; None: no head.
        now: current time, in seconds since the epoch.
    """
    _MOVE.send(
        conn, branch_id=row.id, new_head=head_id, now=now, sum=checksums.of(row.repo_id, row.name, head_id)
    )
    return replace(row, head_id=head_id, updated_at=now)


def remove(conn: sa.Connection, branch_id: int) -> None:
    """Delete a branch and its provenance."""
    conn.execute(branch_provenance.delete().where(branch_provenance.c.branch_id == branch_id))
    conn.execute(branch_provenance.delete().where(branch_provenance.c.upstream_id == branch_id))
    conn.execute(branch.delete().where(branch.c.id == branch_id))


def upstream(conn: sa.Connection, branch_id: int) -> list[Edge]:
    """Return the direct provenance of a branch."""
    return [Edge(*row) for row in _UP.rows(conn, branch_id=branch_id)]


def sources(conn: sa.Connection, branch_id: int) -> list[tuple[BranchRow, str]]:
    """Return the branches of the direct provenance of a branch, each with the type of its repo."""
    return [(checked(row[:-1]), row[-1]) for row in _SOURCES.rows(conn, branch_id=branch_id)]


def downstream(conn: sa.Connection, branch_id: int) -> list[Edge]:
    """Return the edges to branches whose direct provenance this branch is."""
    return [Edge(*row) for row in _DOWN.rows(conn, branch_id=branch_id)]


def set_provenance(conn: sa.Connection, branch_id: int, edges: Iterable[tuple[int, bool]]) -> None:
    """Replace a branch's direct provenance by ``(upstream branch, never)`` pairs.

    Args:
        conn: connection of the transaction.
        branch_id: row number of the branch.
        edges: pairs of the row number of an upstream branch and whether changes there start no job.
    """
    conn.execute(branch_provenance.delete().where(branch_provenance.c.branch_id == branch_id))
    rows = [{"branch_id": branch_id, "upstream_id": up, "never": never} for up, never in edges]
    if rows:
        conn.execute(branch_provenance.insert(), rows)
