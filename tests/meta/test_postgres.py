"""What only PostgreSQL does: broken connections, a lease that moves, errors that users can fix."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from patience import PATIENCE, eventually
from postgres_server import Wire

from trunkline import errors
from trunkline.meta import install, schema
from trunkline.meta.database import Database
from trunkline.meta.dialects import checked_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import PostgresServer

    from trunkline.meta.group_commit import Tx

ADDED = sa.select(schema.project.c.name).where(schema.project.c.name != "default")


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    """A new database's name."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def opened(postgres: PostgresServer, name: str) -> Iterator[Callable[[], Database]]:
    """Open the new database; each opening is a server of its own."""
    databases: list[Database] = []

    def open_() -> Database:
        databases.append(Database(postgres.url(name), lambda _topics: None, lambda _sentence: None))
        return databases[-1]

    yield open_
    for database in databases:
        database.close()


@pytest.fixture
def db(opened: Callable[[], Database]) -> Database:
    database = opened()
    assert database.open() == ""
    install.install(database, 1.0)
    return database


def put(tx: Tx, name: str) -> None:
    tx.conn.execute(schema.project.insert().values(name=name, description="", created_at=1.0, metadata={}))


def names(conn: sa.Connection) -> list[str]:
    return list(conn.execute(ADDED.order_by(schema.project.c.name)).scalars())


def sessions(postgres: PostgresServer, name: str) -> None:
    """Cut off every session of a database, as a restart does."""
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


# --- connections that go ------------------------------------------------------------------------------------


