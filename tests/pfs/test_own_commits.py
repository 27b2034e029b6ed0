"""Streams that are a commit of their own: their changes are applied at once, and only the files are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pfs_world import new_store

from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import files
from trunkline.pfs.write_streams import CommitStream
from trunkline.storage import deltas
from trunkline.storage import files as storage_files
from trunkline.storage.chunks import chunk_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.pfs.repository import VersionedStore

REPO = RepoName("default", "data")
BRANCH = CommitName(REPO, branch="master")


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[VersionedStore]:
    with new_store("sqlite", tmp_path, REPO) as versions:
        yield versions


def paths(versions: VersionedStore) -> list[str]:
    snapshot = files.snapshot(versions, BRANCH)
    return [entry.path for entry in storage_files.walk(snapshot.trees, snapshot.tree) if not entry.is_dir]


def test_only_the_files_and_their_tree_are_stored(versions: VersionedStore) -> None:
    stream = CommitStream(versions, BRANCH)
    stream.add("/a", "", b"content")

    prepared = stream.prepare()
    versions.write(stream.record, prepared)

    assert prepared.applied is not None
    stored = {id for pack in prepared.packs for id, *_ in pack.entries}
    assert stored == {chunk_id(b"content"), prepared.applied.tree}


def test_changes_are_applied_again_after_another_writer_was_first(
    versions: VersionedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "_SPILL_ROWS", 8)
    late, first = CommitStream(versions, BRANCH), CommitStream(versions, BRANCH)
    for number in range(30):
        late.add(f"/late{number:02}", "", b"%d" % number)
    late.delete("/first", "")
    prepared = late.prepare()
    first.add("/first", "", b"1")
    first.add("/other", "", b"2")
    first.finish()

    recorded = versions.write(late.record, prepared)
    again = late.prepare_again(prepared)

    assert not recorded
    assert versions.write(late.record, again)
    assert paths(versions) == [*(f"/late{number:02}" for number in range(30)), "/other"]
