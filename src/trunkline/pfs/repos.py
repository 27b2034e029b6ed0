"""Projects and repos: create, describe, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import branches, commit_graph, commits
from trunkline.meta import repos as rows
from trunkline.model import limits, names
from trunkline.pfs import commit_events, propagation, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    import sqlalchemy as sa

    from trunkline.meta.repos import RepoRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

#: Commits, jobs or batches removed in one transaction: below 50 ms of the writer's time, with the logs of the jobs.
SLICE = 100


class RepoInfo(Struct, frozen=True):
    """A repo with its branches and size: what InspectRepo returns."""

    row: RepoRow
    #: Names, newest first.
    branches: list[str]
    #: Bytes of the head of its branch ``master``.
    size: int


def describe(conn: sa.Connection, row: RepoRow) -> RepoInfo:
    """Return what InspectRepo returns."""
    return RepoInfo(
        row, [branch.name for branch in branches.of_repo(conn, row.id)], rows.repo_size(conn, row.id)
    )


def create_project(write: WriteTransaction, name: str, description: str, *, update: bool) -> None:
    """Create a project, or with ``update`` replace the description of one that exists.

    Args:
        write: transaction that the change belongs to.
        name: name of the project.
        description: free text, shown to users.
        update: replace the description when the project exists.

    Raises:
        AlreadyExists: it exists, and ``update`` is not set.
        InvalidArgument: the name or the description is not valid.
    """
    names.check_project(name)
    limits.check_text(description, limits.DESCRIPTION, f'the description of project "{name}"')
    existing = rows.find_project(write.conn, name)
    if existing is None:
        rows.add_project(write.conn, name, description, write.now)
    elif update:
        rows.set_project_description(write.conn, existing.id, description)
    else:
        raise errors.AlreadyExists(f'project "{name}" already exists')


def delete_project(write: WriteTransaction, name: str) -> None:
    """Remove an empty project. As in Pachyderm, there is no way to remove its repos with it.

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
    """Create a repo, or with ``update`` replace the description of one that exists.

    Args:
        write: transaction that the change belongs to.
        name: name of the repo.
        description: free text, shown to users.
        update: replace the description when the repo exists.

    Raises:
        AlreadyExists: it exists and ``update`` is not set.
        FailedPrecondition: it is a system repo (meta, spec) whose user repo does not exist.
    """
    names.check_repo(name.name)
    limits.check_text(description, limits.DESCRIPTION, f"the description of repo {name}")
    project = resolve.project(write.conn, name.project)
    existing = rows.find_repo(write.conn, name.project, name.name, name.type)
    if existing is None:
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
        row = rows.repo_by_id(write.conn, number)
        commit_events.record_repo(write, row)
        return row
    if not update:
        raise errors.AlreadyExists(f"repo {name} already exists")
    rows.set_repo_description(write.conn, existing.id, description)
    return existing


def delete_repo(write: WriteTransaction, name: names.RepoName, *, force: bool) -> bool:
    """Remove a repo with its branches and commits; False when there is none.

    With a user repo its system repos (meta, spec) are removed.

    Args:
        write: transaction that the change belongs to.
        name: name of the repo.
        force: remove it although branches elsewhere depend on it.

    Raises:
        FailedPrecondition: it belongs to a pipeline, or branches of other repos depend on it and ``force``
            is not set.
    """
    doomed = with_system_repos(write.conn, name)
    _remove_repos(write, doomed, force=force)
    return bool(doomed)


def delete_small_repo(write: WriteTransaction, name: names.RepoName, *, force: bool) -> bool:
    """Remove a repo as ``delete_repo`` does, if one write can remove all its commits.

    Args:
        write: transaction that the change belongs to.
        name: name of the repo.
        force: remove it although branches elsewhere depend on it.

    Raises:
        FailedPrecondition: as ``delete_repo``.
        InvalidArgument: it has too many commits.
    """
    limit = limits.TRANSACTION_DELETED_COMMITS
    for row in with_system_repos(write.conn, name):
        count = len(commits.oldest(write.conn, row.id, limit + 1))
        limits.check_count(
            count, limit, f"repo {row}, which the transaction deletes,", "delete it outside of a transaction"
        )
    return delete_repo(write, name, force=force)


def with_system_repos(conn: sa.Connection, name: names.RepoName) -> list[RepoRow]:
    """Return a repo, and with a user repo its system repos (meta, spec); nothing when there is none."""
    row = rows.find_repo(conn, name.project, name.name, name.type)
    if row is None or name.type != names.USER:
        return [row] if row is not None else []
    system = [rows.find_repo(conn, name.project, name.name, kind) for kind in names.SYSTEM_TYPES]
    return [row, *(other for other in system if other is not None)]


def delete_repos(write: WriteTransaction, projects: Sequence[str], *, force: bool) -> list[RepoRow]:
    """Remove all repos of some projects, or of all projects; return what was removed.

    Dependencies within the selection do not prevent it.

    Projects that do not exist hold no repos.

    Args:
        write: transaction that the change belongs to.
        projects: names of the projects; empty: all projects.
        force: remove it although branches elsewhere depend on it.

    Raises:
        FailedPrecondition: as ``delete_repo``, for what depends on them from outside.
    """
    doomed = of_projects(write.conn, projects)
    _remove_repos(write, doomed, force=force)
    return doomed


