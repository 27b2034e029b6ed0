"""Create, move, describe and delete branches and their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import branches as rows
from trunkline.meta import commits, repos
from trunkline.model import names, trigger_rules
from trunkline.pfs import propagation, resolve
from trunkline.pfs.repos import one_branch_per_repo
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.branches import BranchRow
    from trunkline.meta.commits import CommitRow
    from trunkline.meta.repos import RepoRow
    from trunkline.model.spec import Trigger
    from trunkline.pfs.writes import WriteTransaction


#: The largest number of branches that a walk returns, and of steps that it takes.
MAX_WALKED = 10_000
MAX_DEPTH = 1_000


class BranchName(Struct, frozen=True):
    """A branch as a request names it."""

    repo: names.RepoName
    name: str

    def __str__(self) -> str:
        """Return the name as users write it."""
        return f"{self.repo}@{self.name}"


class Upstream(Struct, frozen=True):
    """One branch in the direct provenance of another."""

    branch: BranchName
    never: bool = False


class BranchInfo(Struct, frozen=True):
    """A branch with its provenance and subvenance, each a repo and a name: what InspectBranch returns."""

    row: BranchRow
    repo: RepoRow
    head: CommitRow | None
    #: All branches it depends on, and all that depend on it, directly or not.
    provenance: list[tuple[RepoRow, str]]
    subvenance: list[tuple[RepoRow, str]]
    #: Each with whether its commits trigger nothing downstream.
    direct_provenance: list[tuple[RepoRow, str, bool]]


def describe(conn: sa.Connection, row: BranchRow) -> BranchInfo:
    """Return what InspectBranch returns."""
    [info] = describe_all(conn, [row])
    return info


def describe_all(conn: sa.Connection, described: Sequence[BranchRow]) -> list[BranchInfo]:
    """Describe several branches; each related branch is read once, since those of one DAG share them."""
    relatives: dict[int, tuple[RepoRow, str]] = {}

    def relative(number: int) -> tuple[RepoRow, str]:
        if number not in relatives:
            other = rows.by_id(conn, number)
            relatives[number] = repos.repo_by_id(conn, other.repo_id), other.name
        return relatives[number]

    return [
        BranchInfo(
            row,
            repos.repo_by_id(conn, row.repo_id),
            commits.by_id(conn, row.head_id) if row.head_id is not None else None,
            [relative(number) for number in propagation.closure(conn, row.id, up=True)],
            [relative(number) for number in propagation.closure(conn, row.id, up=False)],
            [(*relative(edge.upstream_id), edge.never) for edge in rows.upstream(conn, row.id)],
        )
        for row in described
    ]


def walk_bounds(limit: int, depth: int) -> tuple[int, int]:
    """Return the limit and depth of a walk from those of a request, where 0 means the largest."""
    return min(limit or MAX_WALKED, MAX_WALKED), min(depth or MAX_DEPTH, MAX_DEPTH)


def create_branch(
    write: WriteTransaction,
    name: BranchName,
    *,
    head: names.CommitName | None = None,
    provenance: Sequence[Upstream] = (),
    trigger: Trigger | None = None,
) -> BranchRow:
    """Create a branch, or move one and replace its provenance.

    Upstream branches that do not exist are created with an empty commit, and so is this one when it gets
    neither head nor provenance. A branch with provenance gets an open AUTO commit when it had no head or
    its provenance changed.

    Args:
        write: transaction that the change belongs to.
        name: name of the branch.
        head: the commit to point at; None: the head stays.
        provenance: the branches that this one depends on directly.
        trigger: when it moves by itself; None: a trigger stays.

    Raises:
        NotFound: a repo or the head commit does not exist.
        InvalidArgument: a bad name, provenance within the repo, a cycle, two branches of one repo, or a trigger that is
            not valid.
    """
    conn = write.conn
    names.check_branch(name.name)
    if trigger is not None:
        trigger_rules.check(trigger, name.name, "trigger")
        if provenance:
            raise errors.InvalidArgument(
                f"branch {name} cannot have both provenance and a trigger; leave out one of them"
            )
    owner = resolve.repo(conn, name.repo)
    edges = [(_upstream(write, owner.id, up), up.never) for up in provenance]
    existing = rows.find(conn, owner.id, name.name)
    row = existing or rows.add(conn, owner.id, name.name, write.now)
    before = {edge.upstream_id: edge.never for edge in rows.upstream(conn, row.id)}
    after = dict(edges)
    changed = before != after
    if changed:
        rows.set_provenance(conn, row.id, after.items())
        one_branch_per_repo(write, row.id)
    if head is not None:
        target = resolve.commit(conn, head)
        if target.repo_id != owner.id:
            raise errors.InvalidArgument(
                f"branch and head commit must belong to the same repo: branch {name}, head {head}"
            )
        rows.move(conn, row.id, target.id, write.now)
        write.moved[row.id] = None
        row = rows.by_id(conn, row.id)
    if row.head_id is None or (after and changed):
        add_empty_head(write, row, closed=not after)
    if trigger is not None:
        _set_trigger(write, rows.by_id(conn, row.id), trigger)
    write.tx.wake(f"repo:{owner.id}")
    return rows.by_id(conn, row.id)


def _set_trigger(write: WriteTransaction, row: BranchRow, trigger: Trigger) -> None:
    """Set a branch's trigger; one that is the same stays as it is."""
    conn = write.conn
    if row.trigger and trigger_rules.from_json(row.trigger).trigger == trigger:
        return
    source = rows.find(conn, row.repo_id, trigger.branch)
    at = source
    while at is not None and at.trigger:
        following = trigger_rules.from_json(at.trigger).trigger.branch
        if following == row.name:
            raise errors.InvalidArgument(
                f'triggers cannot form a loop: branch "{row.name}" triggers "{at.name}"; name another branch'
            )
        at = rows.find(conn, row.repo_id, following)
    head = (
        commits.find_by_id(conn, source.head_id)
        if source is not None and source.head_id is not None
        else None
    )
    # A commit that is open finishes later, so it is a candidate.
    while head is not None and head.finished is None:
        head = commits.find_by_id(conn, head.parent_id) if head.parent_id is not None else None
    since = head.set_id if head is not None else ""
    rows.set_trigger(conn, row.id, trigger_rules.SetTrigger(trigger, since).to_json())
    write.tx.wake("triggers")


