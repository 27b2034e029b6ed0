"""Lists of commits: of a repo, ancestors, commit sets, provenance, and the commits that changed a file.

Lists come in pages, each read in a snapshot of its own, so that a list of any length holds neither memory
nor a transaction while its reader is slow. Everything here blocks.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import commit_graph, repos
from trunkline.meta import commits as rows
from trunkline.model import names, paths
from trunkline.pfs import breadth_first, files, resolve
from trunkline.pfs.branches import walk_bounds
from trunkline.pfs.commits import CommitInfo, describe_all, with_provenance
from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.storage.files import FileEntry

#: Commits read and described at a time.
PAGE = 100
#: The same of commits of many repos, among them those of specifications, which have many commits downstream.
MIXED_PAGE = 10
#: Commits looked at for each page of sets.
SET_PAGE = 10


class CommitFilter(Struct, frozen=True, kw_only=True):
    """Selects commits of a repo.

    With ``newest`` it selects that commit and its ancestors, up to but without ``until``; otherwise all
    commits of the repo, or of all user repos of its project when the repo has no name.
    """

    repo: names.RepoName
    newest: names.CommitName | None = None
    until: names.CommitName | None = None
    #: The largest number of commits; 0: no limit.
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
        """Return whether a commit passes the filters."""
        return (self.origin is None or row.origin == self.origin) and (
            self.started_before is None or row.started < self.started_before
        )


def list_commits(versions: VersionedStore, criteria: CommitFilter) -> Generator[list[CommitInfo]]:
    """Yield pages of the commits that match, newest first by default.

    Raises:
        NotFound: the repo or one of the commits does not exist.
        InvalidArgument: the ends are of different repos.
    """
    remaining = criteria.number or None
    for page in _line(versions, criteria) if criteria.newest is not None else _all(versions, criteria):
        matches = list(islice(filter(criteria.takes, page), remaining))
        if matches:
            yield versions.read(describe_all, matches)
        if remaining is not None:
            remaining -= len(matches)
            if remaining <= 0:
                return


def _all(versions: VersionedStore, criteria: CommitFilter) -> Iterator[list[CommitRow]]:
    owners = frozenset(row.id for row in versions.read(resolve.repos_of, criteria.repo))
    # Of several repos: the commits of all repos are read, since no index has those of some in their order.
    single = next(iter(owners)) if len(owners) == 1 else None
    beyond: int | None = None
    if criteria.started_before is not None and not criteria.oldest_first:
        # One more, in case the clock was set back there.
        beyond = versions.read(rows.first_started_from, criteria.started_before) + 1
    while owners:
        page = versions.read(
            rows.page, repo_id=single, beyond=beyond, oldest_first=criteria.oldest_first, number=PAGE
        )
        yield [row for row in page if row.repo_id in owners]
        if len(page) < PAGE:
            return
        beyond = page[-1].id


def _line(versions: VersionedStore, criteria: CommitFilter) -> Iterator[list[CommitRow]]:
    assert criteria.newest is not None
    row: CommitRow | None = versions.read(resolve.commit, criteria.newest)
    end = versions.read(resolve.commit, criteria.until) if criteria.until is not None else None
    if end is not None and row is not None and end.repo_id != row.repo_id:
        raise errors.InvalidArgument(
            f"commits {criteria.until} and {criteria.newest} are of different repos; name two commits of one repo"
        )

    yield from _ancestors(versions, row, end)


def _ancestors(
    versions: VersionedStore, row: CommitRow | None, end: CommitRow | None = None
) -> Iterator[list[CommitRow]]:
    """Yield pages of a commit and its ancestors, up to but without ``end``."""

    def page(conn: sa.Connection, row: CommitRow | None) -> list[CommitRow]:
        ancestors: list[CommitRow] = []
        while row is not None and len(ancestors) < PAGE and (end is None or row.id != end.id):
            ancestors.append(row)
            row = rows.find_by_id(conn, row.parent_id) if row.parent_id is not None else None
        return ancestors

    while ancestors := versions.read(page, row):
        yield ancestors
        parent = ancestors[-1].parent_id
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

    inside = versions.read(repos_of)
    below: int | None = None
    while True:
        set_ids, below = versions.read(rows.set_ids, below, SET_PAGE, inside)
        for set_id in set_ids:
            with suppress(errors.NotFound):  # it was removed meanwhile
                yield [(set_id, [info for page in commit_set(versions, set_id) for info in page])]
        if below is None:
            return


def commit_set(versions: VersionedStore, set_id: str) -> Generator[list[CommitInfo]]:
    """Yield pages of the commits of a set and all that they came from, the most upstream first.

    Raises:
        NotFound: the set has no commits.
    """
    members = versions.read(with_provenance, set_id)
    yield from _described(versions, [row.id for row in members])


def _described(versions: VersionedStore, numbers: Sequence[int]) -> Generator[list[CommitInfo]]:
    """Yield pages of descriptions in the order of the row numbers; commits that were removed are left out."""

    def page(conn: sa.Connection, some: Sequence[int]) -> list[CommitInfo]:
        present = {row.id: row for row in rows.by_ids(conn, some)}
        return describe_all(conn, [present[number] for number in some if number in present])

    for start in range(0, len(numbers), MIXED_PAGE):
        yield versions.read(page, numbers[start : start + MIXED_PAGE])


def walk(
    versions: VersionedStore, starts: Sequence[names.CommitName], *, up: bool, limit: int, depth: int
) -> Generator[list[CommitInfo]]:
    """Yield pages of the commits reached from ``starts`` (without those) over provenance, nearest first.

    Args:
        versions: the store.
        starts: where to begin.
        up: towards provenance; otherwise towards subvenance.
        limit: at most so many; 0 for as many as one request may ask for.
        depth: at most so many steps away; 0 likewise.

    Raises:
        NotFound: there is no such commit.
    """
    limit, depth = walk_bounds(limit, depth)

    def resolved(conn: sa.Connection) -> list[int]:
        return [resolve.commit(conn, start).id for start in starts]

    starting = versions.read(resolved)
    following = partial(commit_graph.neighbours, up=up, number=limit)
    for level in breadth_first.levels(versions, starting, following, step=PAGE, limit=limit, depth=depth):
        yield from _described(versions, level)


class Searched(Struct, frozen=True):
    """One commit that a search for changes of a file looked at."""

    row: CommitRow
    repo: repos.RepoRow
    #: The file or directory in the commit, and in its parent; None where there is none.
    now: FileEntry | None
    before: FileEntry | None

    @property
    def changed(self) -> bool:
        """Whether the commit changed it."""
        return (self.now and self.now.hash) != (self.before and self.before.hash)


def find_changes(
    versions: VersionedStore, start: names.CommitName, path: str, limit: int
) -> Generator[Searched]:
    """Yield the commits from ``start`` back to the beginning, and whether each of them changed a path.

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
    row = versions.read(resolve.commit, start)
    if row.finished is None:
        raise errors.FailedPrecondition(
            f"cannot find the changes of {path} from open commit {start}; finish it, or start from its parent"
        )
    repo = versions.read(repos.repo_by_id, row.repo_id)
    now = _entry_at(versions, row, repo, path)
    line = chain(chain.from_iterable(_ancestors(versions, row)), [None])
    for commit, parent in islice(pairwise(line), limit or None):
        assert commit is not None
        before = _entry_at(versions, parent, repo, path) if parent is not None else None
        yield Searched(commit, repo, now, before)
        now = before


def _entry_at(versions: VersionedStore, row: CommitRow, repo: repos.RepoRow, path: str) -> FileEntry | None:
    content = files.file_tree(versions, row, repo)
    return storage_files.inspect(content.trees, content.tree, path)
