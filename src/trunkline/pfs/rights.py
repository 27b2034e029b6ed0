"""What a caller may write. Until there are users, only pipelines are restricted (docs/design/work.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model.caller import CallerKind

if TYPE_CHECKING:
    from trunkline.meta.repos import RepoRow
    from trunkline.model.caller import Caller
    from trunkline.model.names import RepoName


def check_write(caller: Caller, repo: RepoName | RepoRow) -> None:
    """Check that a caller may change commits of a repo.

    Args:
        caller: who writes.
        repo: whose commits.

    Raises:
        PermissionDenied: it is a pipeline, and the repo is not its own.
    """
    if caller.kind is CallerKind.PIPELINE and not owns(caller, repo):
        raise errors.PermissionDenied(
            f"pipeline {caller.name} cannot write to repo {repo}: the token of a pipeline is for its own repo; write"
            f" to {caller.name} or use another login"
        )


def owns(caller: Caller, repo: RepoName | RepoRow) -> bool:
    """Return whether a caller is the pipeline whose output repo this is."""
    return caller.kind is CallerKind.PIPELINE and caller.name == str(repo)
