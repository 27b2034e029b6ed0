"""The first schema, frozen as it was.

Databases with this revision exist in two shapes: with and without the tables and the column that the
second revision adds when they are missing.
"""

from __future__ import annotations

import time
import uuid

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(length: int) -> String:
    """Return the type of names and ids, compared by their bytes in every locale."""
    return String(length).with_variant(Text(collation="C"), "postgresql")


Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


Table("setting", metadata, Column("name", _text(64), primary_key=True), Column("value", Text, nullable=False))

Table(
    "project",
    metadata,
    _id(),
    Column("name", _text(64), nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
)

Table(
    "repo",
    metadata,
    _id(),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", _text(128), nullable=False),
    Column("type", _text(16), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("project_id", "name", "type"),
)

Table(
    "commit",
    metadata,
    _id(),
    Column("set_id", _text(32), nullable=False),
    Column("repo_id", Id, ForeignKey("repo.id"), nullable=False),
    Column("branch_name", _text(128), nullable=False),
    Column("parent_id", Id, ForeignKey("commit.id")),
    Column("origin", _text(8), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("error", Text, nullable=False, default=""),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("tree", LargeBinary),
    Column("size", BigInteger, nullable=False, default=0),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("set_id", "repo_id"),
    Index("ix_commit_repo_id_id", "repo_id", "id"),
    Index("ix_commit_parent_id", "parent_id"),
    sqlite_autoincrement=True,
)

Table(
    "commit_provenance",
    metadata,
    Column("commit_id", Id, ForeignKey("commit.id"), primary_key=True),
    Column("upstream_id", Id, ForeignKey("commit.id"), primary_key=True),
    Index("ix_commit_provenance_upstream_id", "upstream_id"),
)

Table(
    "layer",
    metadata,
    _id(),
    Column("commit_id", Id, ForeignKey("commit.id"), nullable=False, index=True),
    Column("delta", LargeBinary, nullable=False),
)

Table(
    "branch",
    metadata,
    _id(),
    Column("repo_id", Id, ForeignKey("repo.id"), nullable=False),
    Column("name", _text(128), nullable=False),
    Column("head_id", Id, ForeignKey("commit.id"), index=True),
    Column("trigger", JSON),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("repo_id", "name"),
)

Table(
    "branch_provenance",
    metadata,
    Column("branch_id", Id, ForeignKey("branch.id"), primary_key=True),
    Column("upstream_id", Id, ForeignKey("branch.id"), primary_key=True),
    Column("never", Boolean, nullable=False, default=False),
    Index("ix_branch_provenance_upstream_id", "upstream_id"),
)

Table(
    "fileset",
    metadata,
    Column("handle", _text(32), primary_key=True),
    Column("tree", LargeBinary, nullable=False),
    Column("deltas", JSON, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

Table(
    "pack",
    metadata,
    _id(),
    Column("name", _text(64), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("body", LargeBinary),
)

Table(
    "chunk",
    metadata,
    Column("id", LargeBinary(32), primary_key=True),
    Column("pack_id", Id, ForeignKey("pack.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("stored", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("codec", Integer, nullable=False),
    sqlite_with_rowid=False,
)

Table(
    "storage_total",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("chunks", BigInteger, nullable=False),
    Column("packs", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("chunk_bytes", BigInteger, nullable=False),
    Column("written_bytes", BigInteger, nullable=False),
)

Table(
    "pipeline",
    metadata,
    _id(),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", _text(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", _text(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("stopped", Boolean, nullable=False, default=False),
    Column("target", Integer, nullable=False, default=0),
    Column("output_branch_id", Id, ForeignKey("branch.id")),
    Column("spec_branch_id", Id, ForeignKey("branch.id")),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

Table(
    "pipeline_version",
    metadata,
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("user_json", Text, nullable=False),
    Column("effective_json", Text, nullable=False),
    Column("salt", _text(64), nullable=False),
    Column("spec_set_id", _text(32), nullable=False),
    Column("created_at", Float, nullable=False),
)

Table(
    "job",
    metadata,
    _id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("commit_id", Id, ForeignKey("commit.id"), nullable=False, unique=True),
    Column("set_id", _text(32), nullable=False, index=True),
    Column("state", _text(12), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("restart", Integer, nullable=False, default=0),
    Column("total", BigInteger, nullable=False, default=0),
    Column("processed", BigInteger, nullable=False, default=0),
    Column("skipped", BigInteger, nullable=False, default=0),
    Column("failed", BigInteger, nullable=False, default=0),
    Column("recovered", BigInteger, nullable=False, default=0),
    Column("download_ns", BigInteger, nullable=False, default=0),
    Column("process_ns", BigInteger, nullable=False, default=0),
    Column("upload_ns", BigInteger, nullable=False, default=0),
    Column("download_bytes", BigInteger, nullable=False, default=0),
    Column("upload_bytes", BigInteger, nullable=False, default=0),
    Column("base_id", Id),
    Column("todo", LargeBinary),
    Column("todo_count", BigInteger, nullable=False, default=0),
    Column("todo_bytes", BigInteger, nullable=False, default=0),
    Column("cursor", BigInteger, nullable=False, default=0),
    Column("gone", LargeBinary),
    Column("datums", LargeBinary),
    Index("ix_job_pipeline_id_id", "pipeline_id", "id"),
    Index("ix_job_state", "state"),
    sqlite_autoincrement=True,
)

Table(
    "claim",
    metadata,
    Column("id", _text(32), primary_key=True),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("stop", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("state", _text(8), nullable=False),
    Column("worker_id", _text(32)),
    Column("lease_until", Float),
    Column("restart", Boolean, nullable=False, default=False),
    Column("datum_position", BigInteger),
    Column("datum_started", Float),
    Index("ix_claim_job_id_state", "job_id", "state"),
    Index("ix_claim_worker_id", "worker_id"),
)

Table(
    "handin",
    metadata,
    _id(),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False, index=True),
    Column("delta", LargeBinary, nullable=False),
    Column("rows", LargeBinary, nullable=False),
)

Table(
    "worker",
    metadata,
    Column("id", _text(32), primary_key=True),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("state", _text(10), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("created", Float, nullable=False),
    Column("ready", Float),
    Column("since", Float, nullable=False),
    sqlite_with_rowid=False,
)

Table(
    "decision",
    metadata,
    _id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("target", Integer, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Index("ix_decision_pipeline_id_id", "pipeline_id", "id"),
)

Table(
    "log_batch",
    metadata,
    _id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("job_id", Id, ForeignKey("job.id")),
    Column("worker_id", _text(32), nullable=False),
    Column("first_ts", Float, nullable=False),
    Column("last_ts", Float, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_log_batch_pipeline_id_id", "pipeline_id", "id"),
    Index("ix_log_batch_job_id_id", "job_id", "id"),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Make every table, and the rows of an empty database."""
    connection = op.get_bind()
    metadata.create_all(connection)
    tables = metadata.tables
    connection.execute(
        tables["setting"].insert(),
        [{"name": "cluster_id", "value": uuid.uuid4().hex}, {"name": "format", "value": "1"}],
    )
    connection.execute(
        tables["storage_total"]
        .insert()
        .values(id=1, chunks=0, packs=0, stored_bytes=0, chunk_bytes=0, written_bytes=0)
    )
    connection.execute(
        tables["project"].insert().values(name="default", description="", created_at=time.time(), metadata={})
    )
