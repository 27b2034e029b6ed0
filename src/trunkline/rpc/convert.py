"""Converts messages of ``pfs_v2`` to and from the values of the layers below.

Reading: one function per kind of message. An empty sub-message, and one that holds only the values that the
published SDK sets in every empty repo (``type: user``, ``project: default``), counts as unset; the functions with
``optional_`` in their name return None for it, the others raise an error that names the missing field. An empty
project means ``default``, an empty repo type ``user``. A commit's repo may be set in the commit or in its branch,
and its ancestry in its id or in its branch's name.

Writing: ``Commit.branch`` is never set, because the API's clients must not rely on it.

Nothing here checks what exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import limits, names, spec_fields, trigger_rules
from trunkline.model.spec import (
    Egress,
    ObjectStorageEgress,
    SqlDatabaseEgress,
    SqlFileFormat,
    SqlSecret,
    Trigger,
)
from trunkline.model.states import CommitState
from trunkline.pfs.branches import BranchName, Upstream
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    from trunkline.model.names import CommitName
    from trunkline.pfs.branches import BranchInfo
    from trunkline.pfs.commits import CommitInfo
    from trunkline.pfs.queries import CommitRow, ProjectRow, RepoRow
    from trunkline.pfs.repos import RepoInfo

# --- reading -------------------------------------------------------------------------------------------


def project_name(message: pfs_pb2.Project) -> str:
    """Return the project that a message names."""
    return message.name or names.DEFAULT_PROJECT


def optional_repo(message: pfs_pb2.Repo) -> names.RepoName | None:
    """Return the repo that a message names, None when it names none."""
    if not message.name:
        return None
    return names.RepoName(project_name(message.project), message.name, message.type or names.USER)


def repo_name(message: pfs_pb2.Repo) -> names.RepoName:
    """Return the repo that a message names.

    Raises:
        InvalidArgument: it names none.
    """
    name = optional_repo(message)
    if name is None:
        raise errors.InvalidArgument("the request names no repo; set the repo's name")
    return name


def repo_or_project(message: pfs_pb2.Repo) -> names.RepoName:
    """Return the repo that a message names; with an empty name all repos of its project are meant.

    Raises:
        InvalidArgument: it names neither a repo nor a project.
    """
    if not message.name and message.project.name:
        return names.RepoName(message.project.name, "", message.type or names.USER)
    return repo_name(message)


def branch_name(message: pfs_pb2.Branch) -> BranchName:
    """Return the branch that a message names.

    Raises:
        InvalidArgument: it lacks the repo or the branch.
    """
    repo = optional_repo(message.repo)
    if repo is None:
        raise errors.InvalidArgument("the request names no repo for its branch; set branch.repo.name")
    if not message.name:
        raise errors.InvalidArgument(f"the request names no branch of repo {repo}; set branch.name")
    return BranchName(repo, message.name)


def optional_commit(message: pfs_pb2.Commit) -> CommitName | None:
    """Return the commit that a message names, None when it names none.

    Raises:
        InvalidArgument: it names an id or a branch but no repo, or its ancestry cannot be parsed.
    """
    if not message.id and not message.branch.name:
        return None
    repo = optional_repo(message.repo) or optional_repo(message.branch.repo)
    if repo is None:
        raise errors.InvalidArgument(
            f'the request names commit "{message.id or message.branch.name}" but no repo; set commit.repo.name'
        )
    if message.id[:1] in ("^", "~", "."):  # the ancestry alone, of the head of the branch
        return names.parse_revision(repo, message.branch.name + message.id)
    return names.parse_revision(repo, message.id or message.branch.name)


def commit_name(message: pfs_pb2.Commit) -> CommitName:
    """Return the commit that a message names.

    Raises:
        InvalidArgument: it names none, or its ancestry cannot be parsed.
    """
    name = optional_commit(message)
    if name is None:
        repo = optional_repo(message.repo) or optional_repo(message.branch.repo)
        where = f" of repo {repo}" if repo else ""
        raise errors.InvalidArgument(
            f"the request names no commit{where}; set its id, or its branch for the head"
        )
    return name


def set_id(message: pfs_pb2.CommitSet) -> str:
    """Return the id of a commit set.

    Raises:
        InvalidArgument: there is none.
    """
    if not message.id:
        raise errors.InvalidArgument("the request names no commit set; set commit_set.id")
    return message.id


def commit_state(number: int) -> CommitState:
    """Return the state to wait for; if unset, the first one, which needs no wait."""
    if number == pfs_pb2.COMMIT_STATE_UNKNOWN:
        return CommitState.STARTED
    return CommitState(known_value(pfs_pb2.CommitState.items(), number, "commit state"))


def origin(number: int) -> str | None:
    """Return the origin to filter by, None for no filter."""
    if number == pfs_pb2.ORIGIN_KIND_UNKNOWN:
        return None
    return known_value(pfs_pb2.OriginKind.items(), number, "origin kind")


def upstreams(
    provenance: Iterable[pfs_pb2.Branch], specs: Iterable[pfs_pb2.BranchPropagationSpec]
) -> list[Upstream]:
    """Return a branch's provenance, with the settings of single edges."""
    never = {branch_name(spec.branch) for spec in specs if spec.propagation_spec.never}
    return [Upstream(name, never=name in never) for name in map(branch_name, provenance)]


