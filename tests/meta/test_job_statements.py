"""How SQLite runs the statements on live jobs, which run several times for each commit."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from trunkline.meta import install, job_queue, jobs, schema
from trunkline.meta.database import Database
from trunkline.meta.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("jobs")
    database = Database(f"sqlite:///{folder}/trunkline.db", lambda _: None)
    install.install(database, 1.0)
    yield database
    database.close()


def look(conn: sa.Connection) -> sqlite3.Connection:
    """Run the statements, and return the driver's connection."""
    jobs.live(conn, 1, 2)
    job_queue.front(conn, 1)
    job_queue.next_with_work(conn, 1)
    job_queue.counts(conn, 1)
    driver: sqlite3.Connection = conn.connection.dbapi_connection  # type: ignore[assignment]
    return driver


def test_live_jobs_are_found_without_reading_those_that_have_ended(db: Database) -> None:
    def plans(conn: sa.Connection) -> list[str]:
        texts: list[str] = []
        driver = look(conn)
        driver.set_trace_callback(texts.append)
        look(conn)
        driver.set_trace_callback(None)
        return [str(driver.execute("EXPLAIN QUERY PLAN " + text).fetchall()) for text in texts]

    seen = db.read_blocking(plans)

    assert len(seen) == 4
    assert all("ix_job_live" in plan and "ix_job_pipeline_id_id" not in plan for plan in seen), seen


def test_statements_are_prepared_once(db: Database) -> None:
    def prepared(conn: sa.Connection) -> int:
        actions: list[int] = []

        def allow(action: int, *_: Any) -> int:
            actions.append(action)
            return sqlite3.SQLITE_OK

        driver = look(conn)
        driver.set_authorizer(allow)  # asked whenever a statement is prepared; lets all be prepared again
        look(conn)
        actions.clear()
        look(conn)
        driver.set_authorizer(None)
        return len(actions)

    assert db.read_blocking(prepared) == 0


@pytest.mark.parametrize("name", ["it's", "two  words", "what?", "", 'a "b"', "c:d %s"])
def test_a_constant_keeps_its_value_in_the_text(db: Database, name: str) -> None:
    setting = schema.setting.c
    query = Query(
        sa.select(sa.literal(name), sa.literal(7), setting.name).where(setting.name == sa.bindparam("of"))
    )

    rows = db.read_blocking(query.rows, of="cluster_id")

    assert rows == [(name, 7, "cluster_id")]
