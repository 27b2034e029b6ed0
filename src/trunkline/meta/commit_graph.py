"""Queries on the commits next to a commit: its parent and children, its provenance, and what comes from it."""

from __future__ import annotations

from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from trunkline.meta.commits import QUERY, CommitRow, by_ids, checked
from trunkline.meta.query import ListQuery, Query, page_of
from trunkline.meta.schema import commit, commit_provenance

if TYPE_CHECKING:
    from collections.abc import Sequence


class Relatives(NamedTuple):
    """The commits next to a commit, each group oldest first."""

    parent: CommitRow | None
    children: list[CommitRow]
    #: Its direct provenance, and the commits whose direct provenance it is.
    upstream: list[CommitRow]
    downstream: list[CommitRow]


_UPSTREAM = Query(
    QUERY.join(commit_provenance, commit_provenance.c.upstream_id == commit.c.id)
    .where(commit_provenance.c.commit_id == sa.bindparam("commit_id"))
    .order_by(commit.c.id)
)
_DOWNSTREAM = Query(
    QUERY.join(commit_provenance, commit_provenance.c.commit_id == commit.c.id)
    .where(commit_provenance.c.upstream_id == sa.bindparam("commit_id"))
    .order_by(commit.c.id)
)
_CHILDREN = Query(QUERY.where(commit.c.parent_id == sa.bindparam("commit_id")).order_by(commit.c.id))
# Without an order: PostgreSQL might read all commits in that order to find a few of them.
_CHILDREN_OF = ListQuery(QUERY, commit.c.parent_id)
_UPSTREAM_OF = ListQuery(
    QUERY.add_columns(commit_provenance.c.commit_id).join(
        commit_provenance, commit_provenance.c.upstream_id == commit.c.id
    ),
    commit_provenance.c.commit_id,
)
_DOWNSTREAM_IDS = ListQuery(
    sa.select(commit_provenance.c.upstream_id, commit_provenance.c.commit_id),
    commit_provenance.c.upstream_id,
)
_OTHER = commit_provenance.alias("other")
#: The newest downstream commit beyond so many; null when there are not so many.
_BEYOND = ListQuery(
    sa.select(
        commit.c.id,
        sa.select(_OTHER.c.commit_id)
        .where(_OTHER.c.upstream_id == commit.c.id)
        .order_by(_OTHER.c.commit_id.desc())
        .offset(sa.bindparam("number"))
        .limit(1)
        .correlate(commit)
        .scalar_subquery(),
    ),
    commit.c.id,
)
_DOWNSTREAM_AFTER = Query(
    sa.select(commit_provenance.c.commit_id).where(
        commit_provenance.c.upstream_id == sa.bindparam("upstream"),
        commit_provenance.c.commit_id > sa.bindparam("after"),
    )
)
#: The newest commits that come directly from one commit.
_NEWEST_DOWNSTREAM = (
    page_of(
        sa.select(commit_provenance.c.commit_id),
        commit_provenance.c.upstream_id,
        commit_provenance.c.commit_id,
        sa.bindparam("commit_id", type_=commit.c.id.type),
    )
    .limit(sa.bindparam("number", type_=sa.Integer))
    .subquery()
)
#: What a relative is to the commit, before its columns.
_PARENT, _CHILD, _UP, _DOWN = range(4)


def _relatives(kind: int) -> sa.Select[Any]:
    return sa.select(sa.literal_column(str(kind)).label("kind"), *QUERY.selected_columns)


# Without an order, as ``_CHILDREN_OF``.
_RELATIVES = Query(
    sa.union_all(
        _relatives(_PARENT).where(commit.c.id == sa.bindparam("parent_id")),
        _relatives(_CHILD).where(commit.c.parent_id == sa.bindparam("commit_id")),
        _relatives(_UP)
        .join(commit_provenance, commit_provenance.c.upstream_id == commit.c.id)
        .where(commit_provenance.c.commit_id == sa.bindparam("commit_id")),
        _relatives(_DOWN).join(_NEWEST_DOWNSTREAM, _NEWEST_DOWNSTREAM.c.commit_id == commit.c.id),
    )
)