def seconds_of_time(message: Timestamp, field: str) -> float:
    """Return a point in time as seconds since the epoch.

    Args:
        message: the time.
        field: its field in the request.

    Raises:
        InvalidArgument: it is not in the years 1 to 9999, or its nanoseconds are below 0 or above 10^9.
    """
    try:
        # Whole microseconds, so that a time which the server has given comes back as the same number.
        return message.ToNanoseconds() // 1000 / 1e6
    except ValueError as error:
        raise errors.InvalidArgument(
            f"{field} with {message.seconds} seconds and {message.nanos} nanoseconds is not a time; send a time from"
            " the years 1 to 9999, with 0 to 999,999,999 nanoseconds"
        ) from error


def seconds_of_span(message: Duration, field: str) -> float:
    """Return a duration in seconds.

    Args:
        message: the duration.
        field: its field in the request.

    Raises:
        InvalidArgument: it is longer than ten years.
    """
    seconds = message.seconds + message.nanos / 1e9
    if abs(seconds) > limits.TIMEOUT:
        raise errors.InvalidArgument(
            f"{field} of {message.seconds} seconds is too long, the limit is {limits.TIMEOUT:,}; send a shorter one"
        )
    return seconds


def known_value(values: Iterable[tuple[str, int]], number: int, what: str) -> str:
    """Return the name of an enum's value; the wire accepts numbers that have none.

    Args:
        values: name and number of each value of the enum.
        number: the number in the request.
        what: what the value is; the message begins with it.

    Raises:
        InvalidArgument: no value has this number.
    """
    for name, value in values:
        if value == number:
            return name
    choices = ", ".join(f"{value} ({name})" for name, value in values)
    raise errors.InvalidArgument(f"{what} {number} is not known; use one of {choices}")


# --- writing -------------------------------------------------------------------------------------------


def set_time(message: Timestamp, seconds: float) -> None:
    """Set a timestamp from seconds since the epoch, to the microsecond (what a float can hold)."""
    message.FromMicroseconds(round(seconds * 1e6))


def repo_message(repo: RepoRow | names.RepoName) -> pfs_pb2.Repo:
    """Return the name of a repo."""
    return pfs_pb2.Repo(name=repo.name, type=repo.type, project=pfs_pb2.Project(name=repo.project))


def commit_message(repo: RepoRow | names.RepoName, id: str) -> pfs_pb2.Commit:
    """Return the name of a commit."""
    return pfs_pb2.Commit(repo=repo_message(repo), id=id)


def branch_message(repo: RepoRow, name: str) -> pfs_pb2.Branch:
    """Return the name of a branch."""
    return pfs_pb2.Branch(repo=repo_message(repo), name=name)


