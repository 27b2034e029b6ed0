"""Lists of branches: a repo's, a project's, what depends on what.

Each branch is described with all that it depends on and all that depends on it, so lists come in pages, each read
in a snapshot of its own. Everything here blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import branches as rows
from trunkline.pfs import breadth_first, resolve
from trunkline.pfs.branches import describe_all, walk_bounds

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import sqlalchemy as sa

    from trunkline.model import names
    from trunkline.pfs.branches import BranchInfo, BranchName
    from trunkline.pfs.repository import VersionedStore

#: Branches described at a time.
PAGE = 10
#: Branches followed at a time.
STEP = 100


def list_branches(
    versions: VersionedStore, name: names.RepoName, *, reverse: bool
) -> Generator[list[BranchInfo]]:
    """Yield pages of the branches of a repo, newest first; of a whole project when the repo's name is empty.

    Args:
        versions: the store.
        name: the repo.
        reverse: oldest first.

    Raises:
        NotFound: there is no such repo or project.
    """

    def select(conn: sa.Connection) -> list[int]:
        owners = resolve.repos_of(conn, name)
        return sorted(
            (row.id for owner in owners for row in rows.of_repo(conn, owner.id)), reverse=not reverse
        )

    yield from _described(versions, versions.read(select))


def walk(
    versions: VersionedStore, starts: Sequence[BranchName], *, up: bool, limit: int, depth: int
) -> Generator[list[BranchInfo]]:
    """Yield pages of the branches reached from ``starts`` (without those), nearest first.

    Args:
        versions: the store.
        starts: where to begin.
        up: towards provenance; otherwise towards subvenance.
        limit: at most so many; 0 for as many as one request may ask for.
        depth: at most so many edges away; 0 likewise.

    Raises:
        NotFound: there is no such branch.
    """
    limit, depth = walk_bounds(limit, depth)

    def resolved(conn: sa.Connection) -> list[int]:
        return [resolve.branch(conn, start.repo, start.name).id for start in starts]

    def following(conn: sa.Connection, some: Sequence[int]) -> list[int]:
        if up:
            return [edge.upstream_id for number in some for edge in rows.upstream(conn, number)]
        return [edge.branch_id for number in some for edge in rows.downstream(conn, number)]

    starting = versions.read(resolved)
    for level in breadth_first.levels(versions, starting, following, step=STEP, limit=limit, depth=depth):
        yield from _described(versions, level)


def _described(versions: VersionedStore, numbers: Sequence[int]) -> Generator[list[BranchInfo]]:
    def page(conn: sa.Connection, some: Sequence[int]) -> list[BranchInfo]:
        present = (rows.find_by_id(conn, number) for number in some)
        return describe_all(
            conn, [row for row in present if row is not None]
        )  # others were removed meanwhile

    for start in range(0, len(numbers), PAGE):
        yield versions.read(page, numbers[start : start + PAGE])
