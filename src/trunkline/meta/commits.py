"""Queries and writes on commits, and on the layers of open ones. ``commit_graph`` finds the commits next to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta import branches, checksums
from trunkline.meta.query import ListQuery, Query, gather, page_of, require
from trunkline.meta.schema import branch, commit, commit_provenance, layer, pipeline, project, repo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.model.names import RepoName


class CommitRow(Struct, frozen=True):
    """A commit."""

    id: int
    set_id: str
    repo_id: int
    branch_name: str
    parent_id: int | None
    origin: str
    description: str
    error: str
    started: float
    finished: float | None
    tree: bytes | None
    size: int
    metadata: dict[str, str]


#: All columns of ``CommitRow``, then the checksum: ``checked`` makes a row of them.
QUERY = sa.select(*(commit.c[name] for name in CommitRow.__struct_fields__), commit.c.checksum)
_BY_ID = Query(QUERY.where(commit.c.id == sa.bindparam("commit_id")))
_IN_SET = Query(
    QUERY.where(commit.c.set_id == sa.bindparam("set_id"), commit.c.repo_id == sa.bindparam("repo_id"))
)
_IN_NAMED_REPO = (
    project.c.name == sa.bindparam("project"),
    repo.c.name == sa.bindparam("repo_name"),
    repo.c.type == sa.bindparam("repo_type"),
)
_HEAD = Query(
    QUERY.add_columns(*branches.COLUMNS)
    .join(branch, branch.c.head_id == commit.c.id)
    .join(repo, repo.c.id == branch.c.repo_id)
    .join(project, project.c.id == repo.c.project_id)
    .where(*_IN_NAMED_REPO, branch.c.name == sa.bindparam("branch_name"))
)
_NAMED = Query(
    QUERY.join(repo, repo.c.id == commit.c.repo_id)
    .join(project, project.c.id == repo.c.project_id)
    .where(*_IN_NAMED_REPO, commit.c.set_id == sa.bindparam("set_id"))
)
_META = Query(
    QUERY.join(branch, branch.c.repo_id == commit.c.repo_id)
    .join(pipeline, pipeline.c.meta_branch_id == branch.c.id)
    .where(pipeline.c.id == sa.bindparam("pipeline_id"), commit.c.set_id == sa.bindparam("set_id"))
)
_LAYERS = Query(
    sa.select(layer.c.id, layer.c.delta)
    .where(layer.c.commit_id == sa.bindparam("commit_id"))
    .order_by(layer.c.id)
)
_FINISH = Query(
    commit.update()
    .where(commit.c.id == sa.bindparam("commit_id"), commit.c.finished.is_(None))
    .values(
        finished=sa.bindparam("at"), tree=sa.bindparam("new_tree"), size=sa.bindparam("new_size"),
        error=sa.bindparam("why"), description=sa.bindparam("text"), checksum=sa.bindparam("sum"),
    )
)  # fmt: skip
_ADD = Query(commit.insert().returning(commit.c.id))
_ADD_PROVENANCE = Query(commit_provenance.insert())
_ADD_LAYER = Query(layer.insert())
_CLEAR_LAYERS = Query(layer.delete().where(layer.c.commit_id == sa.bindparam("of_commit")))
_BY_IDS = ListQuery(QUERY, commit.c.id)
_FIRST_FROM = Query(
    sa.select(commit.c.id, commit.c.started)
    .where(commit.c.id >= sa.bindparam("number"))
    .order_by(commit.c.id)
    .limit(1)
)
_LAST = Query(sa.select(sa.func.max(commit.c.id)))


def checksum(row: CommitRow) -> int:
    """Return the checksum of a commit's row."""
    return checksums.of(
        row.set_id, row.repo_id, row.branch_name, row.parent_id, row.origin, row.tree, row.size
    )


def checked(values: Sequence[Any]) -> CommitRow:
    """Return a row after comparing it with its checksum, which is its last value.

    Raises:
        DataLoss: they do not match.
    """
    row = CommitRow(*values[:-1])
    if values[-1] != checksum(row):
        raise checksums.damaged("commit", (row.id, row.set_id, row.branch_name))
    return row


def by_id(conn: sa.Connection, commit_id: int) -> CommitRow:
    """Return a commit that exists."""
    return checked(require(_BY_ID.first(conn, commit_id=commit_id)))


def find_by_id(conn: sa.Connection, commit_id: int) -> CommitRow | None:
    """Return a commit, or None when it was removed."""
    row = _BY_ID.first(conn, commit_id=commit_id)
    return checked(row) if row else None


def find(conn: sa.Connection, set_id: str, repo_id: int) -> CommitRow | None:
    """Return the commit of a set in a repo.

    Args:
        conn: connection of the transaction.
        set_id: id of the commit set.
        repo_id: row number of the repo.
    """
    row = _IN_SET.first(conn, set_id=set_id, repo_id=repo_id)
    return checked(row) if row else None


