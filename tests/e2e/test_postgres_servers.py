"""Whole servers on PostgreSQL: the same pipelines, a database that is restarted, and a server that takes over."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pps
from servers import Notes, Server, ended, files_of, job_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres_server import PostgresServer

NUMBERS = [f"/{number:02}" for number in range(12)]


@pytest.fixture
def name(postgres: PostgresServer) -> Iterator[str]:
    """A new database's name."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def database(postgres: PostgresServer, name: str) -> str:
    """The URL of the new database, as people write it."""
    return postgres.url(name).replace("postgresql+psycopg", "postgresql")


@pytest.fixture
def make_server(tmp_path: Path, database: str) -> Iterator[Callable[[str], Server]]:
    """Make servers on one database, each with a data folder of its own and all with the same objects."""
    (tmp_path / "objects").mkdir()
    servers: list[Server] = []

    def make(name: str) -> Server:
        (tmp_path / name).mkdir()
        (tmp_path / name / "objects").symlink_to(tmp_path / "objects")
        servers.append(Server(tmp_path / name, options=("--database", database)))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def noting(place: Path, seconds: float) -> str:
    """Return a script that notes each run outside of everything versioned, then copies its input slowly."""
    return f"""
for file in /pfs/images/*; do
    echo "$(basename "$file")" >>{place}
    sleep {seconds}
    cat "$file" >>/pfs/out/"$(basename "$file")"
done
"""


def runs(place: Path) -> list[str]:
    return place.read_text().split() if place.exists() else []


def test_a_pipeline_runs_and_a_server_goes_on_where_it_stopped(
    make_server: Callable[[str], Server], tmp_path: Path
) -> None:
    server = make_server("data").start()
    client = server.client()
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", noting(tmp_path / "notes", 0), "images")
    first = ended(client, edges, put(client, images, {"/a": b"1", "/b": b"2"}))
    assert server.terminate() == 0
    server.start()
    client = server.client()

    second = ended(client, edges, put(client, images, {"/c": b"3"}, delete=["/a"]))

    assert (first.state, first.data_processed) == (pps.JobState.JOB_SUCCESS, 2)
    assert (second.state, second.data_processed, second.data_skipped) == (pps.JobState.JOB_SUCCESS, 1, 1)
    assert files_of(client, "edges@master") == {"/b": b"2", "/c": b"3"}
    assert sorted(runs(tmp_path / "notes")) == ["a", "b", "c"]


def test_postgres_restarted_under_load_loses_nothing_and_doubles_nothing(
    make_server: Callable[[str], Server], postgres: PostgresServer, tmp_path: Path
) -> None:
    server, notes = make_server("data").start(), tmp_path / "notes"
    client = server.client()
    images = make_repo(client, "images")
    spec = pps.ParallelismSpec(constant=2)
    edges = make_pipeline(client, "edges", noting(notes, 0.05), "images", parallelism_spec=spec)
    initial = [info.commit.id for info in client.pfs.list_commit(repo=images.repo)]
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            path = f"/{len(acknowledged):03}"
            acknowledged.append(put(client, images, {path: path.encode()}))

    writer = threading.Thread(target=write)
    writer.start()
    for mode in ("fast", "immediate"):
        before = len(acknowledged)
        until(lambda: len(acknowledged) > before + 5, "commits")  # noqa: B023 - called at once
        postgres.restart(mode)
    before = len(acknowledged)
    until(lambda: len(acknowledged) > before + 5, "commits after the restarts")
    stop.set()
    writer.join()
    states = [ended(server.client(), edges, commit).state for commit in acknowledged]

    expected = {f"/{number:03}": b"/%03d" % number for number in range(len(acknowledged))}
    listed = [info.commit.id for info in client.pfs.list_commit(repo=images.repo)]
    assert listed == acknowledged[::-1] + initial
    assert set(states) == {pps.JobState.JOB_SUCCESS}
    assert files_of(client, "edges@master") == expected
    assert Counter(runs(notes)) == Counter(path[1:] for path in expected)


