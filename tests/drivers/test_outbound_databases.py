"""Transactions in databases that clients name: SQLite, a real PostgreSQL by TCP, and MariaDB where it is installed."""

from __future__ import annotations

import contextlib
import datetime
import socket
import sqlite3
from decimal import Decimal

import mariadb_server
import psycopg
import pymysql
import pytest
from postgres_server import forwarded

from trunkline.drivers.outbound.client import OutboundClient
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable
from trunkline.model.columns import ColumnKind
from trunkline.model.outbound import Rules


@pytest.fixture
def postgres_url(postgres):
    with postgres.database() as name, forwarded(f"{postgres.socket}/.s.PGSQL.5432") as port:
        yield (
            f"postgresql://postgres@127.0.0.1:{port}/{name}",
            f"host={postgres.socket} user=postgres dbname={name}",
        )


@pytest.fixture
def sqlite_path(tmp_path):
    path = tmp_path / "target.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        conn.execute("INSERT INTO t VALUES (1, 'old')")
        conn.commit()
    return path


def rows(path):
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return conn.execute("SELECT * FROM t ORDER BY id").fetchall()


def test_rows_are_replaced_in_sqlite(sqlite_path):
    client = OutboundClient(Rules((f"sqlite://{sqlite_path.parent}",)))

    with client.database(f"sqlite://{sqlite_path}", "") as database:
        columns = database.columns("t")
        database.clear("t")
        database.insert("t", ["id", "name"], [(2, "b"), (3, "c")])

    assert [(column.name, column.kind) for column in columns] == [
        ("id", ColumnKind.INTEGER),
        ("name", ColumnKind.TEXT),
    ]
    assert rows(sqlite_path) == [(2, "b"), (3, "c")]


def test_an_error_leaves_the_rows_as_they_were(sqlite_path):
    client = OutboundClient(Rules((f"sqlite://{sqlite_path.parent}",)))

    def replace_rows():
        with client.database(f"sqlite://{sqlite_path}", "") as database:
            database.columns("t")
            database.clear("t")
            database.insert("t", ["id", "name"], [(2, "b"), (3, None)])

    with pytest.raises(InvalidArgument):
        replace_rows()

    assert rows(sqlite_path) == [(1, "old")]


def test_a_table_and_a_file_must_exist(sqlite_path):
    client = OutboundClient(Rules((f"sqlite://{sqlite_path.parent}",)))

    with pytest.raises(NotFound), client.database(f"sqlite://{sqlite_path}", "") as database:
        database.columns("absent")
    with pytest.raises(NotFound), client.database(f"sqlite://{sqlite_path.parent}/absent.db", ""):
        pass
    with pytest.raises(PermissionDenied), client.database("sqlite:///etc/passwd", ""):
        pass


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "text").write_text("this is a text and not a database\n" * 100)
    client = OutboundClient(Rules((f"sqlite://{tmp_path}",)))

    with pytest.raises(FailedPrecondition), client.database(f"sqlite://{tmp_path}/text", "") as database:
        database.columns("t")


def test_values_of_all_kinds_reach_postgresql(postgres_url):
    url, own = postgres_url
    with psycopg.connect(own, autocommit=True) as conn:
        conn.execute(
            'CREATE TABLE "All Kinds" (i bigint, n numeric, f float8, b boolean, d date, t time, ts timestamptz, '
            "y bytea, j jsonb, s varchar, u uuid, a int[], generated bigint GENERATED ALWAYS AS (i * 2) STORED)"
        )
    client = OutboundClient(Rules(("postgres://127.0.0.1",)))
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    values = [
        2**40, Decimal("1.50"), 1.5, True, datetime.date(2026, 1, 2), datetime.time(3, 4), moment, b"\0\xff",
        {"a": [1]}, "text", "12345678-1234-5678-1234-567812345678", "{1,2}",
    ]  # fmt: skip

    with client.database(url, "") as database:
        columns = database.columns("All Kinds")
        database.clear("All Kinds")
        database.insert("All Kinds", [column.name for column in columns], [values, [None] * len(values)])

    assert [column.kind for column in columns] == [
        "integer", "decimal", "float", "boolean", "date", "time", "timestamp", "bytes", "json", "text", "text", "text",
    ]  # fmt: skip
    with psycopg.connect(own) as conn:
        stored = conn.execute('SELECT * FROM "All Kinds" ORDER BY i NULLS LAST').fetchall()
    assert stored[0][:10] == tuple(values[:10])
    assert (str(stored[0][10]), stored[0][11], stored[0][12]) == (values[10], [1, 2], 2**41)
    assert set(stored[1]) == {None}


