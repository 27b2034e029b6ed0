"""Transactions: grouped, isolated from each other's failures, announced after they are durable."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from trunkline import errors
from trunkline.meta import install, schema
from trunkline.meta.database import Database
from trunkline.meta.query import ListQuery
from trunkline.meta.wakeups import Wakeups
from trunkline.runtime.cancellation import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.meta.group_commit import Tx


@pytest.fixture
def announced() -> list[set[str]]:
    return []


@pytest.fixture
def db(database_url: str, announced: list[set[str]]) -> Iterator[Database]:
    database = Database(database_url, lambda topics: announced.append(set(topics)))
    install.install(database, 1.0)
    announced.clear()
    yield database
    database.close()


def put(tx: Tx, name: str, *topics: str) -> str:
    tx.conn.execute(schema.setting.insert().values(name=name, value="x"))
    tx.wake(*topics)
    return name


def names(conn: sa.Connection) -> set[str]:
    own = {"cluster_id", "format", "active_server", "last_write"}
    return set(conn.execute(sa.select(schema.setting.c.name)).scalars()) - own


def test_a_write_is_visible_to_the_next_read(db: Database) -> None:
    assert db.run_blocking(put, "a") == "a"

    assert db.read_blocking(names) == {"a"}


def test_a_list_query_returns_the_rows_of_all_its_values_and_no_others(db: Database) -> None:
    name = schema.setting.c.name
    query = ListQuery(sa.select(name).where(name != sa.bindparam("but")), name)
    for number in range(12):
        db.run_blocking(put, f"setting{number}")

    for count in (0, 1, 2, 3, 5, 8, 11):
        asked = [f"setting{number}" for number in range(count)]
        rows = db.read_blocking(lambda conn, asked=asked: query.rows(conn, [*asked, "none"], but="setting0"))
        assert sorted(row[0] for row in rows) == sorted(asked[1:])
    assert db.read_blocking(lambda conn: query.rows(conn, [], but="")) == []


def test_a_failed_write_leaves_nothing_and_gives_its_error_to_its_caller(db: Database) -> None:
    def fail(tx: Tx) -> None:
        put(tx, "lost")
        raise errors.Aborted("no")

    with pytest.raises(errors.Aborted, match="no"):
        db.run_blocking(fail)

    assert db.read_blocking(names) == set()


def test_writes_that_queue_up_share_a_commit_and_one_that_fails_takes_nothing_with_it(
    db: Database, announced: list[set[str]]
) -> None:
    entered, go = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        go.wait(30)
        put(tx, "first", "one")

    def fail(tx: Tx) -> None:
        put(tx, "lost", "never")
        raise errors.Aborted("no")

    async def scenario() -> list[object]:
        first = asyncio.ensure_future(db.run(hold))
        await asyncio.to_thread(entered.wait, 30)
        rest = [
            asyncio.ensure_future(write)
            for write in (db.run(put, "a", "two"), db.run(fail), db.run(put, "b", "two"))
        ]
        await asyncio.sleep(0)  # let them queue up behind the first
        go.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    results = asyncio.run(scenario())

    assert [type(result) for result in results] == [type(None), str, errors.Aborted, str]
    assert db.read_blocking(names) == {"first", "a", "b"}
    assert announced == [{"one"}, {"two"}]


def test_a_write_that_was_cancelled_in_the_queue_is_not_done(db: Database) -> None:
    entered, go = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        entered.set()
        go.wait(30)

    async def scenario() -> None:
        first = asyncio.ensure_future(db.run(hold))
        await asyncio.to_thread(entered.wait, 30)
        second = asyncio.ensure_future(db.run(put, "unwanted"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, second, return_exceptions=True)

    asyncio.run(scenario())

    assert db.read_blocking(names) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL's is in test_postgres
def test_a_full_disk_is_said_and_the_database_goes_on(db: Database) -> None:
    pages = db.run_blocking(lambda tx: tx.conn.exec_driver_sql("PRAGMA page_count").scalar())
    db.run_blocking(lambda tx: tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())

    def fill(tx: Tx) -> None:
        for number in range(100):
            tx.conn.execute(schema.setting.insert().values(name=str(number), value="x" * 4000))

    with pytest.raises(errors.ResourceExhausted, match="free space on its disk"):
        db.run_blocking(fill)
    db.run_blocking(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
    db.run_blocking(put, "after")

    assert db.read_blocking(names) == {"after"}


def test_closing_leaves_a_connection_alone_with_which_a_thread_still_reads(database_url: str) -> None:
    """Closing it under the thread would crash the process."""
    database = Database(database_url, lambda _: None)
    install.install(database, 1.0)
    reading, release = threading.Event(), threading.Event()
    seen: list[set[str]] = []

    def read(conn: sa.Connection) -> None:
        reading.set()
        release.wait(60)
        seen.append(names(conn))

    thread = threading.Thread(target=database.read_blocking, args=(read,))
    thread.start()
    assert reading.wait(60)

    database.close()
    release.set()
    thread.join(60)

    assert seen == [set()]


def test_reads_of_threads_that_end_share_one_connection(db: Database) -> None:
    """Each request for metrics or readiness runs in a thread of its own."""
    connections: list[object] = []
    sa.event.listen(db.engine, "connect", lambda connection, _record: connections.append(connection))

    for _ in range(5):
        thread = threading.Thread(target=db.check)
        thread.start()
        thread.join(60)

    assert len(connections) <= 1


def test_a_read_inside_a_read_is_refused(db: Database) -> None:
    """It would see another snapshot."""
    with pytest.raises(RuntimeError, match="pass the connection on"):
        db.read_blocking(lambda _conn: db.read_blocking(names))

    assert db.read_blocking(names) == set()


def test_a_read_for_a_caller_that_has_gone_is_not_begun(db: Database) -> None:
    scope = Scope()
    with ThreadPoolExecutor(1) as pool:
        scope.cancel()
        with pytest.raises(errors.Cancelled):
            scope.submit(pool, db.read_blocking, names).result(20)


def test_a_database_of_a_newer_version_is_refused(db: Database) -> None:
    db.run_blocking(lambda tx: tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(errors.FailedPrecondition, match="schema revision 9999, which is newer"):
        install.install(db, 1.0)


def test_a_database_is_made_once_and_keeps_its_cluster_id(db: Database) -> None:
    first = install.install(db, 2.0)

    assert install.install(db, 3.0) == first


def test_a_topic_announced_between_reading_and_waiting_is_not_missed() -> None:
    async def scenario() -> bool:
        wakeups = Wakeups(asyncio.get_running_loop())
        stamp = wakeups.stamp()
        wakeups.announce(["b"])
        await asyncio.sleep(0)
        return await wakeups.changed(stamp, "a", "b", timeout=5)

    assert asyncio.run(scenario())


def test_waiting_ends_with_false_when_nothing_of_the_topics_happens() -> None:
    async def scenario() -> bool:
        wakeups = Wakeups(asyncio.get_running_loop())
        wakeups.announce(["other"])
        return await wakeups.changed(wakeups.stamp(), "a", timeout=0.01)

    assert not asyncio.run(scenario())