def test_a_second_server_waits_and_goes_on_with_the_job_when_the_first_is_killed(
    make_server: Callable[[str], Server], tmp_path: Path
) -> None:
    first, second, notes = make_server("first").start(), make_server("second"), Notes(tmp_path)
    client = first.client()
    images = make_repo(client, "images")
    spec = pps.ParallelismSpec(constant=2)
    edges = make_pipeline(client, "edges", notes.script, "images", parallelism_spec=spec)
    starting = threading.Thread(target=second.start)
    starting.start()
    until(lambda: second.log.exists() and "waiting: " in second.log.read_text(), "the second to wait")
    notes.hold_from(6)
    commit = put(client, images, {path: path.encode() for path in NUMBERS})
    job = job_of(edges, commit)

    def recorded() -> set[str]:
        datums = client.pps.list_datum(job=job)
        return {info.data[0].file.path.lstrip("/") for info in datums if info.state == pps.DatumState.SUCCESS}

    done = until(recorded, "results")
    before = len(notes.runs())
    assert second.address == ""
    first.kill()
    notes.release()
    starting.join()
    client = second.client()
    info = ended(client, edges, commit)

    assert info.state == pps.JobState.JOB_SUCCESS
    assert (info.data_total, info.data_processed, info.data_failed) == (12, 12, 0)
    assert files_of(client, "edges@master") == {path: path.encode() for path in NUMBERS}
    assert f"(process {first.pid})" in second.log.read_text()
    # Those that were in the middle of a datum when the first was killed ran it for nothing; no result is made twice.
    assert not done & set(notes.runs()[before:])


def test_a_server_that_was_cut_off_stops_when_another_has_taken_over(
    make_server: Callable[[str], Server], postgres: PostgresServer, name: str
) -> None:
    first, second = make_server("first").start(), make_server("second")
    starting = threading.Thread(target=second.start)
    starting.start()
    until(lambda: second.log.exists() and "waiting: " in second.log.read_text(), "the second to wait")

    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)  # as a machine that hangs
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    starting.join()
    first.process.send_signal(signal.SIGCONT)
    code = first.wait()

    make_repo(second.client(), "images")
    assert code == 6  # UNAVAILABLE
    assert "has taken over" in first.log.read_text()


def test_a_server_that_waits_takes_over_from_one_that_is_frozen(
    make_server: Callable[[str], Server],
    postgres: PostgresServer,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frozen server keeps its session, and the lock with it. An idle one is left alone, because it gives signs."""
    first = make_server("first").start()
    make_repo(first.client(), "before")
    monkeypatch.setenv("TRUNKLINE_TAKEOVER_SECONDS", "3")
    second = make_server("second")
    starting = threading.Thread(target=second.start)
    starting.start()
    until(lambda: second.log.exists() and "waiting: " in second.log.read_text(), "the second to wait")

    signs: set[object] = set()

    def idle_for_longer_than_it_may_be_frozen() -> bool:
        signs.update(
            postgres.execute(
                f"SELECT max(query_start) FROM pg_stat_activity WHERE datname = '{name}' AND query = 'SELECT 1'"
            )
        )
        return len(signs) > 4

    until(idle_for_longer_than_it_may_be_frozen, "the first to be idle")
    left_alone = first.process is not None and first.process.poll() is None and not second.address
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    starting.join()
    make_repo(second.client(), "after")
    first.process.send_signal(signal.SIGCONT)
    code = first.wait()

    names = [info.repo.name for info in second.client().pfs.list_repo(type="user")]
    assert left_alone
    assert sorted(names) == ["after", "before"]
    assert code == 6  # UNAVAILABLE
    assert "has taken over" in first.log.read_text()


def test_a_server_that_waits_ends_when_it_is_told_to(
    make_server: Callable[[str], Server],
) -> None:
    make_server("first").start()
    second = make_server("second")

    def start_in_vain() -> None:
        with pytest.raises(AssertionError, match="did not get ready"):
            second.start()

    starting = threading.Thread(target=start_in_vain)
    starting.start()
    until(lambda: second.log.exists() and "waiting: " in second.log.read_text(), "the second to wait")

    assert second.process is not None
    second.process.terminate()

    assert second.process.wait(60) == 0
    starting.join()
