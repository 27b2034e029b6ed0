"""The metadata API (``metadata.API``): key-value pairs on projects, repos, branches, commits and pipelines.

All edits of a request happen in one write, or none does. Later edits see what earlier ones did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import metadata, pipelines
from trunkline.model import limits, names
from trunkline.pfs import resolve
from trunkline.rpc import pickers
from trunkline.rpc.gen import metadata_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction


class MetadataServicer:
    """Answers ``metadata.API``."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions

    async def EditMetadata(
        self, request: metadata_pb2.EditMetadataRequest, _context: Any
    ) -> metadata_pb2.EditMetadataResponse:
        await self._versions.write_soon(_edit_all, request.edits)
        return metadata_pb2.EditMetadataResponse()


def _edit_all(write: WriteTransaction, edits: Iterable[metadata_pb2.Edit]) -> None:
    for edit in edits:
        table, number, text, before = _target(write.conn, edit)
        after = _edited(edit, text, before)
        limits.check_metadata(after, text)
        if number is None:
            metadata.set_of_cluster(write.conn, after)
        else:
            metadata.replace(write.conn, table, number, after)


def _target(conn: sa.Connection, edit: metadata_pb2.Edit) -> tuple[str, int | None, str, Mapping[str, str]]:
    """Return the table, the row's number (None for the cluster), its name for messages, and its metadata."""
    target = edit.WhichOneof("target")
    match target:
        case "project":
            project = resolve.project(conn, pickers.project(edit.project))
            return target, project.id, f"project {project.name}", project.metadata
        case "repo":
            repo = resolve.repo(conn, pickers.repo(edit.repo))
            return target, repo.id, f"repo {repo}", repo.metadata
        case "branch":
            name = pickers.branch(edit.branch)
            branch = resolve.branch(conn, name.repo, name.name)
            return target, branch.id, f"branch {name}", branch.metadata
        case "commit":
            commit = resolve.commit(conn, pickers.commit(edit.commit))
            return target, commit.id, f"commit {resolve.text(conn, commit)}", commit.metadata
        case "pipeline":
            picked = edit.pipeline.name
            project_name = pickers.project(picked.project) or names.DEFAULT_PROJECT
            pipeline = pipelines.find(conn, project_name, picked.name)
            if pipeline is None:
                raise errors.NotFound(f'pipeline "{project_name}/{picked.name}" not found')
            return target, pipeline.id, f"pipeline {project_name}/{picked.name}", pipeline.metadata
        case "cluster":
            return target, None, "the cluster", metadata.of_cluster(conn)
        case _:
            raise errors.InvalidArgument(
                "an edit names nothing to edit; set project, repo, branch, commit, pipeline or cluster"
            )


def _edited(edit: metadata_pb2.Edit, text: str, before: Mapping[str, str]) -> Mapping[str, str]:
    """Return the metadata of ``text`` after an edit."""
    match edit.WhichOneof("op"):
        case "replace":
            return dict(edit.replace.replacement)
        case "add_key":
            if edit.add_key.key in before:
                raise errors.AlreadyExists(
                    f'metadata key "{edit.add_key.key}" of {text} already exists; use edit_key to change it'
                )
            return {**before, edit.add_key.key: edit.add_key.value}
        case "edit_key":
            return {**before, edit.edit_key.key: edit.edit_key.value}
        case "delete_key":
            return {key: value for key, value in before.items() if key != edit.delete_key.key}
        case _:
            raise errors.InvalidArgument(
                f"an edit of {text} says nothing to do; set replace, add_key, edit_key or delete_key"
            )