def upstream(conn: sa.Connection, commit_id: int) -> list[CommitRow]:
    """Return the direct provenance of a commit."""
    return [checked(row) for row in _UPSTREAM.rows(conn, commit_id=commit_id)]


def downstream(conn: sa.Connection, commit_id: int) -> list[CommitRow]:
    """Return the commits whose direct provenance this commit is."""
    return [checked(row) for row in _DOWNSTREAM.rows(conn, commit_id=commit_id)]


def children(conn: sa.Connection, commit_id: int) -> list[CommitRow]:
    """Return the commits whose parent this commit is."""
    return [checked(row) for row in _CHILDREN.rows(conn, commit_id=commit_id)]


def children_of(conn: sa.Connection, commit_ids: Sequence[int]) -> list[CommitRow]:
    """Return the commits whose parent is one of the commits, oldest first."""
    children = [checked(row) for row in _CHILDREN_OF.rows(conn, commit_ids)]
    return sorted(children, key=attrgetter("id"))


def upstream_of(conn: sa.Connection, commit_ids: Sequence[int]) -> list[tuple[CommitRow, int]]:
    """Return the direct provenance of the commits, each with the number of the commit that it is for."""
    edges = [(checked(row[:-1]), row[-1]) for row in _UPSTREAM_OF.rows(conn, commit_ids)]
    return sorted(edges, key=lambda edge: edge[0].id)


def relatives(conn: sa.Connection, row: CommitRow, number: int) -> Relatives:
    """Return the commits next to one commit, by one statement.

    Args:
        conn: connection of the transaction.
        row: the commit.
        number: at most so many downstream commits, the newest ones.
    """
    groups: tuple[list[CommitRow], ...] = ([], [], [], [])
    for values in _RELATIVES.rows(conn, parent_id=row.parent_id, commit_id=row.id, number=number):
        groups[values[0]].append(checked(values[1:]))
    for group in groups:
        if len(group) > 1:
            group.sort(key=attrgetter("id"))
    parents, children, upstream, downstream = groups
    return Relatives(parents[0] if parents else None, children, upstream, downstream)


def neighbours(conn: sa.Connection, commit_ids: Sequence[int], *, up: bool, number: int) -> list[int]:
    """Return the row numbers of the commits next to some commits, each once, in order.

    Args:
        conn: a snapshot.
        commit_ids: row numbers of the commits to start from.
        up: their direct provenance; otherwise what comes directly from them.
        number: at most so many.
    """
    upstream, own = commit_provenance.c.upstream_id, commit_provenance.c.commit_id
    start, end = (own, upstream) if up else (upstream, own)
    query = sa.select(end).distinct().where(start.in_(commit_ids)).order_by(end).limit(number)
    return list(conn.execute(query).scalars())


def newest_downstream_of(
    conn: sa.Connection, commit_ids: Sequence[int], number: int
) -> list[tuple[CommitRow, int]]:
    """Return the newest commits that come directly from each commit, oldest first.

    Args:
        conn: a snapshot.
        commit_ids: row numbers of the upstream commits.
        number: at most so many for each of them.

    Returns:
        Each commit with the number of the one that it comes from.
    """
    beyond = {row[0]: row[1] for row in _BEYOND.rows(conn, commit_ids, number=number)}
    few = [upstream_id for upstream_id in commit_ids if beyond.get(upstream_id) is None]
    edges = [(row[0], row[1]) for row in _DOWNSTREAM_IDS.rows(conn, few)]
    for upstream_id, after in beyond.items():
        if after is not None:
            newest = _DOWNSTREAM_AFTER.rows(conn, upstream=upstream_id, after=after)
            edges.extend((upstream_id, row[0]) for row in newest)
    ends = {row.id: row for row in by_ids(conn, list({end for _, end in edges}))}
    edges.sort(key=itemgetter(1))
    return [(ends[end], upstream_id) for upstream_id, end in edges]
