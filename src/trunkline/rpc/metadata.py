"""The metadata API (``metadata.API``), converted to edits of ``pps.metadata_edits``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names
from trunkline.pps import metadata_edits
from trunkline.pps.metadata_edits import Cluster, Edit, ProjectName, Target
from trunkline.rpc import pickers
from trunkline.rpc.gen import metadata_pb2

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call


class MetadataServicer:
    """Answers ``metadata.API``."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions

    async def EditMetadata(
        self, request: metadata_pb2.EditMetadataRequest, call: Call
    ) -> metadata_pb2.EditMetadataResponse:
        edits = [_edit(message) for message in request.edits]
        await self._versions.for_caller(call.caller, call.trace).write_soon(metadata_edits.edit, edits)
        return metadata_pb2.EditMetadataResponse()


def _edit(message: metadata_pb2.Edit) -> Edit:
    target = _target(message)
    match message.WhichOneof("op"):
        case "replace":
            return Edit(target=target, operation="replace", values=dict(message.replace.replacement))
        case "add_key":
            return Edit(target=target, operation="add", key=message.add_key.key, value=message.add_key.value)
        case "edit_key":
            return Edit(
                target=target, operation="set", key=message.edit_key.key, value=message.edit_key.value
            )
        case "delete_key":
            return Edit(target=target, operation="delete", key=message.delete_key.key)
        case _:
            raise errors.InvalidArgument(
                "an edit says nothing to do; set replace, add_key, edit_key or delete_key"
            )


def _target(message: metadata_pb2.Edit) -> Target:
    match message.WhichOneof("target"):
        case "project":
            return ProjectName(pickers.project(message.project))
        case "repo":
            return pickers.repo(message.repo)
        case "branch":
            return pickers.branch(message.branch)
        case "commit":
            return pickers.commit(message.commit)
        case "pipeline":
            picker = message.pipeline.name
            return names.PipelineName(pickers.project(picker.project), picker.name)
        case "cluster":
            return Cluster()
        case _:
            raise errors.InvalidArgument(
                "an edit names nothing to edit; set project, repo, branch, commit, pipeline or cluster"
            )
