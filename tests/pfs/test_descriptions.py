"""Descriptions of commits: what stands next to a commit, and how many statements that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pfs_world import new_store

from trunkline import errors
from trunkline.meta import commit_graph
from trunkline.meta import commits as rows
from trunkline.model.names import CommitName, RepoName, parse_revision
from trunkline.pfs import branches, commits, queries, resolve
from trunkline.pfs.branches import BranchName, Upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trunkline.pfs.commits import CommitInfo
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

SOURCE = BranchName(RepoName("default", "source"), "master")
RESULT = BranchName(RepoName("default", "result"), "master")
#: The commit, its relatives, their repos.
STATEMENTS = 3


@pytest.fixture(params=["sqlite", "postgresql"])
def versions(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[VersionedStore]:
    with new_store(request.param, tmp_path, SOURCE.repo, RESULT.repo) as versions:
        yield versions


def record(versions: VersionedStore, branch: BranchName) -> None:
    row = versions.write(commits.start_commit, branch)
    commits.finish_commit(versions, CommitName(branch.repo, id=row.set_id))


def both_descriptions(read: ReadTransaction, name: CommitName) -> tuple[CommitInfo, CommitInfo]:
    alone = queries.commit(read, name)
    return alone, commits.describe_all(read.conn, [alone.row])[0]


def test_a_commit_is_described_alike_alone_and_in_a_list(versions: VersionedStore) -> None:
    record(versions, SOURCE)
    versions.write(branches.create_branch, RESULT, provenance=[Upstream(SOURCE)])
    for _ in range(3):
        record(versions, SOURCE)

    for name in ("master", "master^1", "master.1"):
        for branch in (SOURCE, RESULT):
            alone, listed = versions.query(both_descriptions, parse_revision(branch.repo, name))

            assert alone == listed
            assert alone.upstream or alone.downstream


def test_only_the_newest_commits_downstream_are_named_oldest_first(versions: VersionedStore) -> None:
    versions.write(branches.create_branch, SOURCE)
    record(versions, SOURCE)
    with_many = versions.query(queries.commit, parse_revision(SOURCE.repo, "master")).row
    numbers = versions.write(add_downstream, with_many.id, 4)

    relatives = versions.read(commit_graph.relatives, with_many, 2)

    assert [row.id for row in relatives.downstream] == numbers[-2:]


def add_downstream(write: WriteTransaction, upstream_id: int, number: int) -> list[int]:
    repo_id = resolve.repo(write.conn, RESULT.repo).id
    return [
        rows.add(
            write.conn, set_id=f"{at:032x}", repo_id=repo_id, branch_name="", parent_id=None, origin="AUTO",
            description="", started=0.0, provenance=[upstream_id],
        ).id
        for at in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("versions", ["sqlite"], indirect=True)  # whose driver reports statements
@pytest.mark.parametrize("by_id", [False, True])
def test_a_description_takes_three_statements(versions: VersionedStore, *, by_id: bool) -> None:
    record(versions, SOURCE)
    record(versions, SOURCE)
    name = parse_revision(SOURCE.repo, "master")
    if by_id:
        name = CommitName(SOURCE.repo, id=versions.query(queries.commit, name).row.set_id)

    texts = versions.query(statements, name)

    assert len(texts) <= STATEMENTS


def statements(read: ReadTransaction, name: CommitName) -> list[str]:
    texts: list[str] = []
    connection: Any = read.conn.connection.dbapi_connection
    connection.set_trace_callback(texts.append)
    queries.commit(read, name)
    connection.set_trace_callback(None)
    return texts


@pytest.mark.parametrize(
    ("repo", "revision"),
    [("nothing", "master"), ("source", "nothing"), ("result", "master^9"), ("source", "0" * 32)],
)
def test_what_does_not_exist_is_not_found(versions: VersionedStore, repo: str, revision: str) -> None:
    versions.write(branches.create_branch, RESULT)
    name = parse_revision(RepoName("default", repo), revision)

    with pytest.raises(errors.NotFound):
        versions.query(queries.commit, name)