def head(conn: sa.Connection, repo_name: RepoName, branch_name: str) -> CommitRow | None:
    """Return the head of a branch; None when there is no such repo, branch or head.

    Args:
        conn: connection of the transaction.
        repo_name: name of the repo.
        branch_name: name of the branch.
    """
    row = _HEAD.first(
        conn, project=repo_name.project, repo_name=repo_name.name, repo_type=repo_name.type,
        branch_name=branch_name,
    )  # fmt: skip
    if row is None:
        return None
    branches.checked(row[-len(branches.COLUMNS) :])
    return checked(row[: -len(branches.COLUMNS)])


def find_named(conn: sa.Connection, repo_name: RepoName, set_id: str) -> CommitRow | None:
    """Return the commit of a set in a repo; None when there is no such repo or commit.

    Args:
        conn: connection of the transaction.
        repo_name: name of the repo.
        set_id: id of the commit set.
    """
    row = _NAMED.first(
        conn, project=repo_name.project, repo_name=repo_name.name, repo_type=repo_name.type, set_id=set_id
    )
    return checked(row) if row else None


def meta_commit(conn: sa.Connection, pipeline_id: int, set_id: str) -> CommitRow | None:
    """Return the commit of a set in the meta repo of a pipeline.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        set_id: id of the commit set.
    """
    row = _META.first(conn, pipeline_id=pipeline_id, set_id=set_id)
    return checked(row) if row else None


def of_set(conn: sa.Connection, set_id: str) -> list[CommitRow]:
    """Return the commits of a set, oldest first."""
    return [
        checked(row) for row in conn.execute(QUERY.where(commit.c.set_id == set_id).order_by(commit.c.id))
    ]


def page(
    conn: sa.Connection,
    *,
    repo_id: int | None = None,
    beyond: int | None = None,
    oldest_first: bool = False,
    number: int,
) -> list[CommitRow]:
    """Return a page of commits in the order of their row numbers, newest first unless ``oldest_first``.

    Args:
        conn: a snapshot.
        repo_id: only commits of this repo.
        beyond: only commits after this row number in the order of the list.
        oldest_first: the order.
        number: at most so many.
    """
    query: sa.Select[Any] = QUERY
    if repo_id is not None:
        query = page_of(
            query, commit.c.repo_id, commit.c.id, repo_id, beyond=beyond, oldest_first=oldest_first
        )
    else:
        query = query.order_by(commit.c.id if oldest_first else commit.c.id.desc())
        if beyond is not None:
            query = query.where(commit.c.id > beyond if oldest_first else commit.c.id < beyond)
    return [checked(row) for row in conn.execute(query.limit(number))]


def set_ids(
    conn: sa.Connection, below: int | None, number: int, repo_ids: frozenset[int] | None
) -> tuple[list[str], int | None]:
    """Return the ids of commit sets, newest first, a page at a time. A set is as new as its newest commit.

    Args:
        conn: a snapshot.
        below: only sets whose newest commit has a lower row number.
        number: commits to look at; there are at most so many sets in the page.
        repo_ids: only commits in these repos count; None for all.

    Returns:
        The sets, and what is ``below`` for the next page; None after the last.
    """
    newer = commit.alias("newer")
    is_newest = ~sa.exists().where(newer.c.set_id == commit.c.set_id, newer.c.id > commit.c.id)
    columns = (commit.c.id, commit.c.set_id, commit.c.repo_id, is_newest)
    query = sa.select(*columns).order_by(commit.c.id.desc()).limit(number)
    if below is not None:
        query = query.where(commit.c.id < below)
    rows = conn.execute(query).all()
    sets = []
    for row in rows:
        if repo_ids is None:
            if row[3]:
                sets.append(row.set_id)
        elif row.repo_id in repo_ids:
            later = sa.select(commit.c.repo_id).where(commit.c.set_id == row.set_id, commit.c.id > row.id)
            if repo_ids.isdisjoint(conn.execute(later).scalars()):
                sets.append(row.set_id)
    return sets, rows[-1].id if len(rows) == number else None


def by_ids(conn: sa.Connection, commit_ids: Sequence[int]) -> list[CommitRow]:
    """Return those of the commits that exist, in no order."""
    return [checked(row) for row in _BY_IDS.rows(conn, commit_ids)]


