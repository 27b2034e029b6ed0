"""The keys and values that people attach to projects, repos, branches, commits and pipelines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument
from trunkline.rpc.gen import metadata_pb2, pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

_FORM = "KIND NAME add|edit|delete|set DATA"
_KINDS = ("project", "repo", "branch", "commit", "pipeline", "cluster")


def edit(invocation: Invocation) -> None:
    """Change keys and values, all at once or none.

    Raises:
        UsageError: the words are not groups of four.
    """
    words = invocation.options.edits
    if len(words) % 4:
        raise UsageError(
            f"{len(words)} words are not edits of four words each; write {_FORM}, for each edit again"
        )
    edits = [_edit(invocation, *words[start : start + 4]) for start in range(0, len(words), 4)]
    invocation.metadata.EditMetadata(metadata_pb2.EditMetadataRequest(edits=edits))
    for start in range(0, len(words), 4):
        invocation.report("edited", "metadata", f"{words[start]} {words[start + 1]}")


def inspect(invocation: Invocation) -> None:
    """Show the server's id and its keys and values."""
    from trunkline.rpc.gen import admin_pb2

    info = invocation.admin.InspectCluster(admin_pb2.InspectClusterRequest())

    def fields(info: admin_pb2.ClusterInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Id", info.id),
            ("Warnings", "; ".join(info.warnings)),
            ("Metadata", ", ".join(f"{key}={value}" for key, value in sorted(info.metadata.items()))),
        ]

    output.show_one(invocation, info, fields, info.id)


def _edit(invocation: Invocation, kind: str, name: str, operation: str, data: str) -> metadata_pb2.Edit:
    message = metadata_pb2.Edit()
    _name(invocation, message, kind, name)
    if operation == "set":
        message.replace.replacement.update(_whole(data))
        message.replace.SetInParent()
    elif operation == "delete":
        message.delete_key.key = data
    elif operation in ("add", "edit"):
        key, value = _pair(data)
        change = message.add_key if operation == "add" else message.edit_key
        change.key, change.value = key, value
    else:
        raise UsageError(f'"{operation}" is not an edit; write add, edit, delete or set')
    return message


def _name(invocation: Invocation, message: metadata_pb2.Edit, kind: str, name: str) -> None:
    """Write what is edited into a message."""
    match kind:
        case "project":
            message.project.name = name
        case "repo":
            message.repo.CopyFrom(_repo(invocation.repo(name)))
        case "branch":
            message.branch.CopyFrom(_branch(invocation.branch(name)))
        case "commit":
            commit = invocation.commit(name)
            if commit.id:
                message.commit.id.repo.CopyFrom(_repo(commit.repo))
                message.commit.id.id = commit.id
            else:
                message.commit.branch_head.CopyFrom(_branch(commit.branch))
        case "pipeline":
            pipeline = invocation.pipeline(name)
            project = pfs_pb2.ProjectPicker(name=pipeline.project.name)
            message.pipeline.name.CopyFrom(
                pps_pb2.PipelinePicker.PipelineName(project=project, name=pipeline.name)
            )
        case "cluster":
            message.cluster.SetInParent()
        case _:
            raise UsageError(f'"{kind}" has no metadata; write one of {", ".join(_KINDS)}')


def _repo(repo: pfs_pb2.Repo) -> pfs_pb2.RepoPicker:
    project = pfs_pb2.ProjectPicker(name=repo.project.name)
    return pfs_pb2.RepoPicker(
        name=pfs_pb2.RepoPicker.RepoName(project=project, name=repo.name, type=repo.type)
    )


def _branch(branch: pfs_pb2.Branch) -> pfs_pb2.BranchPicker:
    return pfs_pb2.BranchPicker(
        name=pfs_pb2.BranchPicker.BranchName(repo=_repo(branch.repo), name=branch.name)
    )


def _whole(data: str) -> dict[str, str]:
    """Return all keys and values, from a JSON object or from one ``KEY=VALUE``."""
    if not data.startswith("{"):
        return dict([_pair(data)])
    try:
        values = json.loads(data)
    except ValueError as error:
        raise UsageError(f"{data!r} is not a JSON object: {error}") from error
    if not all(isinstance(value, str) for value in values.values()):
        raise UsageError(f"{data!r} has values that are no strings; put them in quotes")
    return dict(values)


def _pair(data: str) -> tuple[str, str]:
    key, sign, value = data.partition("=")
    if not sign or not key.replace("_", "").replace("-", "").replace(".", "").replace("/", "").isalnum():
        raise UsageError(f'"{data}" is not a key with a value; write KEY=VALUE')
    return key, value


COMMANDS = {
    "inspect cluster": Command(
        inspect,
        SHOWING,
        examples=(("trunkline inspect cluster", "show the server's id and metadata"),),
    ),
    "edit metadata": Command(
        edit,
        (
            argument(
                "edits",
                metavar="EDIT",
                nargs="+",
                help=f"{_FORM}: KIND is {', '.join(_KINDS[:-1])} or cluster (named .), DATA is KEY=VALUE for add and"
                " edit, KEY for delete, a JSON object for set",
            ),
            *CHANGING,
        ),
        examples=(
            ("trunkline edit metadata repo texts add owner=ann", "attach a key to a repo"),
            (
                "trunkline edit metadata repo texts add a=1 project default set '{}'",
                "two edits, both or none",
            ),
        ),
    ),
}
