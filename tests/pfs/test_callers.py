"""Every read and write knows for whom it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trunkline.model import caller
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import commits, repos, resolve
from trunkline.pfs.branches import BranchName

if TYPE_CHECKING:
    from trunkline.app.composition import Core
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction


@pytest.fixture
def versions(core: Core) -> VersionedStore:
    return core.versions


def test_reads_and_writes_are_made_for_the_caller_of_the_store(versions: VersionedStore) -> None:
    worker = caller.worker("0123")

    mine = versions.for_caller(worker)

    assert mine.query(lambda read: read.caller) == worker
    assert mine.write(lambda write: write.caller) == worker
    assert versions.write(lambda write: write.caller) == caller.SYSTEM


def test_writes_that_share_an_id_make_commits_of_one_set(versions: VersionedStore) -> None:
    branches = [BranchName(RepoName("default", name), "master") for name in "ab"]
    for branch in branches:
        versions.write(repos.create_repo, branch.repo, "", update=False)

    rows = [versions.write_in_set("5" * 32, commits.start_commit, branch) for branch in branches]

    assert [row.set_id for row in rows] == ["5" * 32] * 2


def test_prepared_operations_are_recorded_together_or_not_at_all(versions: VersionedStore) -> None:
    """Two commits finish in one transaction; when the second cannot, the first stays open."""
    branches = [BranchName(RepoName("default", name), "master") for name in "ab"]
    names = [CommitName(branch.repo, branch=branch.name) for branch in branches]
    for branch in branches:
        versions.write(repos.create_repo, branch.repo, "", update=False)
        versions.write(commits.start_commit, branch)
    prepared = [
        commits.prepare_finish(versions, name, error="", description="", force=False) for name in names
    ]

    def both(write: WriteTransaction, *, fail: bool) -> list[bool]:
        recorded = [commits.record_finish(write, finish) for finish in prepared]
        if fail:
            raise RuntimeError("the second operation cannot be recorded")
        return recorded

    def finished() -> list[bool]:
        return [versions.read(resolve.commit, name).finished is not None for name in names]

    with pytest.raises(RuntimeError):
        versions.write(both, fail=True)
    after_failure = finished()
    recorded = versions.write(both, fail=False)

    assert after_failure == [False, False]
    assert recorded == [True, True]
    assert finished() == [True, True]
