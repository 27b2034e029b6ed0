"""Opens a database: makes a new one, brings an older one up to date, refuses a newer one.

A new database is made from ``schema`` in one go and marked with the latest revision, because importing
Alembic costs more than a second; a test holds the migrations and ``schema`` together. Alembic is imported
only when there is something to migrate.
"""

from __future__ import annotations

import uuid
from importlib import resources
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from trunkline import errors
from trunkline.meta import query, schema, triggers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx

#: The newest revision in ``migrations/versions``.
HEAD = "0021"
#: Version of docs/design/format.md that a new database is for.
FORMAT = 2

#: The statements of ``_create_tables`` by the name of their dialect: compiling them takes longer than running them.
_statements: dict[str, list[str]] = {}


def is_new(db: Database) -> bool:
    """Return whether the database holds nothing of Trunkline's yet."""
    return db.read_blocking(_revision) is None


def stored_format(db: Database) -> int | None:
    """Return the version of the format that the rows of a database refer to; None when it is new."""
    if is_new(db):
        return None
    return int(db.read_blocking(_settings)["format"])


def install(db: Database, now: float) -> str:
    """Bring the database's schema to this version and return the cluster id.

    Raises:
        FailedPrecondition: the database was written by a newer Trunkline.
    """
    current = db.read_blocking(_revision)
    if current is None:
        db.run_blocking(_create, now)
    elif current != HEAD:
        migrate(db, current)
    return db.read_blocking(_settings)["cluster_id"]


def _revision(conn: sa.Connection) -> str | None:
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    revision: str | None = conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _settings(conn: sa.Connection) -> dict[str, str]:
    return {row.name: row.value for row in conn.execute(sa.select(schema.setting))}


def _create(tx: Tx, now: float) -> None:
    _create_tables(tx.conn)
    triggers.create_all(tx.conn)
    tx.conn.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    tx.conn.execute(sa.text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
    _insert_first_rows(tx.conn, now)


def _create_tables(conn: sa.Connection) -> None:
    """Create all tables, except those that exist, and their indexes. PostgreSQL's answers are not waited for."""
    name = conn.dialect.name
    if name not in _statements:
        _statements[name] = [str(ddl.compile(dialect=conn.dialect)) for ddl in _definitions(name)]
    for statement in _statements[name]:
        query.queue(conn, statement, None)


def _definitions(dialect: str) -> Iterator[CreateTable | CreateIndex]:
    if dialect == "postgresql":
        for index, where in schema.partial_indexes:
            index.dialect_options["postgresql"]["where"] = where
    for table in schema.metadata.sorted_tables:
        yield CreateTable(table, if_not_exists=True)  # the lease of a server made one of them
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield CreateIndex(index)


def _insert_first_rows(conn: sa.Connection, now: float) -> None:
    """Insert the rows that a new database starts with."""
    conn.execute(
        schema.setting.insert(),
        [{"name": "cluster_id", "value": uuid.uuid4().hex}, {"name": "format", "value": str(FORMAT)}],
    )
    conn.execute(
        schema.storage_total.insert().values(
            id=1, chunks=0, packs=0, stored_bytes=0, chunk_bytes=0, written_bytes=0
        )
    )
    conn.execute(schema.project.insert().values(name="default", description="", created_at=now, metadata={}))


def migrate(db: Database, current: str, to: str = "head") -> None:
    """Run migrations.

    Args:
        db: the database.
        current: its revision; empty when it has no tables yet.
        to: the revision to reach.

    Raises:
        FailedPrecondition: the database was written by a newer Trunkline.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(resources.files("trunkline.meta") / "migrations"))
    config.set_main_option("sqlalchemy.url", db.url.render_as_string(hide_password=False).replace("%", "%%"))
    revisions = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current and current not in revisions:
        raise errors.FailedPrecondition(
            f"the database has schema revision {current}, which is newer than this Trunkline's {HEAD};"
            " install the Trunkline version that wrote it, or a later one"
        )
    command.upgrade(config, to)
