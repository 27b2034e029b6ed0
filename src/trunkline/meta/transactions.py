"""Queries and writes on open transactions and their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import open_transaction, transaction_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.meta.query import Row


class TransactionRow(Struct, frozen=True):
    """An open transaction with its requests."""

    id: str
    started: float
    #: How many requests it has.
    version: int
    #: As the network interface encodes them.
    requests: tuple[bytes, ...]


_ROWS = sa.select(open_transaction.c.id, open_transaction.c.started, open_transaction.c.version)
_FIND = Query(_ROWS.where(open_transaction.c.id == sa.bindparam("transaction_id")))
_ALL = Query(_ROWS.order_by(open_transaction.c.started, open_transaction.c.id))
_REQUESTS = Query(
    sa.select(transaction_request.c.body)
    .where(transaction_request.c.transaction_id == sa.bindparam("of_transaction"))
    .order_by(transaction_request.c.number)
)
_START = Query(open_transaction.insert())
_ADD = Query(transaction_request.insert())
_MOVE = Query(
    open_transaction.update()
    .where(open_transaction.c.id == sa.bindparam("transaction_id"))
    .values(version=sa.bindparam("new_version"), changed=sa.bindparam("at"))
)
_REMOVE_REQUESTS = Query(
    transaction_request.delete().where(transaction_request.c.transaction_id == sa.bindparam("of_transaction"))
)
_REMOVE = Query(open_transaction.delete().where(open_transaction.c.id == sa.bindparam("transaction_id")))
_COUNT = Query(sa.select(sa.func.count()).select_from(open_transaction))
_BYTES = Query(sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(transaction_request.c.body)), 0)))


def start(conn: sa.Connection, transaction_id: str, now: float) -> None:
    """Record a new transaction.

    Args:
        conn: a write transaction of the database.
        transaction_id: id of the commits that it will make.
        now: seconds since the epoch.
    """
    _START.run(conn, id=transaction_id, started=now, changed=now, version=0)


def find(conn: sa.Connection, transaction_id: str) -> TransactionRow | None:
    """Return an open transaction; None when there is none."""
    row = _FIND.first(conn, transaction_id=transaction_id)
    return _complete(conn, row) if row else None


def list_all(conn: sa.Connection) -> list[TransactionRow]:
    """Return all open transactions, oldest first."""
    return [_complete(conn, row) for row in _ALL.rows(conn)]


def _complete(conn: sa.Connection, row: Row) -> TransactionRow:
    transaction_id, started, version = row
    bodies = _REQUESTS.rows(conn, of_transaction=transaction_id)
    return TransactionRow(transaction_id, started, version, tuple(bytes(body[0]) for body in bodies))


def count(conn: sa.Connection) -> int:
    """Return how many transactions are open."""
    return int(_COUNT.value(conn))


def total_bytes(conn: sa.Connection) -> int:
    """Return the bytes of the requests of all open transactions."""
    return int(_BYTES.value(conn))


def add_request(conn: sa.Connection, row: TransactionRow, body: bytes, now: float) -> None:
    """Append a request to a transaction.

    Args:
        conn: a write transaction of the database.
        row: the transaction as it is now.
        body: the request.
        now: seconds since the epoch.
    """
    _ADD.run(conn, transaction_id=row.id, number=row.version + 1, body=body)
    _MOVE.run(conn, transaction_id=row.id, new_version=row.version + 1, at=now)


def remove(conn: sa.Connection, transaction_ids: Sequence[str]) -> None:
    """Remove transactions with their requests."""
    for transaction_id in transaction_ids:
        _REMOVE_REQUESTS.run(conn, of_transaction=transaction_id)
        _REMOVE.run(conn, transaction_id=transaction_id)


def unchanged_since(conn: sa.Connection, before: float, number: int) -> list[str]:
    """Return ids of transactions without a new request since a time.

    Args:
        conn: a snapshot.
        before: seconds since the epoch.
        number: at most so many.
    """
    query = sa.select(open_transaction.c.id).where(open_transaction.c.changed < before).limit(number)
    return list(conn.execute(query).scalars())
