"""Long streams: their changes are applied while they run, and the commit has the files that it would have anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pfs_world import new_store

from trunkline.meta import commits as commit_rows
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import commits, files
from trunkline.pfs.ahead import AppliedAhead
from trunkline.pfs.branches import BranchName
from trunkline.pfs.write_streams import CommitStream
from trunkline.storage import deltas
from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.repository import VersionedStore

REPO = RepoName("default", "data")
#: Rows of a delta here.
ROWS = 8


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VersionedStore]:
    monkeypatch.setattr(deltas, "_SPILL_ROWS", ROWS)
    with new_store("sqlite", tmp_path, REPO) as versions:
        yield versions


def begin(versions: VersionedStore) -> CommitRow:
    return versions.write(commits.start_commit, BranchName(REPO, "master"))


def name_of(row: CommitRow) -> CommitName:
    return CommitName(REPO, branch="master", id=row.set_id)


def stream(versions: VersionedStore, row: CommitRow, say: Callable[[CommitStream], object]) -> None:
    stream = CommitStream(versions, name_of(row))
    say(stream)
    stream.finish()


def add(first: int, stop: int, step: int = 1) -> Callable[[CommitStream], object]:
    def say(stream: CommitStream) -> None:
        for number in range(first, stop, step):
            stream.add(f"/d{number // 10:02}/{number:03}", "", b"%d" % number)

    return say


def prepared(versions: VersionedStore, row: CommitRow) -> commits.PreparedFinish:
    return commits.prepare_finish(versions, name_of(row), error="", description="", force=False)


def numbers(versions: VersionedStore, row: CommitRow) -> list[int]:
    """Finish a commit; return what its files hold, in the order of their paths."""
    commits.finish_commit(versions, name_of(row))
    snapshot = files.snapshot(versions, name_of(row))
    entries = storage_files.walk(snapshot.trees, snapshot.tree)
    return [int(b"".join(snapshot.read(entry))) for entry in entries if not entry.is_dir]


def test_a_long_stream_is_applied_when_its_commit_is_finished(versions: VersionedStore) -> None:
    row = begin(versions)
    stream(versions, row, add(0, 100))

    finish = prepared(versions, row)

    assert len(finish.view.deltas) > 2
    assert finish.applied.packs == []
    assert finish.applied.size == sum(len(str(number)) for number in range(100))
    assert numbers(versions, row) == list(range(100))


def test_the_tree_is_that_of_all_changes_at_once(versions: VersionedStore) -> None:
    row = begin(versions)
    stream(versions, row, add(0, 100))
    ahead = prepared(versions, row).applied

    versions.ahead = AppliedAhead()  # as after a restart
    after_all = prepared(versions, row).applied

    assert ahead.tree == after_all.tree
    assert ahead.size == after_all.size


def test_layers_that_come_later_are_applied_to_the_result(versions: VersionedStore) -> None:
    row = begin(versions)
    stream(versions, row, add(0, 50))
    stream(versions, row, add(50, 60))
    stream(versions, row, lambda stream: stream.delete("/d00/", ""))

    assert numbers(versions, row) == list(range(10, 60))


def test_streams_of_one_commit_that_run_at_the_same_time_lose_nothing(versions: VersionedStore) -> None:
    row = begin(versions)
    even, odd = (CommitStream(versions, name_of(row)) for _ in range(2))
    for first in range(0, 60, 20):
        add(first, first + 20, 2)(even)
        add(first + 1, first + 20, 2)(odd)
    even.finish()
    odd.finish()

    assert numbers(versions, row) == list(range(60))


def test_a_second_long_stream_goes_on_from_the_first(versions: VersionedStore) -> None:
    first, second = begin(versions), None
    stream(versions, first, add(0, 30))
    stream(versions, first, add(30, 60))
    applied = prepared(versions, first).applied
    assert numbers(versions, first) == list(range(60))
    second = begin(versions)
    stream(versions, second, add(60, 90))

    assert applied.packs == []
    assert prepared(versions, second).applied.packs == []
    assert numbers(versions, second) == list(range(90))


def test_files_in_any_order_are_applied_when_the_commit_is_finished(versions: VersionedStore) -> None:
    row = begin(versions)
    stream(
        versions,
        row,
        lambda stream: [add(number % 100, number % 100 + 1)(stream) for number in range(0, 3700, 37)],
    )

    assert prepared(versions, row).applied.packs != []
    assert numbers(versions, row) == list(range(100))


def test_a_conflict_within_a_long_stream_is_the_error_of_the_commit(versions: VersionedStore) -> None:
    row = begin(versions)

    def say(stream: CommitStream) -> None:
        add(0, 40)(stream)
        stream.add("/d01/010/below", "", b"1")
        add(40, 60)(stream)

    stream(versions, row, say)
    ahead = prepared(versions, row).applied
    versions.ahead = AppliedAhead()
    after_all = prepared(versions, row).applied
    commits.finish_commit(versions, name_of(row))
    finished = versions.read(commit_rows.by_id, row.id)

    assert (
        ahead.problem == after_all.problem == finished.error == "file / directory path collision (/d01/010)"
    )
    assert ahead.tree == after_all.tree


def test_an_open_commit_is_read_through_what_was_applied(versions: VersionedStore) -> None:
    row = begin(versions)
    stream(versions, row, add(0, 50))

    snapshot = files.snapshot(versions, name_of(row))

    assert snapshot.tree in versions.ahead.trees
