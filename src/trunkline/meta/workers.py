"""Queries and writes on workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import claim, startup, worker, worker_event, worker_past
from trunkline.model.states import WorkerState, check_transition

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: Starts remembered of a fleet and image.
STARTUPS_KEPT = 20


class WorkerRow(Struct, frozen=True):
    """A worker that is wanted or exists."""

    id: str
    pipeline_id: int
    version: int
    token_hash: bytes
    state: WorkerState
    reason: str
    created: float
    ready: float | None
    since: float
    machine: dict[str, Any] | None = None


class PastRow(Struct, frozen=True):
    """A worker that is gone."""

    created: float
    ready: float | None
    ended: float
    machine: dict[str, Any] | None


class EventRow(Struct, frozen=True):
    """Something that happened to a worker."""

    id: int
    pipeline_id: int
    worker_id: str
    at: float
    state: WorkerState
    text: str


_WORKER = sa.select(*(worker.c[name] for name in WorkerRow.__struct_fields__))
_BY_ID = Query(_WORKER.where(worker.c.id == sa.bindparam("worker_id")))
_OF = Query(
    _WORKER.where(worker.c.pipeline_id == sa.bindparam("pipeline_id")).order_by(worker.c.created, worker.c.id)
)
_BUSY_WITHOUT_CLAIM = Query(
    _WORKER.where(
        worker.c.state == WorkerState.BUSY,
        worker.c.id.not_in(sa.select(claim.c.worker_id).where(sa.text("claim.state = 'claimed'"))),
    )
)
_STATE = Query(
    worker.update()
    .where(worker.c.id == sa.bindparam("worker_id"))
    .values(state=sa.bindparam("new_state"), reason=sa.bindparam("why"), since=sa.bindparam("at"))
)

_THIS = worker.update().where(worker.c.id == sa.bindparam("worker_id"))
_REMOVE = worker.delete().where(worker.c.id == sa.bindparam("worker_id"))
_REASON = _THIS.values(reason=sa.bindparam("why"))
_MACHINE = _THIS.values(machine=sa.bindparam("on"))
_BEGIN = _THIS.where(worker.c.state == WorkerState.PENDING).values(
    state=WorkerState.STARTING, reason="", since=sa.bindparam("at")
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


def busy_without_claim(conn: sa.Connection) -> list[WorkerRow]:
    """Return the workers that run something and own no run of datums, such as those of spouts."""
    return [WorkerRow(*row) for row in _BUSY_WITHOUT_CLAIM.rows(conn)]


def page(conn: sa.Connection, *, after: tuple[float, str] | None, number: int) -> list[WorkerRow]:
    """Return a page of all workers, oldest first.

    Args:
        conn: a snapshot.
        after: creation and id of the last one of the page before; None for the first page.
        number: at most so many.
    """
    query = _WORKER.order_by(worker.c.created, worker.c.id).limit(number)
    if after is not None:
        query = query.where(sa.tuple_(worker.c.created, worker.c.id) > sa.tuple_(*map(sa.literal, after)))
    return [WorkerRow(*row) for row in conn.execute(query)]


def add(conn: sa.Connection, rows: Sequence[WorkerRow]) -> None:
    """Insert workers."""
    conn.execute(
        worker.insert(), [{name: getattr(row, name) for name in WorkerRow.__struct_fields__} for row in rows]
    )


def move(
    conn: sa.Connection, worker_id: str, state: WorkerState, reason: str, now: float
) -> WorkerRow | None:
    """Bring a worker to another state; nothing happens to one that is in it already.

    Args:
        conn: a write transaction.
        worker_id: id of the worker.
        state: its new state.
        reason: why it is in the state; empty when there is nothing to say.
        now: seconds since the epoch.

    Returns:
        What the worker was before, or None when it is gone.

    Raises:
        FailedPrecondition: the move is not legal; the message holds the worker's history.
    """
    row = by_id(conn, worker_id)
    if row is None or row.state is state:
        return row
    what = f"worker {worker_id} of pipeline {row.pipeline_id} version {row.version}"
    check_transition(row.state, state, what, lambda: _history(conn, row))
    _STATE.run(conn, worker_id=worker_id, new_state=state, why=reason, at=now)
    return row


def _history(conn: sa.Connection, row: WorkerRow) -> list[str]:
    """Say what happened to a worker, for an error message."""
    query = (
        sa.select(worker_event.c.at, worker_event.c.state, worker_event.c.text)
        .where(worker_event.c.pipeline_id == row.pipeline_id, worker_event.c.worker_id == row.id)
        .order_by(worker_event.c.id)
    )
    events = [f"{state} at {at:.3f}: {text}" for at, state, text in conn.execute(query)]
    return [*events, f"{row.state} since {row.since:.3f}"]


def set_reasons(conn: sa.Connection, reasons: Sequence[tuple[str, str]]) -> None:
    """Say why workers are in their state: (worker, reason)."""
    if reasons:
        conn.execute(_REASON, [{"worker_id": worker_id, "why": why} for worker_id, why in reasons])


def begin(conn: sa.Connection, worker_ids: Sequence[str], now: float) -> None:
    """Move workers that are pending still to starting.

    Args:
        conn: connection of the transaction.
        worker_ids: ids of the workers.
        now: current time, in seconds since the epoch.
    """
    if worker_ids:
        conn.execute(_BEGIN, [{"worker_id": worker_id, "at": now} for worker_id in worker_ids])


def set_ready(conn: sa.Connection, worker_id: str, now: float) -> None:
    """Record that a worker registered.

    Args:
        conn: connection of the transaction.
        worker_id: id of the worker.
        now: current time, in seconds since the epoch.

    Raises:
        FailedPrecondition: it can no longer become idle.
    """
    move(conn, worker_id, WorkerState.IDLE, "", now)
    conn.execute(worker.update().where(worker.c.id == worker_id).values(ready=now))


def set_machines(conn: sa.Connection, machines: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Say which machines workers are on: (worker, the machine's fields)."""
    if machines:
        conn.execute(_MACHINE, [{"worker_id": worker_id, "on": machine} for worker_id, machine in machines])


