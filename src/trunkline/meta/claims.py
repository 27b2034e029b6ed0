"""Queries and writes on claims: runs of a job's datums that a worker owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import claim
from trunkline.model.states import ClaimState, check_transition

if TYPE_CHECKING:
    from trunkline.meta.jobs import JobRow


class ClaimRow(Struct, frozen=True):
    """A run of a job's datums."""

    id: str
    job_id: int
    start: int
    stop: int
    done: int
    state: ClaimState
    worker_id: str | None
    #: Moves with each renewal of the owner's lease.
    renewals: int
    restart: bool
    datum_position: int | None
    datum_started: float | None
    #: Workers that crashed one after the other while they ran the datum at ``done``.
    lost_attempts: int = 0
    #: It is given out one datum at a time.
    one_by_one: bool = False


_CLAIM = sa.select(*(claim.c[name] for name in ClaimRow.__struct_fields__))
_OF_WORKER = Query(_CLAIM.where(claim.c.worker_id == sa.bindparam("worker_id")))
_OWNED = Query(_CLAIM.where(claim.c.job_id == sa.bindparam("job_id"), claim.c.state == ClaimState.CLAIMED))
_ADD_CLAIM = Query(claim.insert())
_ADVANCE = Query(
    claim.update()
    .where(claim.c.id == sa.bindparam("claim_id"))
    .values(done=sa.bindparam("handed_in"), state=sa.bindparam("new_state"))
)
_LET_GO = Query(
    claim.update()
    .where(claim.c.id == sa.bindparam("claim_id"))
    .values(worker_id=None, datum_position=None, datum_started=None)
)
_CLAIM_BY_ID = Query(_CLAIM.where(claim.c.id == sa.bindparam("claim_id")))
_FREE = Query(
    _CLAIM.where(claim.c.job_id == sa.bindparam("job_id"), claim.c.state == ClaimState.FREE)
    .order_by(claim.c.start)
    .limit(1)
)
_RENEW = Query(
    claim.update()
    .where(
        claim.c.id == sa.bindparam("claim_id"),
        claim.c.worker_id == sa.bindparam("worker"),
        claim.c.state == ClaimState.CLAIMED,
    )
    .values(
        renewals=claim.c.renewals + 1, datum_position=sa.bindparam("position"),
        datum_started=sa.bindparam("since"), restart=False,
    )
)  # fmt: skip
_TAKE = Query(
    claim.update()
    .where(claim.c.id == sa.bindparam("claim_id"), claim.c.state == ClaimState.FREE)
    .values(
        state=ClaimState.CLAIMED, start=claim.c.done, worker_id=sa.bindparam("worker"),
        renewals=claim.c.renewals + 1, restart=False,
    )
)  # fmt: skip
_LOST_ATTEMPT = Query(
    claim.update()
    .where(claim.c.id == sa.bindparam("claim_id"))
    .values(lost_attempts=sa.bindparam("attempts"), one_by_one=True)
)
_SHORTEN = Query(
    claim.update().where(claim.c.id == sa.bindparam("claim_id")).values(stop=sa.bindparam("new_stop"))
)
_UNCLAIMED = Query(
    sa.select(sa.func.coalesce(sa.func.sum(claim.c.stop - claim.c.done), 0)).where(
        claim.c.job_id == sa.bindparam("job_id"), claim.c.state == ClaimState.FREE
    )
)
#: With the condition of the index ix_claim_live.
_HELD = Query(_CLAIM.where(sa.text("state = 'claimed'")))


def claim_by_id(conn: sa.Connection, claim_id: str) -> ClaimRow | None:
    """Return a claim."""
    row = _CLAIM_BY_ID.first(conn, claim_id=claim_id)
    return ClaimRow(*row) if row else None


def free_claim(conn: sa.Connection, job_id: int) -> ClaimRow | None:
    """Return the first run that was claimed before and is free again."""
    row = _FREE.first(conn, job_id=job_id)
    return ClaimRow(*row) if row else None