def test_a_table_of_another_schema_is_named_with_it(postgres_url):
    url, own = postgres_url
    with psycopg.connect(own, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA other CREATE TABLE t (a int)")
    client = OutboundClient(Rules(("postgres://127.0.0.1",)))

    with client.database(url, "") as database:
        database.columns("other.t")
        database.insert("other.t", ["a"], [(1,)])

    with psycopg.connect(own) as conn:
        assert conn.execute("SELECT a FROM other.t").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda url: url.replace("postgres@", "nobody@"), PermissionDenied),
        (lambda url: url.rpartition("/")[0] + "/absent", PermissionDenied),
        (lambda url: url.replace("postgres@", ""), InvalidArgument),
        (lambda url: url.replace("postgres@", "postgres:hunter2@"), InvalidArgument),
        (lambda url: url + "?options=-c%20x", InvalidArgument),
        (lambda url: url.replace("127.0.0.1", "127.0.0.2"), PermissionDenied),
        (lambda url: url.replace("postgresql", "mysql"), PermissionDenied),
        (lambda url: url.replace("postgresql", "snowflake"), InvalidArgument),
    ],
)
def test_a_postgresql_that_cannot_be_used_is_an_error(postgres_url, change, error):
    client = OutboundClient(Rules(("postgres://127.0.0.1",)))

    with pytest.raises(error) as refused, client.database(change(postgres_url[0]), ""):
        pass

    assert "hunter2" not in refused.value.message


def test_a_database_that_does_not_listen_may_be_tried_again():
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        port = occupied.getsockname()[1]
        for scheme in ("postgresql", "mysql"):
            client = OutboundClient(Rules((f"{scheme}://127.0.0.1:{port}",)))
            with pytest.raises(Unavailable), client.database(f"{scheme}://user@127.0.0.1:{port}/name", ""):
                pass


# --- MySQL -----------------------------------------------------------------------------------------------


@pytest.fixture
def mariadb(tmp_path):
    if mariadb_server.program() is None:
        pytest.skip("there is no mariadbd; install mariadb-server-core")
    with (
        mariadb_server.mariadb(tmp_path) as port,
        contextlib.closing(_own(port)) as own,
        own.cursor() as cursor,
    ):
        yield f"mysql://writer@127.0.0.1:{port}/egress", cursor


def _own(port):
    return pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="writer",
        password=mariadb_server.PASSWORD,
        database="egress",
        autocommit=True,
    )


@pytest.mark.slow
def test_rows_are_replaced_in_mysql_or_stay_as_they_were(mariadb):
    url, cursor = mariadb
    cursor.execute(
        "CREATE TABLE t (i bigint PRIMARY KEY, n decimal(10,2), b boolean, d date, ts datetime, y varbinary(9), s text,"
        " g bigint AS (i * 2) STORED) ENGINE=innodb"
    )
    cursor.execute("INSERT INTO t (i) VALUES (5)")
    client = OutboundClient(Rules(("mysql://127.0.0.1",)))
    row = [
        1,
        Decimal("1.50"),
        1,
        datetime.date(2026, 1, 2),
        datetime.datetime.fromisoformat("2026-01-02T03:04"),
        b"\0\xff",
        "ü",
    ]

    def replace_rows(*rows):
        with client.database(url, mariadb_server.PASSWORD) as database:
            columns = database.columns("t")
            database.clear("t")
            database.insert("t", [column.name for column in columns], rows)

    replace_rows(row)
    with pytest.raises(InvalidArgument):
        replace_rows(row, row)

    cursor.execute("SELECT * FROM t")
    assert cursor.fetchall() == ((*row, 2),)


@pytest.mark.slow
def test_a_mysql_that_cannot_be_used_is_an_error(mariadb):
    url, _ = mariadb
    client = OutboundClient(Rules(("mysql://127.0.0.1",)))

    for place, password in ((url, "hunter2"), (f"{url}2", mariadb_server.PASSWORD)):
        with pytest.raises(PermissionDenied) as refused, client.database(place, password):
            pass
        assert "hunter2" not in refused.value.message
    with pytest.raises(NotFound), client.database(url, mariadb_server.PASSWORD) as database:
        database.columns("absent")