def remove_many(
    conn: sa.Connection, pipeline_id: int, worker_ids: Collection[str], now: float
) -> list[WorkerRow]:
    """Move workers of a pipeline to those that are gone, with one statement a kind.

    Args:
        conn: a writing connection.
        pipeline_id: the pipeline of all of them.
        worker_ids: those to remove; unknown ones are ignored.
        now: when they ended, seconds since the epoch.

    Returns:
        Those that it removed.
    """
    removed = [row for row in of_pipeline(conn, pipeline_id) if row.id in worker_ids]
    if not removed:
        return []
    conn.execute(_REMOVE, [{"worker_id": row.id} for row in removed])
    values = [
        {
            "pipeline_id": pipeline_id,
            "created": row.created,
            "ready": row.ready,
            "ended": now,
            "machine": row.machine,
        }
        for row in removed
    ]
    conn.execute(worker_past.insert(), values)
    return removed


def remove_of_pipeline(conn: sa.Connection, pipeline_id: int) -> None:
    """Delete all workers of a pipeline that is deleted, with one statement."""
    conn.execute(worker.delete().where(worker.c.pipeline_id == pipeline_id))


def past(
    conn: sa.Connection, pipeline_id: int, start: float, stop: float, number: int | None = None
) -> list[PastRow]:
    """Return the workers of a pipeline that are gone and existed at some time between two moments.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        start: start of the period, in seconds since the epoch.
        stop: end of the period, in seconds since the epoch.
        number: at most so many, those that ended last; None: all.
    """
    columns = (worker_past.c[name] for name in PastRow.__struct_fields__)
    query = sa.select(*columns).where(
        worker_past.c.pipeline_id == pipeline_id, worker_past.c.ended > start, worker_past.c.created < stop
    )
    if number is not None:
        query = query.order_by(worker_past.c.ended.desc()).limit(number)
    return [PastRow(*row) for row in conn.execute(query)]


def add_events(
    conn: sa.Connection, pipeline_id: int, at: float, happened: Sequence[tuple[str, str, str]]
) -> None:
    """Record what happened to workers of a pipeline: (worker, its state, words).

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        at: time to record, in seconds since the epoch.
        happened: tuples of a worker's id, its state and a description.
    """
    if not happened:
        return
    values = [
        {"pipeline_id": pipeline_id, "worker_id": worker_id, "at": at, "state": state, "text": text}
        for worker_id, state, text in happened
    ]
    conn.execute(worker_event.insert(), values)


def events(conn: sa.Connection, since: float, number: int) -> list[EventRow]:
    """Return those of the last ``number`` events that happened after ``since``, oldest first.

    Args:
        conn: connection of the transaction.
        since: return only events after this time, in seconds since the epoch.
        number: the largest number of rows.
    """
    columns = (worker_event.c[name] for name in EventRow.__struct_fields__)
    query = sa.select(*columns).order_by(worker_event.c.id.desc()).limit(number)
    rows = [EventRow(*row) for row in conn.execute(query)]
    return [row for row in reversed(rows) if row.at >= since]


def add_startup(
    conn: sa.Connection, fleet: str, image: str, machine_kind: str, seconds: float, now: float
) -> None:
    """Record how long a start took.

    Args:
        conn: connection of the transaction.
        fleet: name of the fleet.
        image: name of the image.
        machine_kind: kind of machine that the worker started on.
        seconds: how long the start took.
        now: current time, in seconds since the epoch.
    """
    values = {"fleet": fleet, "image": image, "machine_kind": machine_kind, "seconds": seconds, "at": now}
    conn.execute(startup.insert().values(values))
    oldest = (
        sa.select(startup.c.id)
        .where(startup.c.fleet == fleet, startup.c.image == image)
        .order_by(startup.c.id.desc())
        .offset(STARTUPS_KEPT)
        .limit(1)
        .scalar_subquery()
    )
    conn.execute(
        startup.delete().where(startup.c.fleet == fleet, startup.c.image == image, startup.c.id <= oldest)
    )


def startups(conn: sa.Connection, fleet: str, image: str) -> list[tuple[str, float]]:
    """Return ``(kind of machine, seconds)`` of the last starts of an image, newest first.

    Args:
        conn: connection of the transaction.
        fleet: name of the fleet.
        image: name of the image.
    """
    query = (
        sa.select(startup.c.machine_kind, startup.c.seconds)
        .where(startup.c.fleet == fleet, startup.c.image == image)
        .order_by(startup.c.id.desc())
        .limit(STARTUPS_KEPT)
    )
    return [(row.machine_kind, row.seconds) for row in conn.execute(query)]


def forget_pipeline(conn: sa.Connection, pipeline_id: int) -> None:
    """Delete what is remembered of the workers of a pipeline that goes."""
    for table in (worker_past, worker_event):
        conn.execute(table.delete().where(table.c.pipeline_id == pipeline_id))
