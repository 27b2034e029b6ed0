"""Start, finish, describe and remove commits. ``watch`` waits for them."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import ancestry, branches, chunks, commit_graph, repos
from trunkline.meta import commits as rows
from trunkline.model import limits
from trunkline.model.names import SPEC, check_branch
from trunkline.pfs import files, resolve, rights
from trunkline.pfs.branches import restore_heads
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.model.caller import Caller
    from trunkline.model.names import CommitName
    from trunkline.pfs.branches import BranchName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.sums import TreeId


#: Commits that a description names as coming directly from a commit, the newest of them. The commit of a pipeline's
#: specification has one for each job; ``WalkCommitSubvenance`` returns them all.
SUBVENANCE = 50


class CommitInfo(Struct, frozen=True):
    """A commit with its parent, children and provenance: what InspectCommit returns."""

    row: CommitRow
    parent: CommitRow | None
    children: list[CommitRow]
    upstream: list[CommitRow]
    downstream: list[CommitRow]
    #: Every repo that occurs above, by its number.
    repos: dict[int, repos.RepoRow]


def describe(conn: sa.Connection, row: CommitRow) -> CommitInfo:
    """Return what InspectCommit returns."""
    relatives = commit_graph.relatives(conn, row, SUBVENANCE)
    owners = {row.repo_id, *(other.repo_id for other in chain(relatives.upstream, relatives.downstream))}
    return CommitInfo(row, *relatives, repos.by_ids(conn, list(owners)))


def describe_all(conn: sa.Connection, described: Sequence[CommitRow]) -> list[CommitInfo]:
    """Describe up to a few hundred commits, with as many queries as for one."""
    numbers = [row.id for row in described]
    parents = [row.parent_id for row in described if row.parent_id is not None]
    parent = {row.id: row for row in rows.by_ids(conn, parents)} if parents else {}
    children: defaultdict[int | None, list[CommitRow]] = defaultdict(list)
    upstream: defaultdict[int, list[CommitRow]] = defaultdict(list)
    downstream: defaultdict[int, list[CommitRow]] = defaultdict(list)
    for child in commit_graph.children_of(conn, numbers):
        children[child.parent_id].append(child)
    for up, number in commit_graph.upstream_of(conn, numbers):
        upstream[number].append(up)
    for down, number in commit_graph.newest_downstream_of(conn, numbers, SUBVENANCE):
        downstream[number].append(down)
    owners = {row.repo_id for row in chain(described, *upstream.values(), *downstream.values())}
    names = repos.by_ids(conn, list(owners))
    return [
        CommitInfo(
            row, parent.get(row.parent_id or 0), children[row.id], upstream[row.id], downstream[row.id], names
        )
        for row in described
    ]


def start_commit(
    write: WriteTransaction,
    branch: BranchName,
    *,
    parent: CommitName | None = None,
    description: str = "",
) -> CommitRow:
    """Start a commit on a branch, which is created if it does not exist.

    Args:
        write: transaction that the change belongs to.
        branch: the branch to start on.
        parent: the parent of the commit; None: the head of the branch.
        description: free text, shown to users.

    Raises:
        FailedPrecondition: the branch has provenance, so only its pipeline writes to it; or the parent is
            not finished.
        NotFound: the repo or the parent does not exist.
    """
    conn = write.conn
    limits.check_text(description, limits.DESCRIPTION, "the description of the commit")
    owner = resolve.repo(conn, branch.repo)
    rights.check_write(write.caller, owner)
    row = branches.find(conn, owner.id, branch.name)
    if row is None:
        row = branches.add(conn, owner.id, check_branch(branch.name), write.now)
    sources = refuse_output_branch(conn, row, write.caller)
    parent_row = resolve.commit(conn, parent) if parent is not None else None
    if parent_row is None and row.head_id is not None:
        parent_row = rows.by_id(conn, row.head_id)
    if parent_row is not None and parent_row.finished is None:
        raise errors.FailedPrecondition(
            f"parent commit {resolve.text(conn, parent_row)} has not been finished;"
            " finish it first, or write into it as it is open"
        )
    write.check_first_commit(owner)
    commit = rows.add(
        conn,
        set_id=write.set_id,
        repo_id=owner.id,
        branch_name=branch.name,
        parent_id=parent_row.id if parent_row is not None else None,
        origin="USER",
        description=description,
        started=write.now,
        provenance=[source.head_id for source in sources if source.head_id is not None],
    )
    branches.move_row(conn, row, commit.id, write.now)
    write.moved[row.id] = None
    write.created.append(commit)
    return commit


def refuse_output_branch(
    conn: sa.Connection, row: branches.BranchRow, caller: Caller
) -> list[branches.BranchRow]:
    """Check that commits may be started on a branch: it has no provenance, or the caller's commands make its commits.

    Args:
        conn: the transaction.
        row: the branch.
        caller: who starts a commit. A pipeline without an input, whose output branch follows its own specification
            alone, commits itself.

    Returns:
        The branches that it has provenance on.

    Raises:
        FailedPrecondition: jobs, or another caller, make the commits of this branch.
    """
    edges = branches.upstream(conn, row.id)
    if edges:
        upstream = [branches.by_id(conn, edge.upstream_id) for edge in edges]
        sources = [(repos.repo_by_id(conn, up.repo_id), up.name) for up in upstream]
        owner = repos.repo_by_id(conn, row.repo_id)
        if rights.owns(caller, owner) and all(repo.type == SPEC for repo, _ in sources):
            return upstream
        # A pipeline's own specification is provenance too, but users do not write there.
        writable = [source for source in sources if source[0].type != "spec"] or sources
        source_names = [f"{repo}@{name}" for repo, name in writable]
        raise errors.FailedPrecondition(
            f"cannot start a commit on an output branch: {owner}@{row.name} is made"
            f" from {' and '.join(source_names)}; write there instead"
        )
    return []


class PreparedFinish(Struct, frozen=True):
    """An open commit with its layers applied, ready to be recorded as finished. The bytes are durable."""

    row: CommitRow
    #: The commit as messages write it.
    name: str
    view: files.OpenView
    applied: files.AppliedLayers
    error: str
    description: str


def finish_commit(
    versions: VersionedStore,
    name: CommitName,
    *,
    error: str = "",
    description: str = "",
    force: bool = False,
) -> None:
    """Finish an open commit. Blocks; the cost depends on the size of the changes only.

    A conflict between its files does not raise: the commit is finished with that error, as a commit that
    is finished with ``error`` by its writer.

    Args:
        versions: the store.
        name: the commit.
        error: why its files are not good; empty when they are.
        description: replaces the commit's when it is not empty.
        force: also a commit that belongs to a pipeline.

    Raises:
        NotFound: there is no such commit.
        CommitFinished: it is finished.
        FailedPrecondition: it is a pipeline's output and ``force`` is not set.
    """
    failpoints.reach("commit.finish")
    prepared = prepare_finish(versions, name, error=error, description=description, force=force)
    failpoints.reach("commit.prepared")
    while not versions.write(record_finish, prepared):
        prepared = prepare_again(versions, prepared)
    failpoints.reach("commit.finished")


def prepare_finish(
    versions: VersionedStore, name: CommitName, *, error: str, description: str, force: bool
) -> PreparedFinish:
    """Apply an open commit's layers to its parent's files. Blocks. Arguments and errors as ``finish_commit``.

    Args:
        versions: the store to read and write.
        name: the open commit.
        error: why the commit is not usable; empty: no error.
        description: free text, shown to users.
        force: finish it although a pipeline writes to it.
    """

    def look(conn: sa.Connection) -> tuple[CommitRow, str, files.OpenView]:
        rights.check_write(versions.caller, name.repo)
        row, full = _finishable(conn, name, force=force)
        return row, full, files.open_view(conn, row)

    check_finish(error, description)
    row, full, view = versions.read(look)
    return PreparedFinish(row, full, view, files.apply_layers(versions, view), error, description)


def check_finish(error: str, description: str) -> None:
    """Check the texts of a request to finish a commit; raise InvalidArgument when one is too long."""
    limits.check_text(description, limits.DESCRIPTION, "the description of the commit")
    limits.check_text(error, limits.REASON, "the error of the commit")


def _finishable(conn: sa.Connection, name: CommitName, *, force: bool) -> tuple[CommitRow, str]:
    """Return the open commit that a request finishes, and the commit as messages write it.

    Args:
        conn: connection of the transaction.
        name: the commit.
        force: also a commit that belongs to a pipeline.
    """
    row = resolve.commit(conn, name)
    full = resolve.text(conn, row)
    if row.finished is not None:
        raise errors.CommitFinished(f"commit {full} has already finished")
    if row.origin == "AUTO" and not force and _is_of_pipeline(conn, row):
        raise errors.FailedPrecondition(
            f"cannot finish a pipeline output or meta commit: {full}; use 'stop job' instead, or force"
        )
    return row, full


class Unapplied(Struct, frozen=True):
    """The layers of an open commit that have to be applied before it is finished."""

    commit_id: int
    base: TreeId
    deltas: tuple[TreeId, ...]

    def apply(self, versions: VersionedStore) -> files.AppliedLayers:
        """Apply them. Blocks; the bytes are durable on return."""
        return files.apply_layers(versions, files.OpenView(self.base, [], list(self.deltas)))


def finish_within(
    write: WriteTransaction,
    name: CommitName,
    applied: Mapping[Unapplied, files.AppliedLayers],
    *,
    error: str = "",
    description: str = "",
    force: bool = False,
) -> Unapplied | None:
    """Finish an open commit as one of several changes of a write.

    Args:
        write: transaction that the change belongs to.
        name: the commit.
        applied: the files of layers that were applied before.
        error: as for ``finish_commit``.
        description: as for ``finish_commit``.
        force: as for ``finish_commit``.

    Returns:
        None; or the layers of the commit that are not among the applied ones. It is finished without their files then,
        so the write must be undone.

    Raises:
        NotFound: there is no such commit.
        CommitFinished: it is finished.
        FailedPrecondition: it is a pipeline's output and ``force`` is not set.
    """
    check_finish(error, description)
    rights.check_write(write.caller, name.repo)
    row, _ = _finishable(write.conn, name, force=force)
    view = files.open_view(write.conn, row)
    good = ancestry.last_good(write.conn, row)
    result = files.AppliedLayers(view.base, good.size if good is not None else 0, None, [])
    missing = None
    if view.deltas:
        layers = Unapplied(row.id, view.base, tuple(view.deltas))
        if layers in applied:
            result = applied[layers]
        else:
            missing = layers
    close(
        write, row, tree=result.tree, size=result.size, packs=result.packs,
        error=error or result.problem or "", description=description or row.description,
    )  # fmt: skip
    return missing


def prepare_again(versions: VersionedStore, prepared: PreparedFinish) -> PreparedFinish:
    """Apply the layers again, with those that streams have added meanwhile. Blocks."""
    view = versions.read(files.open_view, prepared.row)
    return replace(prepared, view=view, applied=files.apply_layers(versions, view))


def record_finish(write: WriteTransaction, prepared: PreparedFinish) -> bool:
    """Record a prepared commit as finished; False when a stream has added a layer since it was prepared.

    The files of a commit with an error can be read by its name; the next commit builds on the last good one.

    Raises:
        NotFound: it was deleted.
        CommitFinished: it was finished.
    """
    row, layers = rows.find_with_layers(write.conn, prepared.row.id)
    if row is None:
        raise errors.NotFound(f"commit {prepared.name} was deleted")
    if row.finished is not None:
        raise errors.CommitFinished(f"commit {prepared.name} has already finished")
    if [number for number, _ in layers] != prepared.view.numbers:
        return False
    applied = prepared.applied
    close(
        write, row, tree=applied.tree, size=applied.size, packs=applied.packs,
        error=prepared.error or applied.problem or "", description=prepared.description or row.description,
    )  # fmt: skip
    failpoints.reach("commit.record")
    return True


def _is_of_pipeline(conn: sa.Connection, row: CommitRow) -> bool:
    """Return whether a pipeline owns the branch of a commit: then its own specification is provenance."""
    branch = branches.find(conn, row.repo_id, row.branch_name)
    edges = branches.upstream(conn, branch.id) if branch is not None else []
    sources = [branches.by_id(conn, edge.upstream_id).repo_id for edge in edges]
    return any(repos.repo_by_id(conn, number).type == SPEC for number in sources)


def close(
    write: WriteTransaction,
    row: CommitRow,
    *,
    tree: TreeId,
    size: int,
    packs: Sequence[PackRecord],
    error: str = "",
    description: str = "",
) -> None:
    """Record that an open commit is finished with these files. The packs' bytes are already durable.

    Args:
        write: transaction that the change belongs to.
        row: the open commit, as this transaction read or created it.
        tree: the tree of the files.
        size: total size of the files, in bytes.
        packs: packs that hold the new chunks; their bytes are durable already.
        error: why the commit is not usable; empty: no error.
        description: replaces the current description.

    Raises:
        CommitFinished: it is finished.
    """
    if row.finished is not None:
        raise errors.CommitFinished(f"commit {resolve.text(write.conn, row)} has already finished")
    chunks.add(write.conn, packs, 0, write.now)
    finished = rows.finish(
        write.conn, row, tree=tree, size=size, error=error, description=description, at=write.now
    )
    write.finished.append(finished)


def clear_commit(write: WriteTransaction, name: CommitName) -> None:
    """Discard everything that was written to an open commit."""
    rights.check_write(write.caller, name.repo)
    row = resolve.commit(write.conn, name)
    if row.finished is not None:
        raise errors.CommitFinished(f"commit {resolve.text(write.conn, row)} has already finished")
    rows.clear_layers(write.conn, row.id)
    write.wake_commit(row)


def squash(write: WriteTransaction, set_id: str) -> None:
    """Remove a commit set; its children keep their files and get its parents as their parents.

    Raises:
        NotFound: the set has no commits.
        FailedPrecondition: a commit of it has no children, or an unfinished child.
    """
    members = commit_set(write.conn, set_id)
    for row in members:
        children = commit_graph.children(write.conn, row.id)
        if not children:
            raise errors.FailedPrecondition(
                f"cannot squash a commit that has no children: {resolve.text(write.conn, row)};"
                " its changes would be lost, use drop (delete commit) for that"
            )
        unfinished = next((child for child in children if child.finished is None), None)
        if unfinished is not None:
            raise errors.FailedPrecondition(
                f"cannot squash until child commit {resolve.text(write.conn, unfinished)} is finished;"
                " finish it first"
            )
    _remove(write, members)


def drop(write: WriteTransaction, set_id: str) -> None:
    """Remove a commit set with its changes; branches go back to its parents.

    Raises:
        NotFound: the set has no commits.
        FailedPrecondition: a commit of it has children, or commits of other sets come from it.
    """
    members = commit_set(write.conn, set_id)
    later: dict[str, None] = {}
    for row in members:
        if commit_graph.children(write.conn, row.id):
            raise errors.FailedPrecondition(
                f"cannot drop a commit that has children: {resolve.text(write.conn, row)};"
                " drop the children first, or squash it"
            )
        later.update(
            (down.set_id, None)
            for down in commit_graph.downstream(write.conn, row.id)
            if down.set_id != set_id
        )
    if later:
        raise errors.FailedPrecondition(
            f"commit set {set_id} cannot be dropped because it has subvenant commit sets: {', '.join(later)}"
        )
    _remove(write, members)


def commit_set(conn: sa.Connection, set_id: str) -> list[CommitRow]:
    """Return the commits of a set, or raise NotFound."""
    members = rows.of_set(conn, set_id)
    if not members:
        raise errors.NotFound(f"no commits found for commitset {set_id}")
    return members


def with_provenance(conn: sa.Connection, set_id: str) -> list[CommitRow]:
    """Return a set's commits and their provenance, oldest (most upstream) first.

    Raises:
        NotFound: the set has no commits.
    """
    commits = {row.id: row for row in commit_set(conn, set_id)}
    pending = list(commits.values())
    while pending:
        for up in commit_graph.upstream(conn, pending.pop().id):
            if up.id not in commits:
                commits[up.id] = up
                pending.append(up)
    # Commits are numbered in the order of their creation, and provenance is created first.
    return [commits[number] for number in sorted(commits)]


def remove_one(write: WriteTransaction, name: CommitName, *, keep_changes: bool, recursive: bool) -> None:
    """Squash (``keep_changes``) or drop one commit; with ``recursive`` also the commits that depend on it.

    Args:
        write: transaction that the change belongs to.
        name: the commit.
        keep_changes: squash: its children keep its changes.
        recursive: remove the commits that depend on it too.

    Raises:
        NotFound: there is no such commit.
        FailedPrecondition: as ``squash`` and ``drop``; or others come from it and ``recursive`` is not set.
    """
    row = resolve.commit(write.conn, name)
    doomed = {row.id: row}
    pending = [row]
    while pending:
        for down in commit_graph.downstream(write.conn, pending.pop().id):
            if not recursive:
                raise errors.FailedPrecondition(
                    f"cannot remove commit {resolve.text(write.conn, row)}: {resolve.text(write.conn, down)}"
                    " comes from it; use recursive (--recursive) to remove both"
                )
            if down.id not in doomed:
                doomed[down.id] = down
                pending.append(down)
    for member in doomed.values():
        children = commit_graph.children(write.conn, member.id)
        if keep_changes and not children:
            raise errors.FailedPrecondition(
                f"cannot squash a commit that has no children: {resolve.text(write.conn, member)}; use drop for that"
            )
        if not keep_changes and any(child.id not in doomed for child in children):
            raise errors.FailedPrecondition(
                f"cannot drop a commit that has children: {resolve.text(write.conn, member)}; drop the children first"
            )
    _remove(write, [doomed[number] for number in sorted(doomed)])


def _remove(write: WriteTransaction, doomed: list[CommitRow]) -> None:
    """Remove commits: their children get their parents, and so do the branches whose heads they are.

    A branch whose last commit goes gets a new empty one.
    """
    conn = write.conn
    numbers = [row.id for row in doomed]
    if write.hooks is not None:
        write.hooks.removing_commits(write, numbers)
    emptied: list[int] = []
    for row in reversed(doomed):
        children = commit_graph.children(conn, row.id)
        if children:
            rows.set_parent(conn, [child.id for child in children], row.parent_id)
        for branch in branches.with_head(conn, [row.id]):
            branches.move(conn, branch.id, row.parent_id, write.now)
            if row.parent_id is None:
                emptied.append(branch.id)
    rows.remove(conn, numbers)
    write.forget(numbers)
    restore_heads(write, emptied[::-1])
    write.removed += doomed
    for row in doomed:
        write.wake_commit(row)