def of_projects(conn: sa.Connection, projects: Sequence[str]) -> list[RepoRow]:
    """Return all repos of some projects; of all projects without any."""
    return rows.list_repos(conn, "", list(projects))


def shorten(
    versions: VersionedStore, select: Callable[[sa.Connection], Sequence[RepoRow]], *, force: bool
) -> None:
    """Remove old commits of repos that are about to be removed, in transactions of bounded length. Blocks.

    ``delete_repo`` or ``delete_repos`` removes the rest in one transaction. Nothing is removed when one of the
    repos cannot be: the checks come first.

    Args:
        versions: the store.
        select: returns the repos.
        force: as for ``delete_repo``.

    Raises:
        FailedPrecondition: as ``delete_repo``.
    """

    def step(write: WriteTransaction) -> bool:
        doomed = select(write.conn)
        _check_removable(write, doomed, force=force)
        return any(shorten_once(write, row.id) for row in doomed)

    while versions.write(step):
        pass


def delete_repo_in_slices(versions: VersionedStore, name: names.RepoName, *, force: bool) -> bool:
    """Remove a repo as ``delete_repo`` does, in transactions of bounded length. Blocks.

    Args:
        versions: the store to read and write.
        name: name of the repo.
        force: remove it although branches elsewhere depend on it.
    """
    shorten(versions, lambda conn: with_system_repos(conn, name), force=force)
    return versions.write(delete_repo, name, force=force)


def delete_repos_in_slices(
    versions: VersionedStore, projects: Sequence[str], *, force: bool
) -> list[RepoRow]:
    """Remove repos as ``delete_repos`` does, in transactions of bounded length. Blocks.

    Args:
        versions: the store to read and write.
        projects: names of the projects; empty: all projects.
        force: remove it although branches elsewhere depend on it.
    """
    shorten(versions, lambda conn: of_projects(conn, projects), force=force)
    return versions.write(delete_repos, projects, force=force)


def shorten_once(write: WriteTransaction, repo_id: int) -> bool:
    """Remove the oldest commits of a repo if it has more than one transaction should remove; return whether it had."""
    conn = write.conn
    numbers = commits.oldest(conn, repo_id, SLICE + 1)
    if len(numbers) <= SLICE:
        return False
    _remove_commits(write, numbers[:SLICE])
    write.tx.wake(f"repo:{repo_id}")
    return True


def _remove_commits(write: WriteTransaction, numbers: Sequence[int]) -> None:
    conn = write.conn
    if write.hooks is not None:
        write.hooks.removing_commits(write, numbers)
    for number in numbers:
        for branch in branches.with_head(conn, [number]):
            branches.move(conn, branch.id, None, write.now)
    children = [child.id for child in commit_graph.children_of(conn, numbers) if child.id not in set(numbers)]
    commits.set_parent(conn, numbers, None)
    commits.set_parent(conn, children, None)
    commits.remove(conn, numbers)
    write.forget(numbers)
    write.tx.wake(*(f"commit:{number}" for number in numbers))


def _remove_repos(write: WriteTransaction, doomed: Sequence[RepoRow], *, force: bool) -> None:
    _check_removable(write, doomed, force=force)
    for row in doomed:
        remove_repo(write, row)


def _check_removable(write: WriteTransaction, doomed: Sequence[RepoRow], *, force: bool) -> None:
    """Check that repos belong to no pipeline and that nothing outside of them depends on them."""
    for row in doomed:
        if write.hooks is not None:
            write.hooks.removing_repo(write, row)
    for row in doomed:
        check_dependents(write.conn, row, force=force, doomed={row.id for row in doomed})


def check_dependents(conn: sa.Connection, row: RepoRow, *, force: bool, doomed: Container[int] = ()) -> None:
    """Check that no branch of another repo depends on a repo.

    Args:
        conn: a snapshot.
        row: the repo.
        force: nothing is checked.
        doomed: repos that are removed too; dependencies from them do not count.

    Raises:
        FailedPrecondition: a branch does.
    """
    if force:
        return
    for branch in branches.of_repo(conn, row.id):
        for edge in branches.downstream(conn, branch.id):
            other = branches.by_id(conn, edge.branch_id)
            if other.repo_id != row.id and other.repo_id not in doomed:
                raise errors.FailedPrecondition(
                    f"repo {row} cannot be deleted: branch {other.name!r} of repo"
                    f" {rows.repo_by_id(conn, other.repo_id)} depends on its branch {branch.name!r};"
                    " delete that first, or use force (--force)"
                )


def remove_repo(write: WriteTransaction, row: RepoRow) -> None:
    """Remove a repo whoever it belongs to and whatever depends on it."""
    conn = write.conn
    for branch in branches.of_repo(conn, row.id):
        branches.move(conn, branch.id, None, write.now)
        branches.remove(conn, branch.id)
    while numbers := commits.oldest(conn, row.id, SLICE):
        _remove_commits(write, numbers)
    rows.remove_repo(conn, row.id)
    commit_events.record_repo(write, row, deleted=True)
    write.tx.wake("repos", f"repo:{row.id}")


def one_branch_per_repo(write: WriteTransaction, branch_id: int) -> None:
    """Check that no branch that is connected by provenance with a branch holds two branches of one repo.

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