def take_claim(conn: sa.Connection, claim_id: str, worker_id: str) -> bool:
    """Give a free run to a worker, from its first datum without a result; False when another has it.

    Args:
        conn: connection of the transaction.
        claim_id: id of the claim.
        worker_id: id of the worker.
    """
    return bool(_TAKE.run(conn, claim_id=claim_id, worker=worker_id))


def add_claim(conn: sa.Connection, row: ClaimRow) -> None:
    """Insert a run."""
    _ADD_CLAIM.run(conn, **{name: getattr(row, name) for name in ClaimRow.__struct_fields__})


def renew_claim(
    conn: sa.Connection, claim_id: str, worker_id: str, position: int | None, since: float | None
) -> bool:
    """Renew the lease of a claim; a request to run its datum again is answered with it.

    Args:
        conn: a write transaction.
        claim_id: id of the claim.
        worker_id: who renews.
        position: of the datum that the worker runs, in the job's todo; None when it runs none.
        since: when it started the datum, seconds since the epoch.

    Returns:
        False when the claim is not the worker's any more.
    """
    return bool(_RENEW.run(conn, claim_id=claim_id, worker=worker_id, position=position, since=since))


def advance_claim(conn: sa.Connection, row: ClaimRow, done: int, state: ClaimState) -> None:
    """Record how far a claim's results are recorded, and its state; one that is not claimed has no owner.

    Args:
        conn: connection of the transaction.
        row: the claim as it was read in this transaction.
        done: position of the first datum whose result is not recorded.
        state: the new state.

    Raises:
        FailedPrecondition: the move is not legal.
    """
    what = f"claim {row.id} on [{row.start}, {row.stop}) of job row {row.job_id}"
    check_transition(row.state, state, what, lambda: [f"recorded up to {row.done}", f"owner {row.worker_id}"])
    _ADVANCE.run(conn, claim_id=row.id, handed_in=done, new_state=state)
    if state is not ClaimState.CLAIMED:
        _LET_GO.run(conn, claim_id=row.id)


def count_lost_attempt(conn: sa.Connection, row: ClaimRow, attempts: int) -> None:
    """Record how many workers crashed in a row with a run's first datum; the run is given out one by one.

    Args:
        conn: connection of the transaction.
        row: the claim as it was read in this transaction.
        attempts: lost attempts in a row, this one included.
    """
    _LOST_ATTEMPT.run(conn, claim_id=row.id, attempts=attempts)


def shorten_claim(conn: sa.Connection, row: ClaimRow, stop: int) -> None:
    """Let a run end earlier.

    Args:
        conn: connection of the transaction.
        row: the claim as it was read in this transaction.
        stop: position after the last datum that it keeps.
    """
    _SHORTEN.run(conn, claim_id=row.id, new_stop=stop)


def ask_restart(conn: sa.Connection, claim_id: str) -> None:
    """Ask the owner of a run to run its datum again."""
    conn.execute(claim.update().where(claim.c.id == claim_id).values(restart=True))


def held_claims(conn: sa.Connection) -> list[ClaimRow]:
    """Return all claims that some worker owns."""
    return [ClaimRow(*row) for row in _HELD.rows(conn)]


def claims_of_worker(conn: sa.Connection, worker_id: str) -> list[ClaimRow]:
    """Return the runs that a worker owns."""
    return [ClaimRow(*row) for row in _OF_WORKER.rows(conn, worker_id=worker_id)]


def owned_claims(conn: sa.Connection, job_id: int) -> list[ClaimRow]:
    """Return the runs of a job that some worker owns."""
    return [ClaimRow(*row) for row in _OWNED.rows(conn, job_id=job_id)]


def unclaimed(conn: sa.Connection, row: JobRow) -> int:
    """Return how many datums of a job nobody has claimed."""
    returned = int(_UNCLAIMED.value(conn, job_id=row.id) or 0)
    return row.todo_count - row.cursor + returned
