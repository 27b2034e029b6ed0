"""Projects and repos: create, describe, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import branches, commits
from trunkline.meta import repos as rows
from trunkline.model import limits, names
from trunkline.pfs import propagation, resolve

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    import sqlalchemy as sa

    from trunkline.meta.repos import RepoRow
    from trunkline.pfs.writes import WriteTransaction


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repo, ready to be told."""

    row: RepoRow
    #: Names, newest first.
    branches: list[str]
    #: Bytes of the head of its branch ``master``.
    size: int


def describe(conn: sa.Connection, row: RepoRow) -> RepoInfo:
    """Gather what an InspectRepo reply holds."""
    return RepoInfo(
        row, [branch.name for branch in branches.of_repo(conn, row.id)], rows.repo_size(conn, row.id)
    )


def create_project(write: WriteTransaction, name: str, description: str, *, update: bool) -> None:
    """Make a project, or with ``update`` replace the description of one that exists."""
    names.check_project(name)
    limits.check_text(description, limits.DESCRIPTION, f'the description of project "{name}"')
    found = rows.find_project(write.conn, name)
    if found is None:
        rows.add_project(write.conn, name, description, write.now)
    elif update:
        rows.set_project_description(write.conn, found.id, description)
    else:
        raise errors.AlreadyExists(f'project "{name}" already exists')


def delete_project(write: WriteTransaction, name: str) -> None:
    """Remove an empty project. As in Pachyderm, nothing makes this remove repos too.

    Raises:
        FailedPrecondition: it holds repos.
    """
    row = resolve.project(write.conn, name)
    held = rows.list_repos(write.conn, names.USER, [name])
    if held:
        raise errors.FailedPrecondition(
            f'project "{name}" cannot be deleted: it holds {len(held)} repos, the first is {held[0]};'
            " delete its pipelines and repos first"
        )
    rows.remove_project(write.conn, row.id)


def delete_all(write: WriteTransaction) -> None:
    """Remove all repos and projects; the default project exists afterwards even if it did not before."""
    delete_repos(write, [], force=True)
    for row in rows.list_projects(write.conn):
        if row.name != names.DEFAULT_PROJECT:
            rows.remove_project(write.conn, row.id)
    if rows.find_project(write.conn, names.DEFAULT_PROJECT) is None:
        rows.add_project(write.conn, names.DEFAULT_PROJECT, "", write.now)


def create_repo(write: WriteTransaction, name: names.RepoName, description: str, *, update: bool) -> RepoRow:
    """Make a repo, or with ``update`` replace the description of one that exists.

    Raises:
        AlreadyExists: it exists and ``update`` is not set.
        FailedPrecondition: it is a system repo (meta, spec) whose user repo does not exist.
    """
    names.check_repo(name.name)
    limits.check_text(description, limits.DESCRIPTION, f"the description of repo {name}")
    project = resolve.project(write.conn, name.project)
    found = rows.find_repo(write.conn, name.project, name.name, name.type)
    if found is None:
        if (
            name.type != names.USER
            and rows.find_repo(write.conn, name.project, name.name, names.USER) is None
        ):
            raise errors.FailedPrecondition(
                f"cannot create a system repo without a corresponding user repo: {name};"
                f" create repo {name.project}/{name.name} first"
            )
        number = rows.add_repo(write.conn, project.id, name.name, name.type, description, write.now)
        write.tx.wake("repos")
        return rows.repo_by_id(write.conn, number)
    if not update:
        raise errors.AlreadyExists(f"repo {name} already exists")
    rows.set_repo_description(write.conn, found.id, description)
    return found


def delete_repo(write: WriteTransaction, name: names.RepoName, *, force: bool) -> bool:
    """Remove a repo with its branches and commits; False when there is none.

    With a user repo its system repos (meta, spec) go too.

    Raises:
        FailedPrecondition: it belongs to a pipeline, or branches of other repos depend on it and ``force``
            is not set.
    """
    row = rows.find_repo(write.conn, name.project, name.name, name.type)
    if row is None:
        return False
    system = [rows.find_repo(write.conn, name.project, name.name, kind) for kind in names.SYSTEM_TYPES]
    gone = [row, *(other for other in system if other is not None and name.type == names.USER)]
    _remove_repos(write, gone, force=force)
    return True


def delete_repos(write: WriteTransaction, projects: Sequence[str], *, force: bool) -> list[RepoRow]:
    """Remove all repos of some projects, or of all when none is given; return what was removed.

    What depends on each other inside the selection is no obstacle.

    Projects that do not exist hold no repos.

    Raises:
        FailedPrecondition: as ``delete_repo``, for what depends on them from outside.
    """
    gone = rows.list_repos(write.conn, "", list(projects))
    _remove_repos(write, gone, force=force)
    return gone


def _remove_repos(write: WriteTransaction, gone: Sequence[RepoRow], *, force: bool) -> None:
    for row in gone:
        if write.hooks is not None:
            write.hooks.removing_repo(write, row)
    doomed = {row.id for row in gone}
    for row in gone:
        remove_repo(write, row, force=force, doomed=doomed)


def remove_repo(write: WriteTransaction, row: RepoRow, *, force: bool, doomed: Container[int] = ()) -> None:
    """Remove a repo whoever it belongs to; what depends on it from the ``doomed`` repos does not count."""
    conn = write.conn
    for branch in branches.of_repo(conn, row.id):
        for edge in branches.downstream(conn, branch.id):
            other = branches.by_id(conn, edge.branch_id)
            if other.repo_id != row.id and other.repo_id not in doomed and not force:
                raise errors.FailedPrecondition(
                    f"repo {row} cannot be deleted: branch {other.name!r} of repo"
                    f" {rows.repo_by_id(conn, other.repo_id)} depends on its branch {branch.name!r};"
                    " delete that first, or use force"
                )
        branches.move(conn, branch.id, None, write.now)
        branches.remove(conn, branch.id)
    gone = [commit.id for commit in commits.of_repo(conn, row.id)]
    if write.hooks is not None:
        write.hooks.removing_commits(write, gone)
    for start in range(0, len(gone), 500):
        batch = gone[start : start + 500]
        commits.set_parent(conn, batch, None)
    for start in range(0, len(gone), 500):
        commits.remove(conn, gone[start : start + 500])
    rows.remove_repo(conn, row.id)
    write.tx.wake("repos", f"repo:{row.id}")


def one_branch_per_repo(write: WriteTransaction, branch_id: int) -> None:
    """Check that nothing joined by provenance with a branch holds two branches of one repo.

    Raises:
        InvalidArgument: it does, or the branch would come from itself.
    """
    conn = write.conn
    for start in (branch_id, *propagation.closure(conn, branch_id, up=False)):
        upstream = propagation.closure(conn, start, up=True)
        if start in upstream:
            row = branches.by_id(conn, start)
            raise errors.InvalidArgument(
                f"cyclic provenance: branch {row.name!r} of repo {rows.repo_by_id(conn, row.repo_id)}"
                " would depend on itself; leave out the edge that closes the circle"
            )
        seen: dict[int, str] = {}
        for other in (start, *upstream):
            row = branches.by_id(conn, other)
            if row.repo_id in seen:
                raise errors.InvalidArgument(
                    f"multiple branches from the same repo, {rows.repo_by_id(conn, row.repo_id)},"
                    f" cannot participate in a DAG: {seen[row.repo_id]!r} and {row.name!r}"
                )
            seen[row.repo_id] = row.name
