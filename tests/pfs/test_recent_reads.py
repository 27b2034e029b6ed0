"""Small reads that are answered from memory until the next write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pfs_world import new_store

from trunkline.model import caller
from trunkline.model.names import RepoName
from trunkline.pfs import queries, recent_reads, repos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore

REPO = RepoName("default", "a")


@pytest.fixture(params=["sqlite", "postgres"])
def versions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VersionedStore]:
    with new_store(request.param, tmp_path, REPO) as store:
        yield store


def is_sqlite(versions: VersionedStore) -> bool:
    return versions.db.url.get_backend_name() == "sqlite"


def describe(versions: VersionedStore, text: str) -> None:
    versions.write(repos.create_repo, REPO, text, update=True)


async def test_a_value_is_read_once_until_something_is_written(versions: VersionedStore) -> None:
    """Not on PostgreSQL: a server that has lost its lock and does not know it yet would give old values."""
    reads: list[str] = []

    def description(read: ReadTransaction, name: RepoName) -> str:
        text = queries.repo(read, name).row.description
        reads.append(text)
        return text

    first = [await versions.query_recent(description, REPO) for _ in range(3)]
    await asyncio.to_thread(describe, versions, "new")
    second = [await versions.query_recent(description, REPO) for _ in range(3)]
    other = await versions.for_caller(caller.worker("01")).query_recent(description, REPO)

    assert (first, second, other) == ([""] * 3, ["new"] * 3, "new")
    assert reads == (["", "new", "new"] if is_sqlite(versions) else [*first, *second, other])


async def test_no_read_gives_less_than_what_was_acknowledged_or_given_before(
    versions: VersionedStore,
) -> None:
    newest = 0  # that anybody has seen or that was acknowledged
    done = False

    def number(read: ReadTransaction, name: RepoName) -> int:
        return int(queries.repo(read, name).row.description or 0)

    async def watch() -> None:
        nonlocal newest
        while not done:
            least = newest
            value = await versions.query_recent(number, REPO)
            assert value >= least
            newest = max(newest, value)
            await asyncio.sleep(0)

    watchers = [asyncio.create_task(watch()) for _ in range(8)]
    for value in range(1, 101):
        await asyncio.to_thread(describe, versions, str(value))
        newest = max(newest, value)
    done = True
    await asyncio.gather(*watchers)

    assert newest == 100


def test_values_of_an_older_state_are_not_kept_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_reads, "VALUES", 2)
    recent = recent_reads.RecentReads()

    recent.keep(4, "late", "new")
    recent.keep(2, "early", "old")
    for key in "abc":
        recent.keep(4, key, key)

    assert recent.get(2, "early") is None
    assert [recent.get(4, key) for key in ("late", "a", "b", "c")] == [None, None, "b", "c"]
    assert recent.get(6, "c") is None