def first_started_from(conn: sa.Connection, started: float) -> int:
    """Return the lowest row number of a commit started at that time or later; one beyond the last without any.

    Found by bisection, as ``jobs.first_created_from``.
    """
    low, high = 1, (_LAST.value(conn) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = _FIRST_FROM.first(conn, number=middle)
        if row is None or row[1] >= started:
            high = middle
        else:
            low = int(row[0]) + 1
    return low


def add(
    conn: sa.Connection,
    *,
    set_id: str,
    repo_id: int,
    branch_name: str,
    parent_id: int | None,
    origin: str,
    description: str,
    started: float,
    provenance: Iterable[int] = (),
) -> CommitRow:
    """Insert an open commit.

    Args:
        conn: connection of the transaction.
        set_id: id of the commit set.
        repo_id: row number of the repo.
        branch_name: branch that the commit is started on; empty: none.
        parent_id: row number of the parent; None: no parent.
        origin: why the commit exists, as the API calls it.
        description: free text, shown to users.
        started: time of the start, in seconds since the epoch.
        provenance: row numbers of the commits that it depends on directly.
    """
    values: dict[str, Any] = {
        "set_id": set_id, "repo_id": repo_id, "branch_name": branch_name, "parent_id": parent_id, "origin": origin,
        "description": description, "error": "", "started": started, "finished": None, "tree": None, "size": 0,
        "metadata": {},
    }  # fmt: skip
    number = int(_ADD.value(conn, **values, checksum=checksum(CommitRow(id=0, **values))))
    for upstream_id in dict.fromkeys(provenance):
        _ADD_PROVENANCE.send(conn, commit_id=number, upstream_id=upstream_id)
    return CommitRow(id=number, **values)


def finish(
    conn: sa.Connection, row: CommitRow, *, tree: bytes, size: int, error: str, description: str, at: float
) -> CommitRow:
    """Finish an open commit and drop its layers.

    Args:
        conn: the transaction.
        row: the open commit as this transaction has read or made it.
        tree: its files.
        size: bytes of its files.
        error: why it is not good, or empty.
        description: replaces the one that it has.
        at: seconds since the epoch.

    Returns:
        The finished commit.
    """
    finished = replace(row, tree=tree, size=size, error=error, description=description, finished=at)
    _FINISH.send(
        conn, commit_id=row.id, at=at, new_tree=tree, new_size=size, why=error, text=description,
        sum=checksum(finished),
    )  # fmt: skip
    clear_layers(conn, row.id)
    return finished


def set_tree(conn: sa.Connection, row: CommitRow, tree: bytes) -> None:
    """Record the tree of a finished commit whose files were not stored before. Its size stays.

    Args:
        conn: connection of the transaction.
        row: the finished commit.
        tree: id of the tree of its files.
    """
    values = {"tree": tree, "checksum": checksum(replace(row, tree=tree))}
    conn.execute(commit.update().where(commit.c.id == row.id).values(values))


def find_with_layers(conn: sa.Connection, commit_id: int) -> tuple[CommitRow | None, list[tuple[int, bytes]]]:
    """Return a commit, or None when it was removed, and ``(number, delta)`` of its layers in order."""
    rows, layers = gather(conn, (_BY_ID, {"commit_id": commit_id}), (_LAYERS, {"commit_id": commit_id}))
    return (checked(rows[0]) if rows else None), [(row[0], row[1]) for row in layers]


def layers(conn: sa.Connection, commit_id: int) -> list[tuple[int, bytes]]:
    """Return ``(number, delta)`` of an open commit's layers in order."""
    return [(row[0], row[1]) for row in _LAYERS.rows(conn, commit_id=commit_id)]


def add_layers(conn: sa.Connection, commit_id: int, deltas: Iterable[bytes]) -> None:
    """Append deltas to an open commit.

    Args:
        conn: connection of the transaction.
        commit_id: row number of the commit.
        deltas: ids of the trees of changes, in their order.
    """
    for delta in deltas:
        _ADD_LAYER.send(conn, commit_id=commit_id, delta=delta)


def clear_layers(conn: sa.Connection, commit_id: int) -> None:
    """Drop an open commit's deltas."""
    _CLEAR_LAYERS.send(conn, of_commit=commit_id)


def set_parent(conn: sa.Connection, commit_ids: Sequence[int], parent_id: int | None) -> None:
    """Give commits another parent.

    Args:
        conn: connection of the transaction.
        commit_ids: row numbers of the commits.
        parent_id: row number of the parent; None: no parent.
    """
    rows = [replace(row, parent_id=parent_id) for row in by_ids(conn, commit_ids)]
    if rows:
        conn.execute(
            commit.update()
            .where(commit.c.id == sa.bindparam("row"))
            .values(parent_id=parent_id, checksum=sa.bindparam("sum")),
            [{"row": row.id, "sum": checksum(row)} for row in rows],
        )


def remove(conn: sa.Connection, commit_ids: Sequence[int]) -> None:
    """Delete commits that are nobody's parent or head, with their provenance and layers."""
    removals = [{"removed_id": number} for number in commit_ids]
    if removals:
        for column in (
            commit_provenance.c.commit_id, commit_provenance.c.upstream_id, layer.c.commit_id, commit.c.id,
        ):  # fmt: skip
            conn.execute(column.table.delete().where(column == sa.bindparam("removed_id")), removals)


def oldest(conn: sa.Connection, repo_id: int, number: int) -> list[int]:
    """Return the row numbers of a repo's oldest commits.

    Args:
        conn: connection of the transaction.
        repo_id: row number of the repo.
        number: the largest number of rows.
    """
    query = sa.select(commit.c.id).where(commit.c.repo_id == repo_id).order_by(commit.c.id).limit(number)
    return list(conn.execute(query).scalars())
