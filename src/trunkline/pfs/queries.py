"""Queries on projects, repos, branches and commits; one function for each kind of request.

Each runs in one snapshot, for the caller of the request (``VersionedStore.query``). Lists that may be long read
page by page (``list_repos``, ``branch_lists``, ``commit_lists``, ``reading``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trunkline import errors
from trunkline.meta import chunks, metadata
from trunkline.meta import repos as repo_rows
from trunkline.meta.commits import CommitRow
from trunkline.meta.repos import ProjectRow, RepoRow
from trunkline.model import limits, names
from trunkline.pfs import branches, commits, repos, resolve

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from trunkline.model.names import CommitName
    from trunkline.pfs.branches import BranchInfo, BranchName
    from trunkline.pfs.commits import CommitInfo
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repos import RepoInfo
    from trunkline.pfs.repository import VersionedStore

#: Repos described at a time.
REPOS = 100

__all__ = ["CommitRow", "Page", "ProjectRow", "ProjectSummary", "RepoRow", "StorageTotals"]


class Page(Struct, frozen=True):
    """A page of a list; pages count from 0, and a size of 0 means one page with everything."""

    size: int = 0
    index: int = 0

    @property
    def bounds(self) -> tuple[int, int | None]:
        """First position and the one behind the last.

        Raises:
            InvalidArgument: a number is negative or too large.
        """
        if self.size < 0 or self.index < 0:
            raise errors.InvalidArgument(
                f"page {self.index} of size {self.size} is not valid; use numbers from 0 up"
            )
        end = (self.index + 1) * self.size
        limits.check_count(
            end, limits.PAGE_END, f"the list up to page {self.index}", "ask for an earlier page"
        )
        return (self.index * self.size, end) if self.size else (0, None)


class ProjectSummary(NamedTuple):
    """What a project holds."""

    project: str
    user_repos: int
    #: Bytes of their newest files.
    size: int


class StorageTotals(NamedTuple):
    """What the store holds."""

    chunks: int
    packs: int
    #: Bytes as stored, then uncompressed, then ever written by clients.
    stored_bytes: int
    chunk_bytes: int
    written_bytes: int


def storage_totals(read: ReadTransaction) -> StorageTotals:
    """Return what the store holds."""
    return StorageTotals(*chunks.totals(read.conn))


def cluster_metadata(read: ReadTransaction) -> dict[str, str]:
    """Return the metadata of the cluster."""
    return metadata.of_cluster(read.conn)


def project(read: ReadTransaction, name: str) -> ProjectRow:
    """Return a project, or raise NotFound."""
    return resolve.project(read.conn, name)


def projects(read: ReadTransaction) -> list[ProjectRow]:
    """Return all projects."""
    return repo_rows.list_projects(read.conn)


def repo(read: ReadTransaction, name: names.RepoName) -> RepoInfo:
    """Return a repo, or raise NotFound."""
    return repos.describe(read.conn, resolve.repo(read.conn, name))


def list_repos(
    versions: VersionedStore, repo_type: str, projects: Sequence[str], page: Page
) -> Generator[list[RepoInfo]]:
    """Yield repos, some at a time, each time in a snapshot of its own. Blocks.

    Args:
        versions: the store.
        repo_type: only repos of this type, all types when empty.
        projects: only repos of these, all projects when empty.
        page: which part of them.

    Raises:
        InvalidArgument: the page is not valid.
    """
    first, stop = page.bounds
    rows = versions.read(repo_rows.list_repos, repo_type, list(projects))[first:stop]
    for start in range(0, len(rows), REPOS):
        yield versions.query(_describe_repos, rows[start : start + REPOS])


def _describe_repos(read: ReadTransaction, rows: Sequence[RepoRow]) -> list[RepoInfo]:
    return [repos.describe(read.conn, row) for row in rows]


def summaries(read: ReadTransaction, projects: Sequence[str]) -> list[ProjectSummary]:
    """Return what projects hold, or raise NotFound."""
    results = []
    for name in projects:
        held = repo_rows.list_repos(read.conn, names.USER, [resolve.project(read.conn, name).name])
        size = sum(repo_rows.repo_size(read.conn, row.id) for row in held)
        results.append(ProjectSummary(name, len(held), size))
    return results


def branch(read: ReadTransaction, name: BranchName) -> BranchInfo:
    """Return a branch, or raise NotFound."""
    return branches.describe(read.conn, resolve.branch(read.conn, name.repo, name.name))


def commit(read: ReadTransaction, name: CommitName) -> CommitInfo:
    """Return a commit, or raise NotFound."""
    return commits.describe(read.conn, resolve.commit(read.conn, name))


def describe_commit(read: ReadTransaction, row: CommitRow) -> CommitInfo:
    """Describe the commit of a row."""
    return commits.describe(read.conn, row)
