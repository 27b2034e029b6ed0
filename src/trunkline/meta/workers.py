"""Queries and writes on workers."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from trunkline.meta.query import Query
from trunkline.meta.schema import worker


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that is wanted or exists."""

    id: str
    pipeline_id: int
    version: int
    token_hash: bytes
    state: str
    reason: str
    created: float
    ready: float | None
    since: float


_WORKER = sa.select(*(worker.c[name] for name in WorkerRow.__slots__))
_BY_ID = Query(_WORKER.where(worker.c.id == sa.bindparam("worker_id")))
_OF = Query(
    _WORKER.where(worker.c.pipeline_id == sa.bindparam("pipeline_id")).order_by(worker.c.created, worker.c.id)
)
_STATE = Query(
    worker.update()
    .where(worker.c.id == sa.bindparam("worker_id"))
    .values(state=sa.bindparam("new_state"), reason=sa.bindparam("why"), since=sa.bindparam("at"))
)


def by_id(conn: sa.Connection, worker_id: str) -> WorkerRow | None:
    """Return a worker, or None when it is gone."""
    row = _BY_ID.first(conn, worker_id=worker_id)
    return WorkerRow(*row) if row else None


def of_pipeline(conn: sa.Connection, pipeline_id: int) -> list[WorkerRow]:
    """Return a pipeline's workers, oldest first."""
    return [WorkerRow(*row) for row in _OF.rows(conn, pipeline_id=pipeline_id)]


def list_all(conn: sa.Connection) -> list[WorkerRow]:
    """Return all workers, oldest first."""
    return [WorkerRow(*row) for row in conn.execute(_WORKER.order_by(worker.c.created, worker.c.id))]


def add(conn: sa.Connection, row: WorkerRow) -> None:
    """Insert a worker."""
    conn.execute(worker.insert().values({name: getattr(row, name) for name in WorkerRow.__slots__}))


def set_state(conn: sa.Connection, worker_id: str, state: str, reason: str, now: float) -> None:
    """Move a worker to a state."""
    _STATE.run(conn, worker_id=worker_id, new_state=state, why=reason, at=now)


def set_reason(conn: sa.Connection, worker_id: str, reason: str) -> None:
    """Say why a worker is in its state."""
    conn.execute(worker.update().where(worker.c.id == worker_id).values(reason=reason))


def set_ready(conn: sa.Connection, worker_id: str, now: float) -> None:
    """Record that a worker registered."""
    conn.execute(
        worker.update().where(worker.c.id == worker_id).values(state="idle", reason="", ready=now, since=now)
    )


def remove(conn: sa.Connection, worker_id: str) -> None:
    """Forget a worker."""
    conn.execute(worker.delete().where(worker.c.id == worker_id))
