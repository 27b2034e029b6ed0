"""The event log holds exactly the events of committed transactions, numbered in their order without gaps."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from patience import eventually
from postgres_server import Wire

from trunkline import errors
from trunkline.meta import event_log, install, schema
from trunkline.meta.database import Database
from trunkline.model.events import BEGINNING, EventKind, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import PostgresServer

    from trunkline.meta.event_log import Batch
    from trunkline.meta.group_commit import Tx


@pytest.fixture
def opened(installed_url: str) -> Iterator[Callable[[], Database]]:
    """Open the new database; each opening is a server of its own."""
    databases: list[Database] = []

    def open_() -> Database:
        for database in databases:
            database.close()
        databases.append(Database(installed_url, lambda _topics: None))
        return databases[-1]

    yield open_
    for database in databases:
        database.close()


@pytest.fixture
def db(opened: Callable[[], Database]) -> Database:
    database = opened()
    install.install(database, 1.0)
    return database


def record(tx: Tx, *names: str, at: float = 1.0) -> None:
    for name in names:
        tx.record(event(EventKind.REPO, at, "p", repo=name))


def stored(db: Database, number: int = 1) -> list[tuple[int, str]]:
    return numbered(db.read_blocking(event_log.page, number))


def numbered(batches: list[Batch]) -> list[tuple[int, str]]:
    return [
        (number, happened.repo)
        for batch in batches
        for number, happened in enumerate(batch.events, batch.first)
    ]


def rows(db: Database) -> int:
    count = sa.select(sa.func.count()).select_from(schema.event_batch)
    return db.read_blocking(lambda conn: int(conn.execute(count).scalar_one()))


def test_events_are_numbered_and_published_in_the_order_of_their_transactions(db: Database) -> None:
    published: list[Batch] = []
    db.publish_events_to(published.append)

    db.run_blocking(record, "a", "b")
    db.run_blocking(record)
    db.run_blocking(record, "c")

    assert stored(db) == [(1, "a"), (2, "b"), (3, "c")]
    assert stored(db, 2) == [(1, "a"), (2, "b"), (3, "c")]
    assert stored(db, 3) == [(3, "c")]
    assert numbered(published) == stored(db)
    assert rows(db) == 2


def test_what_fails_leaves_no_event_also_beside_what_succeeds(db: Database) -> None:
    def fail(tx: Tx) -> None:
        record(tx, "lost")
        raise errors.Aborted("no")

    begun, go_on = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        begun.set()
        go_on.wait()

    with ThreadPoolExecutor(5) as pool:
        held = pool.submit(db.run_blocking, hold)
        begun.wait()  # what follows shares a commit
        results = [
            pool.submit(db.run_blocking, record, "a"),
            pool.submit(db.run_blocking, fail),
            pool.submit(db.run_blocking, record, "b"),
        ]
        eventually(lambda: db._writes._queue.qsize() == 3, "the writes to wait")
        go_on.set()
        held.result()
    failed = [result.exception() for result in results if result.exception() is not None]

    assert [type(error) for error in failed] == [errors.Aborted]
    assert {name for _, name in stored(db)} == {"a", "b"}
    assert [number for number, _ in stored(db)] == [1, 2]
    assert rows(db) == 1


def test_a_transaction_that_fails_alone_gives_its_numbers_to_the_next_one(db: Database) -> None:
    db.run_blocking(record, "a")

    def fail(tx: Tx) -> None:
        record(tx, "lost")
        raise errors.Aborted("no")

    with pytest.raises(errors.Aborted):
        db.run_blocking(fail)
    db.run_blocking(record, "b")

    assert stored(db) == [(1, "a"), (2, "b")]


def test_numbers_go_on_after_a_restart_in_another_epoch(db: Database, opened: Callable[[], Database]) -> None:
    db.run_blocking(record, "a", "b")
    before = db.read_blocking(event_log.newest)
    second = opened()
    second.run_blocking(record, "c")

    after = second.read_blocking(event_log.newest)
    assert stored(second) == [(1, "a"), (2, "b"), (3, "c")]
    assert (before.number, after.number) == (2, 3)
    assert before.epoch != after.epoch
    assert [batch.epoch for batch in second.read_blocking(event_log.page, 1)] == [before.epoch, after.epoch]


def test_an_empty_log_has_its_beginning_as_newest_position(db: Database) -> None:
    assert db.read_blocking(event_log.newest) == BEGINNING
    assert db.read_blocking(event_log.last, 1000) == []


def test_very_many_events_of_a_transaction_take_several_rows(db: Database) -> None:
    names = [str(number) for number in range(600)]

    db.run_blocking(record, *names)

    assert stored(db) == list(enumerate(names, 1))
    assert stored(db, 300) == list(enumerate(names, 1))[256:]
    assert rows(db) == 3


def test_the_end_of_the_log_is_read_by_its_size(db: Database) -> None:
    for number in range(10):
        db.run_blocking(record, str(number))
    size = len(event(EventKind.REPO, 1.0, "p", repo="0").text)

    some = numbered(db.read_blocking(event_log.last, 3 * size))
    everything = numbered(db.read_blocking(event_log.last, 1 << 20))

    assert everything == stored(db)
    assert some == everything[-len(some) :]


def test_the_first_event_of_a_time_is_found(db: Database) -> None:
    for at in (10.0, 20.0, 20.0, 30.0):
        db.run_blocking(record, f"at {at:g}", at=at)

    firsts = [db.read_blocking(event_log.first_from, at) for at in (0.0, 10.0, 15.0, 20.0, 30.0, 31.0)]

    assert firsts == [1, 1, 2, 2, 4, 5]


def test_old_events_go_by_time_and_by_size_and_the_newest_row_always_stays(db: Database) -> None:
    for number in range(1, 11):
        db.run_blocking(record, "x" * 100, at=float(number))

    by_time = db.run_blocking(lambda tx: event_log.remove_old(tx.conn, 4.0, 1 << 20, 100))
    in_slices = [db.run_blocking(lambda tx: event_log.remove_old(tx.conn, 7.0, 1 << 20, 2)) for _ in range(3)]
    by_size = db.run_blocking(lambda tx: event_log.remove_old(tx.conn, 0.0, 400, 100))
    remaining = [number for number, _ in stored(db)]
    everything = db.run_blocking(lambda tx: event_log.remove_old(tx.conn, 1e9, 0, 100))
    db.run_blocking(record, "next")

    assert (by_time, in_slices, by_size) == (3, [2, 1, 0], 2)
    assert remaining == [9, 10]
    assert everything == 1
    assert [number for number, _ in stored(db)] == [10, 11]


@pytest.mark.parametrize("cut_at", ["request", "answer"])
def test_events_of_a_commit_that_is_not_answered_are_stored_and_published_once(
    postgres: PostgresServer, cut_at: str
) -> None:
    wire = Wire(postgres)
    with postgres.database() as name:
        db = Database(f"postgresql+psycopg://postgres@/{name}?host={wire.socket}", lambda _topics: None)
        published: list[Batch] = []
        db.publish_events_to(published.append)
        try:
            install.install(db, 1.0)
            db.run_blocking(record, "a")
            wire.cut_at = cut_at
            db.run_blocking(record, "b")
            db.run_blocking(record, "c")
            in_log = stored(db)
        finally:
            db.close()
            wire.close()

    assert in_log == [(1, "a"), (2, "b"), (3, "c")]
    assert numbered(published) == in_log


def test_a_server_that_has_lost_its_lease_writes_and_publishes_no_event(postgres: PostgresServer) -> None:
    with postgres.database() as name, contextlib.ExitStack() as stack:
        first, second = (
            Database(postgres.url(name), lambda _topics: None, lambda _reason: None) for _ in "12"
        )
        stack.callback(first.close)
        stack.callback(second.close)
        first.open()
        install.install(first, 1.0)
        published: list[Batch] = []
        first.publish_events_to(published.append)
        first.run_blocking(record, "a")
        with first._writes._writing:  # whoever asks first gets the lease: the second one
            postgres.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )
            eventually(lambda: second.open() == "", "the lease")
        second.run_blocking(record, "b")
        with pytest.raises(errors.Unavailable):
            first.run_blocking(record, "late")
        second.run_blocking(record, "c")
        in_log = stored(second)

    assert in_log == [(1, "a"), (2, "b"), (3, "c")]
    assert numbered(published) == [(1, "a")]
