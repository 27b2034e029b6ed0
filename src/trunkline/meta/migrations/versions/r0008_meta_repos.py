"""Pipelines have a meta repo with a branch that follows what the output branch follows.

Jobs that were made before have no meta commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

revision = "0008"
down_revision = "0007"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_JSON = sa.JSON(none_as_null=True)

_PROJECT = sa.table("project", sa.column("id"), sa.column("name"))
_REPO = sa.table(
    "repo", sa.column("id"), sa.column("project_id"), sa.column("name"), sa.column("type"),
    sa.column("description"), sa.column("created_at"), sa.column("metadata", _JSON),
)  # fmt: skip
_BRANCH = sa.table(
    "branch", sa.column("id"), sa.column("repo_id"), sa.column("name"), sa.column("head_id"),
    sa.column("created_at"), sa.column("updated_at"), sa.column("metadata", _JSON), sa.column("checksum"),
)  # fmt: skip
_PROVENANCE = sa.table(
    "branch_provenance", sa.column("branch_id"), sa.column("upstream_id"), sa.column("never")
)
_PIPELINE = sa.table(
    "pipeline", sa.column("id"), sa.column("project_id"), sa.column("name"), sa.column("output_branch_id"),
    sa.column("meta_branch_id"), sa.column("created_at"),
)  # fmt: skip


def upgrade() -> None:
    """Add the column, and repos and branches for the pipelines that exist."""
    op.add_column("pipeline", sa.Column("meta_branch_id", _ID))
    conn = op.get_bind()
    columns = (
        _PIPELINE.c.id, _PIPELINE.c.project_id, _PIPELINE.c.name, _PIPELINE.c.output_branch_id,
        _PIPELINE.c.created_at, _PROJECT.c.name.label("project"), _BRANCH.c.name.label("branch"),
    )  # fmt: skip
    query = (
        sa.select(*columns)
        .join_from(_PIPELINE, _PROJECT, _PROJECT.c.id == _PIPELINE.c.project_id)
        .join(_BRANCH, _BRANCH.c.id == _PIPELINE.c.output_branch_id)
    )
    for row in conn.execute(query).all():
        repo_id = _meta_repo(conn, row)
        branch_id = _branch(conn, repo_id, row.branch, row.created_at)
        edges = sa.select(sa.literal(branch_id), _PROVENANCE.c.upstream_id, _PROVENANCE.c.never).where(
            _PROVENANCE.c.branch_id == row.output_branch_id
        )
        conn.execute(_PROVENANCE.delete().where(_PROVENANCE.c.branch_id == branch_id))
        conn.execute(_PROVENANCE.insert().from_select(["branch_id", "upstream_id", "never"], edges))
        conn.execute(_PIPELINE.update().where(_PIPELINE.c.id == row.id).values(meta_branch_id=branch_id))


def _meta_repo(conn: Connection, row: Any) -> int:
    """Return the meta repo of a pipeline; a client may have made one."""
    query = sa.select(_REPO.c.id).where(
        _REPO.c.project_id == row.project_id, _REPO.c.name == row.name, _REPO.c.type == "meta"
    )
    if conn.execute(query).scalar() is None:
        about = f"Meta repo for pipeline {row.project}/{row.name}."
        conn.execute(
            _REPO.insert().values(
                project_id=row.project_id, name=row.name, type="meta", description=about,
                created_at=row.created_at, metadata={},
            )
        )  # fmt: skip
    return int(conn.execute(query).scalar_one())


def _branch(conn: Connection, repo_id: int, name: str, now: float) -> int:
    """Return the branch of that name in a repo, made when it is missing."""
    query = sa.select(_BRANCH.c.id).where(_BRANCH.c.repo_id == repo_id, _BRANCH.c.name == name)
    if conn.execute(query).scalar() is None:
        conn.execute(
            _BRANCH.insert().values(
                repo_id=repo_id, name=name, head_id=None, created_at=now, updated_at=now, metadata={},
                checksum=crc32(ascii((repo_id, name, None)).encode()),
            )
        )  # fmt: skip
    return int(conn.execute(query).scalar_one())
