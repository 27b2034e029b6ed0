"""The tables. One schema for SQLite and PostgreSQL; ``migrations`` holds its history.

Times are seconds since the epoch, UTC. ``id`` is a row's own number and never leaves the server; names
and 32-digit hex ids are what the outside knows. Bulk rows (files, datums) are not here: they live in
trees, and these tables hold tree ids.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
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
    Table,
    Text,
    UniqueConstraint,
)

from trunkline.meta.column_types import Id, State, row_id, text
from trunkline.model.states import ClaimState, JobState, PipelineState, WorkerState

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


#: Indexes of some rows, with their condition. Naming an option of PostgreSQL would import its dialect (30 ms) into
#: servers on SQLite too; ``install`` sets it.
partial_indexes: list[tuple[Index, sa.TextClause]] = []


def _partial_index(name: str, *columns: Column[Any], where: sa.TextClause) -> None:
    """Add an index of the rows for which ``where`` holds; a query uses it when it says the same."""
    partial_indexes.append((Index(name, *columns, sqlite_where=where), where))


#: Facts about this installation: cluster id, format version.
setting = Table(
    "setting", metadata, Column("name", text(64), primary_key=True), Column("value", Text, nullable=False)
)

project = Table(
    "project",
    metadata,
    row_id(),
    Column("name", text(64), nullable=False, unique=True),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    #: Defaults of its pipelines' specs, as JSON text.
    Column("defaults", Text, nullable=False, default="{}"),
    #: When the defaults were set last.
    Column("defaults_at", Float),
)

repo = Table(
    "repo",
    metadata,
    row_id(),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", text(128), nullable=False),
    #: user, spec or meta
    Column("type", text(16), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("project_id", "name", "type"),
)

#: A commit. Its number orders commits by creation. ``tree`` is set exactly when ``finished`` is.
commit = Table(
    "commit",
    metadata,
    row_id(),
    #: The id people see, shared by all commits of one commit set.
    Column("set_id", text(32), nullable=False),
    Column("repo_id", Id, ForeignKey("repo.id"), nullable=False),
    #: Name of the branch it was made on; stays when the branch goes.
    Column("branch_name", text(128), nullable=False),
    Column("parent_id", Id, ForeignKey("commit.id")),
    #: USER, AUTO or FSCK
    Column("origin", text(8), nullable=False),
    Column("description", Text, nullable=False, default=""),
    #: Empty, or why this commit is bad; a bad commit's tree is that of its nearest good ancestor.
    Column("error", Text, nullable=False, default=""),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("tree", LargeBinary),
    Column("size", BigInteger, nullable=False, default=0),
    Column("metadata", JSON, nullable=False, default=dict),
    #: Of what identifies the row and what it refers to (``meta.checksums``).
    Column("checksum", BigInteger),
    UniqueConstraint("set_id", "repo_id"),
    Index("ix_commit_repo_id_id", "repo_id", "id"),
    Index("ix_commit_parent_id", "parent_id"),
    sqlite_autoincrement=True,
)

commit_provenance = Table(
    "commit_provenance",
    metadata,
    Column("commit_id", Id, ForeignKey("commit.id"), primary_key=True),
    Column("upstream_id", Id, ForeignKey("commit.id"), primary_key=True),
    # With the other end, so that the newest of many downstream commits are found without sorting all.
    Index("ix_commit_provenance_upstream_id_commit_id", "upstream_id", "commit_id"),
)

#: Deltas of an open commit in the order they were written; gone when the commit is finished.
layer = Table(
    "layer",
    metadata,
    row_id(),
    Column("commit_id", Id, ForeignKey("commit.id"), nullable=False, index=True),
    Column("delta", LargeBinary, nullable=False),
)

branch = Table(
    "branch",
    metadata,
    row_id(),
    Column("repo_id", Id, ForeignKey("repo.id"), nullable=False),
    Column("name", text(128), nullable=False),
    Column("head_id", Id, ForeignKey("commit.id"), index=True),
    Column("trigger", JSON),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    #: As in ``commit``.
    Column("checksum", BigInteger),
    UniqueConstraint("repo_id", "name"),
)

branch_provenance = Table(
    "branch_provenance",
    metadata,
    Column("branch_id", Id, ForeignKey("branch.id"), primary_key=True),
    Column("upstream_id", Id, ForeignKey("branch.id"), primary_key=True),
    #: Commits of the upstream branch do not reach this one (``propagation_spec.never``).
    Column("never", Boolean, nullable=False, default=False),
    Index("ix_branch_provenance_upstream_id", "upstream_id"),
)

#: Deltas with a lease, on top of ``tree`` (empty bytes: of nothing).
fileset = Table(
    "fileset",
    metadata,
    Column("handle", text(32), primary_key=True),
    Column("tree", LargeBinary, nullable=False),
    #: Hex tree ids, applied in order.
    Column("deltas", JSON, nullable=False),
    #: Seconds that it lives after its creation or last renewal.
    Column("ttl", Float, nullable=False),
    #: Moves with each renewal.
    Column("renewals", BigInteger, nullable=False, default=0),
)

pack = Table(
    "pack",
    metadata,
    row_id(),
    Column("name", text(64), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    #: A small pack itself; null when it is an object.
    Column("body", LargeBinary),
)

#: A pack that is a write's only one and small, whole: its chunks are not in the chunk index. The log service copies
#: it into a pack of the object store within seconds.
bundle = Table(
    "bundle",
    metadata,
    row_id(),
    Column("pack", text(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Numbers are not given again: readers ask for those after the last that they know.
    sqlite_autoincrement=True,
)

#: Records that have changed since the newest log object, in the order of the changes; written by ``triggers``.
unlogged = Table(
    "unlogged",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=True),
    Column("kind", text(8), nullable=False),
    Column("object_id", Id, nullable=False),
)

#: Leases of chunk writers; see docs/design/states.md, "Leases".
write_session = Table(
    "write_session",
    metadata,
    Column("id", text(32), primary_key=True),
    #: Moves with each renewal.
    Column("counter", BigInteger, nullable=False),
    Column("started", Float, nullable=False),
)

#: The chunk index of docs/design/format.md.
chunk = Table(
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

#: One row: sums over the store that are too dear to count.
storage_total = Table(
    "storage_total",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("chunks", BigInteger, nullable=False),
    Column("packs", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("chunk_bytes", BigInteger, nullable=False),
    Column("written_bytes", BigInteger, nullable=False),
)

pipeline = Table(
    "pipeline",
    metadata,
    row_id(),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", text(64), nullable=False),
    #: The current one; earlier ones stay in pipeline_version.
    Column("version", Integer, nullable=False),
    Column("state", State(PipelineState, 16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("stopped", Boolean, nullable=False, default=False),
    #: The scaling target of the last decision.
    Column("target", Integer, nullable=False, default=0),
    #: Its share of a full fleet while it has more workers: those beyond it get no more work. Null: no limit.
    Column("worker_limit", Integer),
    Column("output_branch_id", Id, ForeignKey("branch.id")),
    Column("spec_branch_id", Id, ForeignKey("branch.id")),
    #: Follows what the output branch follows.
    Column("meta_branch_id", Id),
    #: Jobs up to this one have a bill.
    Column("billed_job_id", Id, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("metadata", JSON, nullable=False, default=dict),
    UniqueConstraint("project_id", "name"),
    # Numbers are not given again: loops, workers and parsed specifications are remembered by them.
    sqlite_autoincrement=True,
)

pipeline_version = Table(
    "pipeline_version",
    metadata,
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("user_json", Text, nullable=False),
    Column("effective_json", Text, nullable=False),
    Column("salt", text(64), nullable=False),
    Column("spec_set_id", text(32), nullable=False),
    Column("created_at", Float, nullable=False),
)

#: A job; its id outside is the set id of its output commit.
job = Table(
    "job",
    metadata,
    row_id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("commit_id", Id, ForeignKey("commit.id"), nullable=False, unique=True),
    Column("set_id", text(32), nullable=False, index=True),
    Column("state", State(JobState, 12), nullable=False),
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
    #: The last good job, whose datums need not run again. No foreign key: it may be deleted.
    Column("base_id", Id),
    #: Datum tree of what must run and is not in ``early``, addressed by position; set when the job is RUNNING.
    Column("todo", LargeBinary),
    #: Datums of ``early`` and ``todo``.
    Column("todo_count", BigInteger, nullable=False, default=0),
    #: Bytes of the inputs of all datums of the todo.
    Column("todo_bytes", BigInteger, nullable=False, default=0),
    #: Datum tree of what runs before the job is planned, at the positions before those of ``todo``
    #: (docs/design/jobs.md); null: nothing does.
    Column("early", LargeBinary),
    Column("early_count", BigInteger, nullable=False, default=0, server_default="0"),
    #: Datum tree of what differs from the live job before it; set when that was looked at.
    Column("early_changes", LargeBinary),
    #: Positions before this one have been claimed at least once.
    Column("cursor", BigInteger, nullable=False, default=0),
    #: Datum tree of what is gone since the base job (rows of the base).
    Column("gone", LargeBinary, key="obsolete"),
    #: Datum tree of the whole job; set on SUCCESS.
    Column("datums", LargeBinary),
    #: Trace that it belongs to, as W3C headers; none without one.
    Column("trace", text(600)),
    #: When its first position was claimed, when its last one was, and when the last result came so far.
    Column("first_claim", Float),
    Column("last_claim", Float),
    Column("last_result", Float),
    Index("ix_job_pipeline_id_id", "pipeline_id", "id"),
    sqlite_autoincrement=True,
)
# What is alive, or worth remembering, is found without reading what else there was.
_partial_index("ix_job_live", job.c.pipeline_id, job.c.id, where=sa.text("finished IS NULL"))
_partial_index(
    "ix_job_worked",
    job.c.pipeline_id,
    job.c.id,
    where=sa.text("finished IS NOT NULL AND todo_count > 0"),
)
_partial_index(
    "ix_job_with_results",
    job.c.pipeline_id,
    job.c.version,
    job.c.id,
    where=sa.text("state = 'SUCCESS' AND processed > 0"),
)

#: What lists and counts of ended jobs need, by the time of their end.
_partial_index(
    "ix_job_ended",
    job.c.finished,
    job.c.state,
    job.c.pipeline_id,
    job.c.id,
    where=sa.text("finished IS NOT NULL"),
)
_partial_index(
    "ix_job_unsuccessful",
    job.c.id,
    where=sa.text("state IN ('FAILURE', 'KILLED', 'UNRUNNABLE')"),
)

#: What the workers of a job have cost, once nothing can change it any more.
job_bill = Table(
    "job_bill",
    metadata,
    Column("job_id", Id, ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("worker_seconds", Float, nullable=False),
    Column("dollars", Float, nullable=False),
    Column("unpriced_seconds", Float, nullable=False),
    Column("pretended", Boolean, nullable=False),
)

#: A run [start, stop) of a job's todo; see docs/design/states.md.
claim = Table(
    "claim",
    metadata,
    Column("id", text(32), primary_key=True),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    #: Where its owner took it over: position 0 of what the owner knows.
    Column("start", BigInteger, nullable=False),
    Column("stop", BigInteger, nullable=False),
    #: Positions before this one have a recorded result.
    Column("done", BigInteger, nullable=False),
    Column("state", State(ClaimState, 8), nullable=False),
    Column("worker_id", text(32)),
    #: Moves with each renewal; see docs/design/states.md, "Leases".
    Column("renewals", BigInteger, nullable=False, default=0),
    #: The owner was asked to run its datum again.
    Column("restart", Boolean, nullable=False, default=False),
    #: What the owner last said it is running.
    Column("datum_position", BigInteger),
    Column("datum_started", Float),
    #: Workers that crashed one after the other while they ran the datum at ``done``.
    Column("lost_attempts", Integer, nullable=False, default=0),
    #: A worker crashed in it: it is given out one datum at a time, so that the next crash names its datum.
    Column("one_by_one", Boolean, nullable=False, default=False),
    Index("ix_claim_job_id_state", "job_id", "state"),
    Index("ix_claim_worker_id", "worker_id"),
)
_partial_index("ix_claim_live", claim.c.id, where=sa.text("state = 'claimed'"))

#: What one Complete call recorded: a delta of outputs and a datum tree of results.
handin = Table(
    "handin",
    metadata,
    row_id(),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False, index=True),
    Column("delta", LargeBinary, nullable=False),
    Column("rows", LargeBinary, nullable=False),
    #: Position in the job of its first datum; null without rows, and in results of an earlier job.
    Column("first", BigInteger),
)
_partial_index("ix_handin_first", handin.c.job_id, handin.c.first, where=sa.text("first IS NOT NULL"))

#: What datums that a worker completed add up to (docs/design/console.md, "Sums of datums").
datum_sum = Table(
    "datum_sum",
    metadata,
    row_id(),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("worker_id", text(32), nullable=False),
    #: When the first datum began and the last ended.
    Column("begin_at", Float, key="begin", nullable=False),
    Column("end_at", Float, key="end", nullable=False),
    Column("datums", BigInteger, key="count", nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("recovered", BigInteger, nullable=False),
    #: Seconds in which a datum ran.
    Column("busy", Float, nullable=False),
    #: ``pps.datum_sums.Body``.
    Column("body", LargeBinary, nullable=False),
    Index("ix_datum_sum_job_id_id", "job_id", "id"),
)

worker = Table(
    "worker",
    metadata,
    Column("id", text(32), primary_key=True),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    #: BLAKE3 of the token.
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("state", State(WorkerState, 10), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("created", Float, nullable=False),
    Column("ready", Float),
    #: When it entered its state.
    Column("since", Float, nullable=False),
    #: The machine it is on: the fields of model.workers.Machine; null while it has none.
    Column("machine", JSON(none_as_null=True)),
    sqlite_with_rowid=False,
)

#: Workers that are gone: what is needed to say what a job has cost.
worker_past = Table(
    "worker_past",
    metadata,
    row_id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("created", Float, nullable=False),
    Column("ready", Float),
    Column("ended", Float, nullable=False),
    Column("machine", JSON(none_as_null=True)),
    Index("ix_worker_past_pipeline_id_ended", "pipeline_id", "ended"),
)

#: What happened to workers, in words.
worker_event = Table(
    "worker_event",
    metadata,
    row_id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("worker_id", text(32), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", State(WorkerState, 10), nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_worker_event_pipeline_id_id", "pipeline_id", "id"),
    sqlite_autoincrement=True,
)

#: How long starts of workers took, newest last.
startup = Table(
    "startup",
    metadata,
    row_id(),
    #: The fleet's name, the image, and the kind of machine.
    Column("fleet", text(32), nullable=False),
    Column("image", Text, nullable=False),
    Column("machine_kind", text(32), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_startup_fleet_image_id", "fleet", "image", "id"),
)

decision = Table(
    "decision",
    metadata,
    row_id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("target", Integer, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Index("ix_decision_pipeline_id_id", "pipeline_id", "id"),
)

#: A batch of log lines: one zstd frame of JSON lines.
log_batch = Table(
    "log_batch",
    metadata,
    row_id(),
    Column("pipeline_id", Id, ForeignKey("pipeline.id"), nullable=False),
    Column("job_id", Id, ForeignKey("job.id")),
    Column("worker_id", text(32), nullable=False),
    Column("first_ts", Float, nullable=False),
    Column("last_ts", Float, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_log_batch_pipeline_id_id", "pipeline_id", "id"),
    Index("ix_log_batch_job_id_id", "job_id", "id"),
    sqlite_autoincrement=True,
)

#: The event log: a row for the events of a transaction, several for very many (``event_log``).
event_batch = Table(
    "event_batch",
    metadata,
    #: Number of the row's last event.
    Column("id", Id, primary_key=True, autoincrement=False),
    #: Of the server that wrote it.
    Column("epoch", text(8), nullable=False),
    #: Time of its last event.
    Column("at", Float, nullable=False),
    #: Bytes of all rows up to this one since the log began.
    Column("stored", BigInteger, nullable=False),
    #: A JSON object per line.
    Column("body", Text, nullable=False),
)

#: An open transaction: requests that are to be done together (docs/design/transactions.md).
open_transaction = Table(
    "open_transaction",
    metadata,
    #: Of the commits that it will make.
    Column("id", text(32), primary_key=True),
    Column("started", Float, nullable=False),
    #: Time of its last request.
    Column("changed", Float, nullable=False),
    #: How many requests it has.
    Column("version", Integer, nullable=False),
)

transaction_request = Table(
    "transaction_request",
    metadata,
    Column("transaction_id", text(32), ForeignKey("open_transaction.id"), primary_key=True),
    #: Its place, from 1.
    Column("number", Integer, primary_key=True, autoincrement=False),
    #: As the network interface encodes it.
    Column("body", LargeBinary, nullable=False),
)

#: A secret for commands; its values are sealed (``pps.sealing``).
secret = Table(
    "secret",
    metadata,
    row_id(),
    Column("name", text(253), nullable=False, unique=True),
    #: As Kubernetes names it, such as ``Opaque``.
    Column("kind", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    #: Names of its keys, sorted.
    Column("keys", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    #: Which key sealed the values.
    Column("key_id", text(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
