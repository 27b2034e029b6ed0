"""Lists of commits: a repo's, a line of ancestors, commit sets, what commits came from, where a file changed.

Lists come in pages, each read in a snapshot of its own, so that a list of any length holds neither memory
nor a transaction while its reader is slow. Everything here blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import commits as rows
from trunkline.meta import repos
from trunkline.model import names, paths
from trunkline.pfs import files, resolve
from trunkline.pfs.branches import walk_bounds
from trunkline.pfs.commits import CommitInfo, describe_all, with_provenance
from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore

#: Commits read and described at a time.
PAGE = 100
#: Commits looked at for each page of sets; each set is described with all its provenance.
SET_PAGE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which commits of a repo are asked for.

    With ``newest`` the line of its ancestors is followed, up to but without ``until``; otherwise all
    commits of the repo are meant, or of all user repos of its project when it has no name.
    """

    repo: names.RepoName
    newest: resolve.CommitName | None = None
    until: resolve.CommitName | None = None
    #: At most so many; 0 for all.
    number: int = 0
    oldest_first: bool = False
    origin: str | None = None
    #: Only commits started before this moment.
    started_before: float | None = None

    def __post_init__(self) -> None:
        if self.number < 0:
            raise errors.InvalidArgument(f"number {self.number} is negative; use 0 for all commits")
        if self.until is not None and self.newest is None:
            raise errors.InvalidArgument(
                f"commits from {self.until} were asked for without saying to which; set `to` as well"
            )
        if self.oldest_first and self.newest is not None:
            raise errors.InvalidArgument(
                "reverse cannot be combined with `from` and `to`; leave one of them out"
            )

    def takes(self, row: CommitRow) -> bool:
        """Tell whether a commit passes the filters."""
        return (self.origin is None or row.origin == self.origin) and (
            self.started_before is None or row.started < self.started_before
        )


def list_commits(versions: VersionedStore, wanted: Wanted) -> Generator[list[CommitInfo]]:
    """Yield pages of the commits that are wanted, newest first unless told otherwise.

    Raises:
        NotFound: the repo or one of the commits does not exist.
        InvalidArgument: the ends are of different repos.
    """
    left = wanted.number or None
    for page in _line(versions, wanted) if wanted.newest is not None else _all(versions, wanted):
        taken = list(islice(filter(wanted.takes, page), left))
        if taken:
            yield versions.read(describe_all, taken)
        if left is not None:
            left -= len(taken)
            if left <= 0:
                return


def _all(versions: VersionedStore, wanted: Wanted) -> Iterator[list[CommitRow]]:
    owners = [row.id for row in versions.read(resolve.repos_of, wanted.repo)]
    last: int | None = None
    while True:
        if wanted.oldest_first:
            page = versions.read(rows.of_repos_after, owners, last or 0, PAGE)
        else:
            page = versions.read(rows.of_repos, owners, below=last, number=PAGE)
        yield page
        if len(page) < PAGE:
            return
        last = page[-1].id


def _line(versions: VersionedStore, wanted: Wanted) -> Iterator[list[CommitRow]]:
    assert wanted.newest is not None
    row: CommitRow | None = versions.read(resolve.commit, wanted.newest)
    end = versions.read(resolve.commit, wanted.until) if wanted.until is not None else None
    if end is not None and row is not None and end.repo_id != row.repo_id:
        raise errors.InvalidArgument(
            f"commits {wanted.until} and {wanted.newest} are of different repos; name two commits of one repo"
        )

    def page(conn: sa.Connection, row: CommitRow | None) -> list[CommitRow]:
        found: list[CommitRow] = []
        while row is not None and len(found) < PAGE and (end is None or row.id != end.id):
            found.append(row)
            row = rows.find_by_id(conn, row.parent_id) if row.parent_id is not None else None
        return found

    while found := versions.read(page, row):
        yield found
        parent = found[-1].parent_id
        row = versions.read(rows.find_by_id, parent) if parent is not None else None


