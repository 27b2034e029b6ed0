"""Resolve the names of a request to rows.

A commit is named by repo and id, by repo and branch (its head), or by either with ancestry after it
(``master^2``, ``<id>~1``, ``master.3``). An id that is a commit set without a commit of its own in the repo
means the repo's commit in the set's provenance, so ``repo@<job id>`` always works.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import ancestry, branches, commit_graph, commits, repos

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.branches import BranchRow
    from trunkline.meta.commits import CommitRow
    from trunkline.meta.repos import ProjectRow, RepoRow
    from trunkline.model import names
    from trunkline.model.names import CommitName

#: A string that looks like the beginning of an id, as tables show it.
_SHORT_ID = re.compile(r"[0-9a-f]{7,31}", re.ASCII)


def project(conn: sa.Connection, name: str) -> ProjectRow:
    """Return the project, or raise NotFound."""
    row = repos.find_project(conn, name)
    if row is None:
        raise errors.NotFound(f'project "{name}" not found')
    return row


def repo(conn: sa.Connection, name: names.RepoName) -> RepoRow:
    """Return the repo, or raise NotFound."""
    row = repos.find_repo(conn, name.project, name.name, name.type)
    if row is None:
        project(conn, name.project)
        raise errors.NotFound(f"repo {name} not found")
    return row


def repos_of(conn: sa.Connection, name: names.RepoName) -> list[RepoRow]:
    """Return the repo of a name, or all repos of its type in its project when the name is empty.

    Raises:
        NotFound: the repo or the project does not exist.
    """
    if name.name:
        return [repo(conn, name)]
    return repos.list_repos(conn, name.type, [project(conn, name.project).name])


def branch(conn: sa.Connection, repo_name: names.RepoName, name: str) -> BranchRow:
    """Return the branch, or raise NotFound.

    Args:
        conn: connection of the transaction.
        repo_name: name of the repo.
        name: name of the branch.
    """
    owner = repo(conn, repo_name)
    row = branches.find(conn, owner.id, name)
    if row is None:
        raise _no_branch(name, repo_name)
    return row


def _no_branch(name: str, repo_name: names.RepoName) -> errors.NotFound:
    hint = "; ids have 32 hexadecimal digits and cannot be shortened" if _SHORT_ID.fullmatch(name) else ""
    return errors.NotFound(f'branch "{name}" not found in repo {repo_name}{hint}')


def commit(conn: sa.Connection, name: CommitName) -> CommitRow:
    """Return the commit that a request means.

    Raises:
        NotFound: the repo, branch or commit does not exist, or the ancestry leads past its beginning.
    """
    if name.id:
        row = commits.find_named(conn, name.repo, name.id)
        row = row or _in_provenance_of_set(conn, name.id, repo(conn, name.repo).id)
        if row is None:
            raise errors.NotFound(f"commit {name.repo}@{name.id} not found")
    else:
        row = commits.head(conn, name.repo, name.branch)
        if row is None:
            branch(conn, name.repo, name.branch)
            raise errors.NotFound(f'branch "{name.branch}" of repo {name.repo} has no commits yet')
    for step in name.ancestry:
        row = _follow(conn, row, step, name)
    return row


def text(conn: sa.Connection, row: CommitRow) -> str:
    """Return ``project/repo@id`` of a commit for messages."""
    return f"{repos.repo_by_id(conn, row.repo_id)}@{row.set_id}"


def _follow(conn: sa.Connection, row: CommitRow, step: names.AncestryStep, name: CommitName) -> CommitRow:
    if step.from_root:
        ancestor, length = ancestry.ancestor(conn, row.id, -step.count)
        if ancestor is None:
            raise errors.NotFound(
                f"commit {name} not found: its history has {length} commits, so .{step.count} does not exist"
            )
        return ancestor
    ancestor, length = ancestry.ancestor(conn, row.id, step.count)
    if ancestor is None:
        raise errors.NotFound(
            f"commit {name} not found: its history ends after {length - 1} of {step.count} steps back"
        )
    return ancestor


def _in_provenance_of_set(conn: sa.Connection, set_id: str, repo_id: int) -> CommitRow | None:
    """Return the repo's newest commit among all that the set's commits came from."""
    seen: set[int] = set()
    pending = commits.of_set(conn, set_id)
    best: CommitRow | None = None
    while pending:
        row = pending.pop()
        for up in commit_graph.upstream(conn, row.id):
            if up.id in seen:
                continue
            seen.add(up.id)
            pending.append(up)
            if up.repo_id == repo_id and (best is None or up.id > best.id):
                best = up
    return best
