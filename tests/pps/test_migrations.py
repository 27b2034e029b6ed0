"""Databases of every earlier schema revision are brought up to date and go on where they were."""

from __future__ import annotations

import ast
import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import postgres_server
import psycopg
import pytest
import sqlalchemy as sa
from pps_world import PpsWorld, Seen

from trunkline.meta import install, migrations, records, schema, secrets
from trunkline.meta.database import Database, sqlite_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.runtime.migration import MigrationContext

FROZEN = Path(__file__).parents[1] / "golden" / "databases"
VERSIONS = Path(migrations.__file__).parent / "versions"


@pytest.fixture(params=sorted(path.name for path in FROZEN.glob("*.gz")))
def frozen_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database as an earlier Trunkline left it."""
    data = gzip.decompress((FROZEN / request.param).read_bytes())
    if request.param.endswith(".sqlite.gz"):
        url = sqlite_url(tmp_path)
        Path(url.removeprefix("sqlite:///")).write_bytes(data)
        yield url
        return
    server = postgres_server.shared()
    with server.database() as name:
        with psycopg.connect(f"host={server.socket} user=postgres dbname={name}", autocommit=True) as conn:
            conn.execute(data)
        yield server.url(name)


def difference(database: Database) -> list[object]:
    """Return how a database's tables and indexes differ from what the code says."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.engine.connect() as conn:
        context: MigrationContext = MigrationContext.configure(conn)
        differences: list[object] = compare_metadata(context, schema.metadata)
    return differences


def revision(database: Database) -> str:
    with database.engine.connect() as conn:
        return str(conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def copy(seen: Seen) -> dict[str, bytes]:
    return dict(seen["images"])


def test_a_frozen_database_gets_the_schema_that_the_code_says_and_its_unfinished_job_is_finished(
    frozen_url: str,
) -> None:
    world = PpsWorld(frozen_url)
    try:
        hand = world.staffed("edges", copy)
        last = hand.work_until_ended("edges")

        assert last.state == "SUCCESS"
        assert [job.state for job in world.jobs("edges")] == ["SUCCESS", "FAILURE", "SUCCESS"]
        assert "the file is bad" in world.jobs("edges")[1].reason
        assert world.files("images") == {"/a": b"first", "/b": b"second", "/c": b"fourth"}
        assert world.files("edges") == {"/a": b"first", "/b": b"second", "/c": b"fourth"}
        assert [listed.state for listed in world.datums(world.jobs("edges")[1])].count("FAILED") == 1
        assert difference(world.versions.db) == []
        assert revision(world.versions.db) == install.HEAD
    finally:
        world.close()


@pytest.mark.parametrize("frozen_url", ["0001.sqlite.gz", "0007.postgres.sql.gz"], indirect=True)
def test_pipelines_of_a_frozen_database_get_a_meta_repo_for_later_commits(frozen_url: str) -> None:
    world = PpsWorld(frozen_url)
    try:
        hand = world.staffed("edges", copy)
        hand.work_until_ended("edges")
        world.put("images", {"/d": b"fifth"})
        hand.work_until_ended("edges")

        contents = world.files("edges", kind="meta")

        assert world.head("edges", kind="meta") == world.head("images")
        outputs = [data for path, data in contents.items() if "/out/" in path]
        assert sorted(outputs) == [b"fifth", b"first", b"fourth", b"second"]
    finally:
        world.close()


def test_the_migrations_alone_make_the_schema_that_the_code_says(database_url: str) -> None:
    database = Database(database_url, lambda _topics: None)
    try:
        database.run_blocking(
            lambda tx: tx.conn.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
            )
        )

        install.migrate(database, "")

        assert difference(database) == []
        assert revision(database) == install.HEAD
    finally:
        database.close()


def test_the_first_revision_alone_makes_the_tables_that_it_made_when_it_was_the_newest(
    database_url: str, tmp_path: Path
) -> None:
    early = tmp_path / "early.db"
    early.write_bytes(gzip.decompress((FROZEN / "0001-early.sqlite.gz").read_bytes()))
    database = Database(database_url, lambda _topics: None)
    try:
        database.run_blocking(
            lambda tx: tx.conn.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
            )
        )

        install.migrate(database, "", "0001")

        with database.engine.connect() as conn, sa.create_engine(f"sqlite:///{early}").connect() as old:
            assert _columns(conn) == _columns(old)
    finally:
        database.close()


def _columns(conn: object) -> dict[str, list[str]]:
    inspector = sa.inspect(conn)
    return {
        table: [column["name"] for column in inspector.get_columns(table)]
        for table in sorted(inspector.get_table_names())
        if table != "alembic_version"
    }


def test_secrets_and_defaults_of_an_older_release_are_noted_for_the_log(database_url: str) -> None:
    database = Database(database_url, lambda _topics: None)
    try:
        database.run_blocking(
            lambda tx: tx.conn.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"
            )
        )
        install.migrate(database, "", "0018")
        insert = sa.text(
            "INSERT INTO secret (name, kind, labels, keys, created_at, key_id, sealed)"
            " VALUES (:name, 'Opaque', '{}', '[\"x\"]', 1.5, 'k', :sealed)"
        )
        stored = [{"name": "b", "sealed": b"two"}, {"name": "a", "sealed": b"one"}]
        database.run_blocking(lambda tx: tx.conn.execute(insert, stored))

        install.migrate(database, "0018")

        sealed = database.read_blocking(lambda conn: [row.sealed for row in secrets.all_rows(conn)])
        assert sealed == [b"one", b"two"]
        page = database.read_blocking(lambda conn: records.notes(conn, 0, 100, 100))
        assert [tuple(note)[1:] for note in page][-3:] == [("secret", 1), ("secret", 2), ("cluster", 1)]
        read = database.read_blocking(lambda conn: records.read(conn, "secret", [2]))
        assert (read[2]["name"], read[2]["keys"], read[2]["created"]) == ("b", ["x"], 1.5)
    finally:
        database.close()


def test_every_revision_has_a_frozen_database_of_each_kind() -> None:
    """A change that adds a revision freezes it: ``python tests/golden/databases/freeze.py``."""
    revisions = {path.name[1:5] for path in VERSIONS.glob("r[0-9]*.py")}

    assert install.HEAD in revisions
    assert {path.name for path in FROZEN.glob("*.gz")} >= {
        f"{revision}.{kind}.gz" for revision in revisions for kind in ("sqlite", "postgres.sql")
    }


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("r[0-9]*.py")), ids=lambda path: path.stem)
def test_a_migration_does_what_it_did_whatever_the_code_becomes(path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    modules = {node.module or "" for node in imports}

    assert "alembic" in modules
    assert not [module for module in modules if module.startswith("trunkline")]