def test_a_session_that_was_cut_off_between_two_writes_is_not_noticed(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    db.run_blocking(put, "a")
    sessions(postgres, name)

    db.run_blocking(put, "b")
    sessions(postgres, name)

    assert db.read_blocking(names) == ["a", "b"]


def test_a_write_whose_session_is_cut_off_under_it_runs_again_and_is_done_once(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    runs = []

    def cut(tx: Tx) -> str:
        runs.append("run")
        put(tx, "a")
        if len(runs) == 1:
            sessions(postgres, name)
        put(tx, "b")
        return "done"

    assert db.run_blocking(cut) == "done"

    assert len(runs) == 2
    assert db.read_blocking(names) == ["a", "b"]


def test_a_read_whose_session_is_cut_off_under_it_runs_again(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    db.run_blocking(put, "a")
    runs = []

    def cut(conn: sa.Connection) -> list[str]:
        runs.append("run")
        if len(runs) == 1:
            sessions(postgres, name)
        return names(conn)

    assert db.read_blocking(cut) == ["a"]
    assert len(runs) == 2


@pytest.mark.parametrize(("cut_at", "expected_runs"), [("request", 2), ("answer", 1)])
def test_a_commit_that_is_not_answered_is_done_exactly_once(
    postgres: PostgresServer, name: str, cut_at: str, expected_runs: int
) -> None:
    wire = Wire(postgres)
    db = Database(f"postgresql+psycopg://postgres@/{name}?host={wire.socket}", lambda _topics: None)
    runs = []

    def write(tx: Tx) -> str:
        runs.append("run")
        put(tx, "a")
        return "done"

    try:
        install.install(db, 1.0)
        wire.cut_at = cut_at
        assert db.run_blocking(write) == "done"
        assert db.read_blocking(names) == ["a"]
    finally:
        db.close()
        wire.close()
    assert (wire.cut_at, len(runs)) == ("", expected_runs)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_what_was_acknowledged_survives_a_restart_and_nothing_is_done_twice(
    postgres: PostgresServer, db: Database, mode: str
) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def load(thread: int) -> None:
        number = 0
        while not stop.is_set():
            key = f"{thread}-{number}"
            db.run_blocking(put, key)  # a name that is taken already would be refused
            acknowledged.append(key)
            number += 1

    threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(acknowledged) > 30, "writes before the restart")
    postgres.restart(mode)
    before = len(acknowledged)
    eventually(lambda: len(acknowledged) > before + 30, "writes after the restart")
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(db.read_blocking(names)) == sorted(acknowledged)


def test_a_write_waits_for_a_database_that_is_away_for_a_moment(
    postgres: PostgresServer, db: Database
) -> None:
    postgres.stop()
    writing = threading.Thread(target=db.run_blocking, args=(put, "a"))
    writing.start()
    postgres.start()
    writing.join(PATIENCE)

    assert db.read_blocking(names) == ["a"]


def test_a_database_that_stays_away_is_said_without_the_password(
    postgres: PostgresServer, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.meta.connections.PATIENCE", 0.2)
    postgres.stop()
    try:
        with pytest.raises(errors.Unavailable, match=r"does not answer .*nothing was written"):
            db.run_blocking(put, "a")
        with pytest.raises(errors.Unavailable, match="check that PostgreSQL runs there"):
            db.read_blocking(names)
    finally:
        postgres.start()

    db.run_blocking(put, "b")
    assert db.read_blocking(names) == ["b"]


# --- the lease ----------------------------------------------------------------------------------------------


def test_a_second_server_is_told_whom_it_waits_for_and_follows_when_that_one_ends(
    db: Database, opened: Callable[[], Database]
) -> None:
    second = opened()

    assert "is in use by the server on" in second.open()
    db.close()
    eventually(lambda: second.open() == "", "the lease")
    second.run_blocking(put, "a")

    assert second.read_blocking(names) == ["a"]


def test_a_server_that_lost_its_lease_to_another_can_write_nothing_more_and_says_so(
    postgres: PostgresServer, name: str, opened: Callable[[], Database]
) -> None:
    reports: list[str] = []
    first = Database(postgres.url(name), lambda _topics: None, reports.append)
    try:
        first.open()
        install.install(first, 1.0)
        second = opened()
        # Whoever asks first after the cut gets it; let it be the second.
        with first._writes._writing:
            sessions(postgres, name)
            eventually(lambda: second.open() == "", "the lease")
        with pytest.raises(errors.Unavailable, match="has taken over"):
            first.run_blocking(put, "late")
        eventually(lambda: reports, "the first to notice")
        second.run_blocking(put, "a")
    finally:
        first.close()

    assert second.read_blocking(names) == ["a"]
    assert len(reports) == 1


def test_a_transaction_that_was_begun_before_the_lease_moved_is_not_committed(
    postgres: PostgresServer, name: str, db: Database, opened: Callable[[], Database]
) -> None:
    second = opened()

    def late(tx: Tx) -> None:
        put(tx, "late")
        sessions(postgres, name)
        eventually(lambda: second.open() == "", "the lease")
        second.run_blocking(put, "a")

    with pytest.raises(errors.Unavailable, match="has taken over"):
        db.run_blocking(late)

    assert second.read_blocking(names) == ["a"]


def test_a_lock_that_holds_nothing_is_caught_by_the_epoch(
    db: Database, opened: Callable[[], Database]
) -> None:
    """A pool that shares sessions between clients takes the lock away in secret; the row does not lie."""
    db._writes._writer.connection().exec_driver_sql("SELECT pg_advisory_unlock_all()")
    db._writes._writer.connection().rollback()
    second = opened()
    assert second.open() == ""

    with pytest.raises(errors.Unavailable, match=r"has taken over .*nothing was written"):
        db.run_blocking(put, "late")

    second.run_blocking(put, "a")
    assert second.read_blocking(names) == ["a"]


def test_a_database_that_is_replaced_by_a_backup_is_noticed_with_the_next_write(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    db.run_blocking(put, "a")
    backup = f"{name}_backup"
    with db._writes._writing:  # nobody connects meanwhile
        sessions(postgres, name)
        postgres.execute(f"CREATE DATABASE {backup} TEMPLATE {name}")
    db.run_blocking(put, "b")
    with db._writes._writing:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.execute(f"ALTER DATABASE {backup} RENAME TO {name}")

    with pytest.raises(errors.Unavailable, match="it was replaced, by a backup perhaps"):
        db.run_blocking(put, "c")


# --- errors and types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql+psycopg://me:geheim@127.0.0.1:1/name", r'"name" at 127.0.0.1:1 does not answer'),
        ("postgresql+psycopg://postgres:geheim@/absent?host={socket}", "does not exist .*CREATE DATABASE"),
        ("postgresql+psycopg://nobody:geheim@/postgres?host={socket}", "has no such user .*CREATE ROLE"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_without_the_password(
    postgres: PostgresServer, url: str, sentence: str
) -> None:
    database = Database(url.format(socket=postgres.socket), lambda _topics: None)
    try:
        with pytest.raises(errors.Unavailable, match=sentence) as caught:
            database.open()
    finally:
        database.close()
    assert "geheim" not in str(caught.value)


def test_a_role_without_rights_is_told_which_one_it_lacks(postgres: PostgresServer, name: str) -> None:
    postgres.execute("CREATE ROLE reader LOGIN")
    database = Database(postgres.url(name, user="reader"), lambda _topics: None)
    try:
        with pytest.raises(errors.FailedPrecondition, match=r'role "reader" lacks a right .*OWNER TO'):
            database.open()
    finally:
        database.close()
        postgres.execute("DROP ROLE reader")


@pytest.mark.parametrize(
    ("condition", "kind", "sentence"),
    [
        ("disk_full", errors.ResourceExhausted, "free space on PostgreSQL's disk"),
        ("too_many_connections", errors.Unavailable, "raise max_connections"),
        ("read_only_sql_transaction", errors.Unavailable, "name the primary"),
    ],
)
def test_what_postgres_refuses_is_said_with_its_remedy_and_the_database_goes_on(
    db: Database, condition: str, kind: type[errors.TrunklineError], sentence: str
) -> None:
    """The server itself raises it, as it would; a test cannot fill its disk."""

    def refused(tx: Tx) -> None:
        put(tx, "lost")
        tx.conn.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{condition}'; END $$")

    with pytest.raises(kind, match=sentence):
        db.run_blocking(refused)
    db.run_blocking(put, "after")

    assert db.read_blocking(names) == ["after"]


def test_a_value_that_postgres_cannot_hold_is_the_callers_to_change(db: Database) -> None:
    with pytest.raises(errors.InvalidArgument, match="cannot be stored"):
        db.run_blocking(put, "a\0b")


def test_a_database_that_is_not_utf_8_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = Database(postgres.url("latin"), lambda _topics: None)
    try:
        with pytest.raises(errors.FailedPrecondition, match="LATIN1; make the database with ENCODING 'UTF8'"):
            database.open()
    finally:
        database.close()
        postgres.execute("DROP DATABASE latin")


def test_names_are_compared_and_sorted_by_their_bytes_whatever_the_database_was_made_with(
    postgres: PostgresServer, name: str, db: Database
) -> None:
    db.run_blocking(lambda tx: [put(tx, key) for key in ("b", "a", "B", "_", "A")])

    result = postgres.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'", name
    )
    names_and_ids = {
        (column.table.name, column.name)
        for table in schema.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Text)
    }
    assert names_and_ids <= set(result)
    assert db.read_blocking(names) == ["A", "B", "_", "a", "b"]


def test_times_keep_their_microseconds(db: Database) -> None:
    at = 1764079200.123456
    db.run_blocking(lambda tx: tx.conn.execute(schema.project.update().values(created_at=at)))

    assert db.read_blocking(lambda conn: conn.execute(sa.select(schema.project.c.created_at)).scalar()) == at


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/n", "postgresql+psycopg://u:p@h/n"),
        ("postgres://u@h:5433/n?sslmode=require", "postgresql+psycopg://u@h:5433/n?sslmode=require"),
        ("sqlite:////tmp/file.db", "sqlite:////tmp/file.db"),
    ],
)
def test_a_url_that_people_write_is_completed_with_the_driver(url: str, driver: str) -> None:
    assert checked_url(url) == driver


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/n", "geheim", "postgresql://u:geheim@h:port/n"])
def test_a_url_that_means_no_database_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        checked_url(url)

    assert "geheim" not in str(caught.value)
