"""Pickers: the API's structured names of projects, repos, branches and commits.

They express as messages what plain names express as text with ancestry, and are converted to the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names
from trunkline.pfs.branches import BranchName

if TYPE_CHECKING:
    from trunkline.rpc.gen import pfs_pb2

#: The most pickers inside each other; no honest client needs more.
MAX_NESTING = 20


def project(picker: pfs_pb2.ProjectPicker) -> str:
    """Return the project that is picked."""
    return picker.name or names.DEFAULT_PROJECT


def repo(picker: pfs_pb2.RepoPicker) -> names.RepoName:
    """Return the repo that is picked.

    Raises:
        InvalidArgument: none is.
    """
    if not picker.name.name:
        raise errors.InvalidArgument("the request picks no repo; set the picker's name.name")
    return names.RepoName(project(picker.name.project), picker.name.name, picker.name.type or names.USER)


def branch(picker: pfs_pb2.BranchPicker) -> BranchName:
    """Return the branch that is picked.

    Raises:
        InvalidArgument: none is.
    """
    if not picker.name.name:
        raise errors.InvalidArgument("the request picks no branch; set the picker's name.name")
    return BranchName(repo(picker.name.repo), picker.name.name)


def commit(picker: pfs_pb2.CommitPicker, nesting: int = 0) -> names.CommitName:
    """Return the commit that is picked.

    Raises:
        InvalidArgument: none is, the picker is nested too deep, or an offset is not valid.
    """
    if nesting > MAX_NESTING:
        raise errors.InvalidArgument(
            f"the commit picker is nested more than {MAX_NESTING} times; use one ancestor picker with an offset"
        )
    match picker.WhichOneof("picker"):
        case "branch_head":
            head = branch(picker.branch_head)
            return names.parse_revision(head.repo, head.name)
        case "id" if picker.id.id:
            return names.parse_revision(repo(picker.id.repo), picker.id.id)
        case "branch_root":
            root = branch(picker.branch_root.branch)
            return names.parse_revision(root.repo, f"{root.name}.{picker.branch_root.offset}")
        case "ancestor":
            start = commit(picker.ancestor.start, nesting + 1)
            return names.parse_revision(start.repo, f"{start.revision}^{picker.ancestor.offset}")
        case _:
            raise errors.InvalidArgument(
                "the request picks no commit; set branch_head, id, ancestor or branch_root"
            )