def list_commit_sets(
    versions: VersionedStore, project: str | None
) -> Generator[list[tuple[str, list[CommitInfo]]]]:
    """Yield pages of commit sets, newest first: id, and its commits with all they came from.

    Args:
        versions: the store.
        project: only sets with a commit in a repo of this project; None for all.

    Raises:
        NotFound: there is no such project.
    """

    def repos_of(conn: sa.Connection) -> frozenset[int] | None:
        if project is None:
            return None
        resolve.project(conn, project)
        return frozenset(row.id for row in repos.list_repos(conn, "", [project]))

    def page(conn: sa.Connection, below: int | None) -> tuple[list[tuple[str, list[CommitInfo]]], int | None]:
        set_ids, below = rows.set_ids(conn, below, SET_PAGE, inside)
        return [(id, describe_all(conn, with_provenance(conn, id))) for id in set_ids], below

    inside = versions.read(repos_of)
    below: int | None = None
    while True:
        sets, below = versions.read(page, below)
        yield sets
        if below is None:
            return


def walk(
    read: ReadTransaction, starts: Sequence[resolve.CommitName], *, up: bool, limit: int, depth: int
) -> list[CommitInfo]:
    """Return the commits reached from ``starts`` (without those) over provenance, nearest first.

    Args:
        read: the snapshot.
        starts: where to begin.
        up: towards provenance; otherwise towards subvenance.
        limit: at most so many; 0 for as many as one request may ask for.
        depth: at most so many steps away; 0 likewise.

    Raises:
        NotFound: there is no such commit.
    """
    conn = read.conn
    limit, depth = walk_bounds(limit, depth)
    follow: Callable[[sa.Connection, Sequence[int]], list[tuple[CommitRow, int]]]
    follow = rows.upstream_of if up else rows.downstream_of
    found: dict[int, CommitRow] = {}
    border = [resolve.commit(conn, start).id for start in starts]
    for _ in range(depth):
        reached = {row.id: row for row, _ in follow(conn, border) if row.id not in found}
        found.update(reached)
        border = list(reached)
        if not border or len(found) >= limit:
            break
    return describe_all(conn, list(found.values())[:limit])


@dataclass(frozen=True, slots=True)
class Searched:
    """One commit that a search for changes of a file looked at."""

    row: CommitRow
    repo: repos.RepoRow
    #: Whether the file is not the same as in the commit's parent.
    changed: bool


def find_changes(
    versions: VersionedStore, start: resolve.CommitName, path: str, limit: int
) -> Generator[Searched]:
    """Yield the commits from ``start`` back to the beginning, telling which of them changed a path.

    Args:
        versions: the store.
        start: the newest commit to look at.
        path: of a file or directory.
        limit: look at most at so many commits; 0 for all.

    Raises:
        NotFound: the commit does not exist.
        FailedPrecondition: it is open.
    """
    path = paths.clean(path)
    row: CommitRow | None = versions.read(resolve.commit, start)
    assert row is not None
    if row.finished is None:
        raise errors.FailedPrecondition(
            f"cannot find the changes of {path} from open commit {start}; finish it, or start from its parent"
        )
    repo = versions.read(repos.repo_by_id, row.repo_id)
    there = _hash_at(versions, row, repo, path)
    searched = 0
    while row is not None and (not limit or searched < limit):
        parent = versions.read(rows.find_by_id, row.parent_id) if row.parent_id is not None else None
        before = _hash_at(versions, parent, repo, path) if parent is not None else None
        searched += 1
        yield Searched(row, repo, there != before)
        row, there = parent, before


def _hash_at(versions: VersionedStore, row: CommitRow, repo: repos.RepoRow, path: str) -> bytes | None:
    content = files.file_tree(versions, row, repo)
    entry = storage_files.inspect(content.trees, content.tree, path)
    return entry.hash if entry is not None else None
