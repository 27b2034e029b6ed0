"""Edits of the key-value metadata of projects, repos, branches, commits, pipelines and the cluster.

All edits of a request happen in one write, or none does. Later edits see what earlier ones did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from trunkline import errors
from trunkline.meta import metadata
from trunkline.model import limits
from trunkline.model.names import CommitName, PipelineName, RepoName
from trunkline.pfs import forgotten, resolve
from trunkline.pfs.branches import BranchName
from trunkline.pps import pipelines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import sqlalchemy as sa

    from trunkline.pfs.writes import WriteTransaction


class ProjectName(Struct, frozen=True):
    """A project whose metadata is edited."""

    name: str


class Cluster(Struct, frozen=True):
    """The cluster, whose metadata is edited."""


Target = ProjectName | RepoName | BranchName | CommitName | PipelineName | Cluster


class Edit(Struct, frozen=True, kw_only=True):
    """One edit."""

    target: Target
    #: Replace everything by ``values``; or add a key that must be new, set a key, or delete one.
    operation: Literal["replace", "add", "set", "delete"]
    key: str = ""
    value: str = ""
    values: Mapping[str, str] | None = None


def edit(write: WriteTransaction, edits: Iterable[Edit]) -> None:
    """Apply edits in order.

    Raises:
        NotFound: a target does not exist.
        AlreadyExists: a key that is to be added exists.
        InvalidArgument: the metadata of a target would be too large.
    """
    for change in edits:
        table, number, name, before = _target(write.conn, change.target)
        after = forgotten.with_mark(before, _edited(change, name, before))
        limits.check_metadata(after, name)
        if number is None:
            metadata.set_of_cluster(write.conn, after)
        else:
            metadata.replace(write.conn, table, number, after)


def _target(conn: sa.Connection, target: Target) -> tuple[str, int | None, str, Mapping[str, str]]:
    """Return the table, the row's number (None for the cluster), its name for messages, and its metadata."""
    match target:
        case ProjectName():
            project = resolve.project(conn, target.name)
            return "project", project.id, f"project {project.name}", project.metadata
        case RepoName():
            repo = resolve.repo(conn, target)
            return "repo", repo.id, f"repo {repo}", repo.metadata
        case BranchName():
            branch = resolve.branch(conn, target.repo, target.name)
            return "branch", branch.id, f"branch {target}", branch.metadata
        case CommitName():
            commit = resolve.commit(conn, target)
            return "commit", commit.id, f"commit {resolve.text(conn, commit)}", commit.metadata
        case PipelineName():
            pipeline = pipelines.find(conn, target.project, target.name)
            return "pipeline", pipeline.id, f"pipeline {target}", pipeline.metadata
        case Cluster():
            return "cluster", None, "the cluster", metadata.of_cluster(conn)


def _edited(edit: Edit, name: str, before: Mapping[str, str]) -> Mapping[str, str]:
    """Return the metadata of ``name`` after an edit."""
    match edit.operation:
        case "replace":
            return dict(edit.values or {})
        case "add":
            if edit.key in before:
                raise errors.AlreadyExists(
                    f'metadata key "{edit.key}" of {name} already exists; use edit_key to change it'
                )
            return {**before, edit.key: edit.value}
        case "set":
            return {**before, edit.key: edit.value}
        case "delete":
            return {key: value for key, value in before.items() if key != edit.key}