def project_info(row: ProjectRow) -> pfs_pb2.ProjectInfo:
    """Return the reply about a project."""
    info = pfs_pb2.ProjectInfo(
        project=pfs_pb2.Project(name=row.name), description=row.description, metadata=row.metadata
    )
    set_time(info.created_at, row.created_at)
    return info


def repo_info(info: RepoInfo) -> pfs_pb2.RepoInfo:
    """Return the reply about a repo."""
    row = info.row
    message = pfs_pb2.RepoInfo(
        repo=repo_message(row),
        description=row.description,
        branches=[branch_message(row, name) for name in info.branches],
        size_bytes_upper_bound=info.size,
        details=pfs_pb2.RepoInfo.Details(size_bytes=info.size),
        metadata=row.metadata,
    )
    set_time(message.created, row.created_at)
    return message


def commit_info(info: CommitInfo) -> pfs_pb2.CommitInfo:
    """Return the reply about a commit."""

    def name(row: CommitRow) -> pfs_pb2.Commit:
        return commit_message(info.repos[row.repo_id], row.set_id)

    row = info.row
    message = pfs_pb2.CommitInfo(
        commit=name(row),
        origin=pfs_pb2.CommitOrigin(kind=row.origin),
        description=row.description,
        child_commits=map(name, info.children),
        direct_provenance=map(name, info.upstream),
        direct_subvenance=map(name, info.downstream),
        error=row.error,
        size_bytes_upper_bound=row.size,
        metadata=row.metadata,
    )
    if info.parent is not None:
        message.parent_commit.CopyFrom(name(info.parent))
    set_time(message.started, row.started)
    message.created_at.CopyFrom(message.started)
    message.updated_at.CopyFrom(message.started)
    if row.finished is not None:
        set_time(message.finished, row.finished)
        message.finishing.CopyFrom(message.finished)
        message.updated_at.CopyFrom(message.finished)
        message.details.size_bytes = row.size
    else:
        message.details.SetInParent()  # clients expect it, empty, on an open commit
    return message


def trigger(message: pfs_pb2.Trigger) -> Trigger:
    """Return the trigger of a branch."""
    return Trigger(
        branch=message.branch,
        all=message.all,
        rate_limit_spec=message.rate_limit_spec,
        size=message.size,
        commits=message.commits,
        cron_spec=message.cron_spec,
    )


def branch_info(info: BranchInfo) -> pfs_pb2.BranchInfo:
    """Return the reply about a branch."""
    message = pfs_pb2.BranchInfo(
        branch=branch_message(info.repo, info.row.name),
        provenance=[branch_message(repo, name) for repo, name in info.provenance],
        subvenance=[branch_message(repo, name) for repo, name in info.subvenance],
        direct_provenance=[branch_message(repo, name) for repo, name, _ in info.direct_provenance],
        metadata=info.row.metadata,
        branch_propagation_specs=[
            pfs_pb2.BranchPropagationSpec(
                branch=branch_message(repo, name), propagation_spec=pfs_pb2.PropagationSpec(never=True)
            )
            for repo, name, never in info.direct_provenance
            if never
        ],
    )
    if info.head is not None:
        message.head.CopyFrom(commit_message(info.repo, info.head.set_id))
    if info.row.trigger:
        for field, value in spec_fields.write(trigger_rules.from_json(info.row.trigger).trigger).items():
            setattr(message.trigger, field, value)
    set_time(message.created_at, info.row.created_at)
    set_time(message.updated_at, info.row.updated_at)
    return message


def egress_target(request: pfs_pb2.EgressRequest) -> Egress:
    """Return the target of an egress."""
    if not request.HasField("sql_database"):
        return Egress(object_storage=ObjectStorageEgress(url=request.object_storage.url))
    target = request.sql_database
    kind = pfs_pb2.SqlDatabaseEgress.FileFormat.Type
    names = {value.number: value.name for value in kind.DESCRIPTOR.values}
    return Egress(
        sql_database=SqlDatabaseEgress(
            url=target.url,
            file_format=SqlFileFormat(
                type=names.get(target.file_format.type, "UNKNOWN"), columns=tuple(target.file_format.columns)
            ),
            secret=SqlSecret(name=target.secret.name, key=target.secret.key),
        )
    )
