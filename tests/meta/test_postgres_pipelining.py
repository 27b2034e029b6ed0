"""Statements that travel together on PostgreSQL: whose error is whose, and how many trips an operation makes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from patience import PATIENCE, eventually

from trunkline import errors
from trunkline.meta import install, query, schema
from trunkline.meta.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import PostgresServer

    from trunkline.meta.group_commit import Tx

ADDED = sa.select(schema.project.c.name).where(schema.project.c.name != "default")
ADD = query.Query(schema.project.insert())
NAMED = query.Query(sa.select(schema.project.c.id).where(schema.project.c.name == sa.bindparam("name")))


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    """A new database's name."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def db(postgres: PostgresServer, name: str) -> Iterator[Database]:
    database = Database(postgres.url(name), lambda _topics: None, lambda _sentence: None)
    install.install(database, 1.0)
    yield database
    database.close()


def send(tx: Tx, name: str) -> None:
    """Insert a project without waiting for the answer."""
    ADD.send(tx.conn, name=name, description="", created_at=1.0, metadata={}, defaults="{}")


def names(conn: sa.Connection) -> list[str]:
    return list(conn.execute(ADDED.order_by(schema.project.c.name)).scalars())


def test_a_queued_write_is_seen_by_the_next_statement_and_is_durable_after_the_commit(db: Database) -> None:
    def write(tx: Tx) -> bool:
        send(tx, "a")
        return NAMED.value(tx.conn, name="a") is not None

    assert db.run_blocking(write) is True
    db.run_blocking(send, "b")

    assert db.read_blocking(names) == ["a", "b"]


def test_a_queued_write_that_fails_with_the_commit_undoes_its_function_and_nothing_else(db: Database) -> None:
    db.run_blocking(send, "a")

    with pytest.raises(sa.exc.IntegrityError):
        db.run_blocking(send, "a")

    db.run_blocking(send, "b")
    assert db.read_blocking(names) == ["a", "b"]


def test_what_follows_a_failed_queued_write_does_not_run(db: Database) -> None:
    db.run_blocking(send, "a")

    def write(tx: Tx) -> None:
        send(tx, "a")
        send(tx, "b")
        NAMED.value(tx.conn, name="b")

    with pytest.raises(sa.exc.IntegrityError):
        db.run_blocking(write)

    assert db.read_blocking(names) == ["a"]


def test_a_function_that_hides_the_failure_of_a_queued_write_writes_nothing(db: Database) -> None:
    db.run_blocking(send, "a")

    def write(tx: Tx) -> None:
        send(tx, "a")
        with pytest.raises(sa.exc.IntegrityError):
            query.flush(tx.conn)

    with pytest.raises(RuntimeError):
        db.run_blocking(write)

    assert db.read_blocking(names) == ["a"]


def test_the_failure_of_a_queued_write_goes_to_its_own_function_among_those_that_share_a_commit(
    db: Database,
) -> None:
    db.run_blocking(send, "a")
    held, go = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        held.set()
        assert go.wait(PATIENCE)

    def fail(tx: Tx) -> None:
        send(tx, "c")
        raise KeyError("its own")

    holding = db._writes.submit(hold)
    assert held.wait(PATIENCE)
    outcomes = [
        db._writes.submit(send, "b"),
        db._writes.submit(send, "a"),
        db._writes.submit(fail),
        db._writes.submit(send, "d"),
    ]
    go.set()

    holding.result(PATIENCE)
    failures = [outcome.exception(PATIENCE) for outcome in outcomes]
    assert [type(failure) for failure in failures] == [
        type(None), sa.exc.IntegrityError, KeyError, type(None),
    ]  # fmt: skip
    assert db.read_blocking(names) == ["a", "b", "d"]


@pytest.mark.parametrize("act", [lambda tx: send(tx, "late"), lambda _tx: None])
def test_a_transaction_that_waits_for_no_statement_is_refused_after_another_server_was_active(
    postgres: PostgresServer, name: str, db: Database, act: Callable[[Tx], None]
) -> None:
    postgres.execute("UPDATE setting SET value = 'other:1' WHERE name = 'last_write'", name)

    with pytest.raises(errors.Unavailable):
        db.run_blocking(act)

    assert db.read_blocking(names) == []


def test_a_function_that_hides_the_refusal_of_its_transaction_writes_nothing(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    postgres.execute("UPDATE setting SET value = 'other:1' WHERE name = 'last_write'", name)

    def write(tx: Tx) -> None:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, it is hidden
            NAMED.value(tx.conn, name="a")
        send(tx, "late")

    with pytest.raises(errors.Unavailable):
        db.run_blocking(write)

    assert db.read_blocking(names) == []


def test_a_session_that_has_read_is_idle_though_nobody_waited_for_the_end(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    db.read_blocking(names)

    def states() -> set[object]:
        return {
            row[0] for row in postgres.execute(f"SELECT state FROM pg_stat_activity WHERE datname = '{name}'")
        }

    eventually(lambda: states() == {"idle"}, "the end of the transaction")


def test_a_read_whose_gathered_query_fails_leaves_its_connection_usable(db: Database) -> None:
    divide = query.Query(sa.select(1 / sa.bindparam("divisor", type_=sa.Integer)))
    plain = query.Query(sa.select(sa.bindparam("value", type_=sa.Integer)))

    def read(conn: sa.Connection, divisor: int) -> list[list[query.Row]]:
        asked = [(divide, {"divisor": divisor}), *((plain, {"value": value}) for value in range(50))]
        return query.gather(conn, *asked)

    with pytest.raises(errors.InvalidArgument):
        db.read_blocking(read, 0)

    rows = db.read_blocking(read, 1)
    assert (len(rows), rows[1:3]) == (51, [[(0,)], [(1,)]])


def test_a_read_that_asks_nothing_leaves_its_connection_usable(db: Database) -> None:
    assert db.read_blocking(lambda _conn: "nothing") == "nothing"

    assert db.read_blocking(names) == []
