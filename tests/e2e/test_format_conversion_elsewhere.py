"""A store of format 1 that is in PostgreSQL and a bucket is converted as one in a folder is."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import frozen_stores
import psycopg
import pytest
from psycopg import sql
from servers import Server
from test_format_conversion import NAMES, commits_of, comparable, described, unpacked

from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.drivers.objects.local import LocalObjects
from trunkline.meta import install
from trunkline.meta.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import PostgresServer
    from s3_server import S3Server

pytestmark = pytest.mark.slow


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a new database."""
    with postgres.database() as name:
        yield name


def copy_database(source: Path, postgres: PostgresServer, name: str) -> None:
    """Copy a SQLite database with its schema's revision into an empty one of PostgreSQL."""
    with sqlite3.connect(source) as old:
        [[revision]] = old.execute("SELECT version_num FROM alembic_version")
        database = Database(postgres.url(name), lambda _topics: None)
        install.migrate(database, "", revision)
        database.close()
        tables = old.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " AND name != 'alembic_version'"
        )
        with psycopg.connect(f"host={postgres.socket} user=postgres dbname={name}") as new:
            new.execute("SET session_replication_role = replica")  # rows come in any order
            for (table,) in tables.fetchall():
                copy_table(old, new, table)


def copy_table(old: sqlite3.Connection, new: psycopg.Connection, table: str) -> None:
    rows = old.execute(f'SELECT * FROM "{table}"')
    columns = [column[0] for column in rows.description]
    types = dict(
        new.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", (table,)
        ).fetchall()
    )
    new.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    flags = [types[column] == "boolean" for column in columns]
    values = [
        [bool(value) if flag and value is not None else value for flag, value in zip(flags, row, strict=True)]
        for row in rows
    ]
    if values:
        new.cursor().executemany(insert, values)
    if "id" in types and types["id"] in ("bigint", "integer"):
        new.execute(
            sql.SQL(
                "SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {}), false)"
                " WHERE pg_get_serial_sequence({}, 'id') IS NOT NULL"
            ).format(sql.Literal(f'"{table}"'), sql.Identifier(table), sql.Literal(f'"{table}"'))
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_store_in_postgresql_and_a_bucket_is_converted(
    name: str,
    tmp_path: Path,
    postgres: PostgresServer,
    database: str,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = described(name)
    folder = unpacked(name, tmp_path / "frozen")
    copy_database(folder / "trunkline.db", postgres, database)
    store = f"s3://ready/{database}-{name}"
    for variable, value in s3.environment().items():
        monkeypatch.setenv(variable, value)
    objects, bucket = LocalObjects(folder / "objects"), BucketObjects(store)
    for key, _ in objects.list(""):
        bucket.put(key, [objects.get(key)])
    url = postgres.url(database).replace("postgresql+psycopg", "postgresql")
    server = Server(tmp_path / "data", options=("--database", url, "--store", store))
    try:
        client = server.start().client()

        after = frozen_stores.files(client)

        assert commits_of(comparable(after), before["files"]) == comparable(before["files"])
        assert commits_of(frozen_stores.changes(client), before["changes"]) == before["changes"]
        assert "converting to format 2" in server.log.read_text()
        assert {"format", "installation"} <= {key for key, _ in bucket.list("")}
        assert any(key.startswith("tables/") for key, _ in bucket.list(""))
    finally:
        server.close()
