"""The requests that are one write and may be part of a transaction, converted to the functions that do them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names
from trunkline.pfs import branches, commits, repos
from trunkline.pps import jobs
from trunkline.rpc import convert, pps_convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.pfs.queries import CommitRow
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.rpc.gen import pfs_pb2, pps_pb2


def create_repo(request: pfs_pb2.CreateRepoRequest) -> Callable[[WriteTransaction], object]:
    """Return what creates or updates a repo."""
    name = convert.repo_name(request.repo)
    if name.type not in names.REPO_TYPES:
        raise errors.InvalidArgument(
            f'repo type "{name.type}" is not known; use one of {", ".join(names.REPO_TYPES)}'
        )
    return partial(repos.create_repo, name=name, description=request.description, update=request.update)


def start_commit(request: pfs_pb2.StartCommitRequest) -> Callable[[WriteTransaction], CommitRow]:
    """Return what starts a commit."""
    return partial(
        commits.start_commit,
        branch=convert.branch_name(request.branch),
        parent=convert.optional_commit(request.parent),
        description=request.description,
    )


def squash_commit_set(request: pfs_pb2.SquashCommitSetRequest) -> Callable[[WriteTransaction], None]:
    """Return what squashes a commit set."""
    return partial(commits.squash, set_id=convert.set_id(request.commit_set))


def create_branch(request: pfs_pb2.CreateBranchRequest) -> Callable[[WriteTransaction], object]:
    """Return what creates or moves a branch."""
    return partial(
        branches.create_branch,
        name=convert.branch_name(request.branch),
        head=convert.optional_commit(request.head),
        provenance=convert.upstreams(request.provenance, request.branch_propagation_specs),
        trigger=convert.trigger(request.trigger) if request.trigger.ByteSize() else None,
    )


def delete_branch(request: pfs_pb2.DeleteBranchRequest) -> Callable[[WriteTransaction], None]:
    """Return what deletes a branch."""
    return partial(branches.delete_branch, name=convert.branch_name(request.branch), force=request.force)


def stop_job(request: pps_pb2.StopJobRequest) -> Callable[[WriteTransaction], None]:
    """Return what kills a job."""
    return partial(jobs.stop, name=pps_convert.job_name(request.job), reason=request.reason)


def update_job_state(request: pps_pb2.UpdateJobStateRequest) -> Callable[[WriteTransaction], None]:
    """Return what ends a job without success."""
    return partial(
        jobs.update_state,
        name=pps_convert.job_name(request.job),
        state=pps_convert.state_of_job(request.state),
        reason=request.reason,
    )