def delete_branch(write: WriteTransaction, name: BranchName, *, force: bool) -> None:
    """Remove a branch; its commits stay.

    Args:
        write: transaction that the change belongs to.
        name: name of the branch.
        force: remove it although other branches depend on it.

    Raises:
        NotFound: there is no such branch.
        FailedPrecondition: other branches depend on it and ``force`` is not set.
    """
    row = resolve.branch(write.conn, name.repo, name.name)
    edges = rows.downstream(write.conn, row.id)
    if edges and not force:
        dependents = [rows.by_id(write.conn, edge.branch_id) for edge in edges]
        dependent_names = ", ".join(
            f"{repos.repo_by_id(write.conn, other.repo_id)}@{other.name}" for other in dependents
        )
        raise errors.FailedPrecondition(
            f'branch "{name}" cannot be deleted because it\'s in the direct provenance of [{dependent_names}];'
            " delete those first, or use force (--force)"
        )
    rows.remove(write.conn, row.id)
    write.tx.wake(f"repo:{row.repo_id}")


def _upstream(write: WriteTransaction, owner_id: int, up: Upstream) -> int:
    """Return the upstream branch's number, and create the branch if it does not exist."""
    conn = write.conn
    repo = resolve.repo(conn, up.branch.repo)
    if repo.id == owner_id:
        raise errors.InvalidArgument(
            f"cyclic provenance: a branch of repo {repo} cannot depend on branch {up.branch.name!r} of the same repo"
        )
    row = rows.find(conn, repo.id, up.branch.name)
    if row is None:
        names.check_branch(up.branch.name)
        row = rows.add(conn, repo.id, up.branch.name, write.now)
        add_empty_head(write, row, closed=True)
    elif row.head_id is None:
        add_empty_head(write, row, closed=True)
    return row.id


def restore_heads(write: WriteTransaction, numbers: Sequence[int]) -> None:
    """Create a new empty commit as the head of each branch that lost all its commits.

    A branch that follows one that moved in this write is left to propagation, which creates its commit.

    Args:
        write: the transaction that removed the commits.
        numbers: of the branches, each after those that it depends on.
    """
    conn = write.conn
    for number in numbers:
        row = rows.by_id(conn, number)
        edges = rows.upstream(conn, number)
        if any(edge.upstream_id in write.moved for edge in edges):
            continue
        shared = commits.find(conn, write.set_id, row.repo_id)
        if shared is not None:  # a repo has one commit in a write
            rows.move(conn, number, shared.id, write.now)
            write.moved[number] = None
            continue
        sources = [repos.repo_by_id(conn, rows.by_id(conn, edge.upstream_id).repo_id) for edge in edges]
        add_empty_head(write, row, closed=all(source.type == names.SPEC for source in sources))


def add_empty_head(write: WriteTransaction, row: BranchRow, *, closed: bool) -> None:
    """Give the branch an AUTO commit of this write; an empty and finished one when ``closed``.

    Args:
        write: transaction that the change belongs to.
        row: the branch.
        closed: finish the commit at once.
    """
    conn = write.conn
    if commits.find(conn, write.set_id, row.repo_id) is not None:
        return  # a repo has one commit in a write; an earlier step of this write created it
    upstream = [rows.by_id(conn, edge.upstream_id).head_id for edge in rows.upstream(conn, row.id)]
    commit = commits.add(
        conn,
        set_id=write.set_id,
        repo_id=row.repo_id,
        branch_name=row.name,
        parent_id=row.head_id,
        origin="AUTO",
        description="",
        started=write.now,
        provenance=[head for head in upstream if head is not None],
    )
    rows.move(conn, row.id, commit.id, write.now)
    write.moved[row.id] = None
    write.created.append(commit)
    if closed:
        finished = commits.finish(conn, commit, tree=EMPTY, size=0, error="", description="", at=write.now)
        write.finished.append(finished)
