"""Create, update, stop and start pipelines."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import branches, commits, pipelines, repos, spec_defaults
from trunkline.model import names, spec, spec_rules
from trunkline.model.spec_defaults import NONE as NO_DEFAULTS
from trunkline.model.spec_defaults import parse as parse_defaults
from trunkline.model.states import PipelineState
from trunkline.pfs import branches as branch_ops
from trunkline.pfs import repos as repo_ops
from trunkline.pfs import resolve
from trunkline.pps import cron_setup
from trunkline.pps import jobs as job_ops
from trunkline.pps.pipeline_events import record_pipeline
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.branches import BranchRow
    from trunkline.meta.pipelines import PipelineRow, VersionRow
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.pfs.writes import WriteTransaction


class Request(Struct, frozen=True):
    """A specification that was read and is valid."""

    project: str
    name: str
    spec: PipelineSpec
    user_json: str
    effective_json: str
    #: The defaults that it was read with, as ``meta.spec_defaults.layers`` returns them.
    defaults: tuple[str, str] = (NO_DEFAULTS, NO_DEFAULTS)


def read_request(
    user: Mapping[str, object], defaults: tuple[str, str] = (NO_DEFAULTS, NO_DEFAULTS)
) -> Request:
    """Complete and check a user's specification. Pure.

    Args:
        user: the specification.
        defaults: those of the cluster and of the project, as JSON text.

    Raises:
        InvalidArgument: something is wrong with it; the message says what and where.
        Unimplemented: it asks for something that is not built yet.
    """
    specification = spec_rules.load(user, *map(parse_defaults, defaults))
    missing = spec_rules.unsupported(specification)
    if missing:
        raise errors.Unimplemented("; ".join(missing))
    return Request(
        specification.project,
        specification.name,
        specification,
        json.dumps(user, ensure_ascii=False),
        _effective_json(specification),
        defaults,
    )


def _changed(request: Request, specification: PipelineSpec) -> Request:
    """Return a request with another specification."""
    return replace(request, spec=specification, effective_json=_effective_json(specification))


def _effective_json(specification: PipelineSpec) -> str:
    return json.dumps(spec.to_json(specification), ensure_ascii=False)


def create(write: WriteTransaction, request: Request, *, update: bool, reprocess: bool) -> int:
    """Create a pipeline, or with ``update`` a new version of one that exists. Returns its number.

    Args:
        write: transaction that the change belongs to.
        request: the pipeline to make.
        update: make a new version when the pipeline exists.
        reprocess: run every datum again, also those with results.

    Raises:
        AlreadyExists: it exists and ``update`` is not set, or a repo has its name.
        NotFound: the project or an input repo does not exist.
        InvalidArgument: its inputs would make a cycle.
        Aborted: the defaults of specifications have changed since the request was read.
    """
    conn = write.conn
    if spec_defaults.layers(conn, request.project) != request.defaults:
        raise errors.Aborted(
            f'the defaults of specs changed while pipeline "{request.name}" was created; try again'
        )
    existing = pipelines.find(conn, request.project, request.name)
    if existing is None:
        return _create_new(write, request)
    if not update:
        raise errors.AlreadyExists(
            f'pipeline "{request.name}" already exists; change it with update pipeline (the field update)'
        )
    new_version(write, existing, request, reprocess=reprocess)
    return existing.id


def stop(write: WriteTransaction, project: str, name: str) -> None:
    """Stop a pipeline: its jobs are killed, and new input creates none until it is started.

    Args:
        write: transaction that the change belongs to.
        project: name of the project.
        name: name of the pipeline.
    """
    row = find(write.conn, project, name)
    if row.stopped:
        return
    follow_nothing(write.conn, row)
    job_ops.stop_live_jobs(write, row.id, "pipeline was stopped")
    if (
        row.state is PipelineState.FAILURE
    ):  # stopping does not change a failed pipeline: its state and reason stay
        pipelines.change(write.conn, row.id, stopped=True, updated_at=write.now)
        row = replace(row, stopped=True)
    else:
        row = pipelines.move(write.conn, row, PipelineState.PAUSED, stopped=True, updated_at=write.now)
    record_pipeline(write, row)
    wake(write, row.id)


def start(write: WriteTransaction, project: str, name: str) -> None:
    """Start a stopped pipeline; it makes a job for its inputs as they are now.

    Args:
        write: transaction that the change belongs to.
        project: name of the project.
        name: name of the pipeline.

    Raises:
        FailedPrecondition: it has failed.
    """
    row = find(write.conn, project, name)
    if row.state is PipelineState.FAILURE:
        raise errors.FailedPrecondition(
            f'pipeline "{row}" has failed ({row.reason}) and cannot be started; update it'
        )
    if not row.stopped:
        return
    row = pipelines.move(write.conn, row, PipelineState.STARTING, stopped=False, updated_at=write.now)
    record_pipeline(write, row)
    version = pipelines.version(write.conn, row.id, row.version)
    _follow_inputs(write, row, spec.from_json(json.loads(version.effective_json)))
    wake(write, row.id)


def rerun(write: WriteTransaction, project: str, name: str, *, reprocess: bool) -> None:
    """Make a new version with the same effective specification; with ``reprocess`` every datum runs again.

    Args:
        write: transaction that the change belongs to.
        project: name of the project.
        name: name of the pipeline.
        reprocess: run every datum again, also those with results.
    """
    row = find(write.conn, project, name)
    old = pipelines.version(write.conn, row.id, row.version)
    specification = spec.from_json(json.loads(old.effective_json))
    request = Request(project, name, specification, old.user_json, old.effective_json)
    new_version(write, row, request, reprocess=reprocess)


def follow_nothing(conn: sa.Connection, row: PipelineRow) -> None:
    """Remove the provenance of a pipeline's branches, so that no commits are created on them."""
    branches.set_provenance(conn, row.output_branch_id, [])
    branches.set_provenance(conn, row.meta_branch_id, [])


def find(conn: sa.Connection, project: str, name: str) -> PipelineRow:
    """Return the pipeline.

    Args:
        conn: connection of the transaction.
        project: name of the project.
        name: name of the pipeline.

    Raises:
        NotFound: it does not exist.
    """
    row = pipelines.find(conn, project, name)
    if row is None:
        raise errors.NotFound(f'pipeline "{project}/{name}" not found')
    return row


def version_back(conn: sa.Connection, row: PipelineRow, steps: int) -> VersionRow:
    """Return the version that many steps before the current one.

    Args:
        conn: connection of the transaction.
        row: the pipeline.
        steps: how many versions to go back.

    Raises:
        NotFound: the pipeline has fewer versions.
    """
    if row.version - steps < 1:
        raise errors.NotFound(
            f'pipeline "{row}" not found {steps} versions back: it has {row.version} versions'
        )
    return pipelines.version(conn, row.id, row.version - steps)


def _create_new(write: WriteTransaction, request: Request) -> int:
    conn = write.conn
    request = _changed(request, cron_setup.started_new(request.spec, write.now))
    project = resolve.project(conn, request.project)
    if repos.find_repo(conn, request.project, request.name, names.USER) is not None:
        raise errors.AlreadyExists(
            f'pipeline "{request.name}" cannot be created: a repo with that name already exists in project'
            f' "{request.project}"; choose another name or delete the repo'
        )
    cron_setup.make_repos(write, request.spec)
    _check_inputs(conn, request.spec)
    output = names.RepoName(request.project, request.name, names.USER)
    own = [
        repo_ops.create_repo(
            write, replace(output, type=kind), f"{what} repo for pipeline {output.project}/{output.name}.",
            update=False,
        )
        for kind, what in ((names.USER, "Output"), (names.SPEC, "Spec"), (names.META, "Meta"))
    ]  # fmt: skip
    output_repo, spec_repo, meta_repo = own
    spec_branch = branches.add(conn, spec_repo.id, "master", write.now)
    _spec_commit(write, spec_branch)
    output_branch = branches.add(conn, output_repo.id, request.spec.output_branch, write.now)
    meta_branch = branches.add(conn, meta_repo.id, request.spec.output_branch, write.now)
    number = pipelines.add(
        conn,
        project_id=project.id,
        name=request.name,
        output_branch_id=output_branch.id,
        spec_branch_id=spec_branch.id,
        meta_branch_id=meta_branch.id,
        now=write.now,
    )
    _add_version(write, number, 1, request, request.spec.salt or new_salt())
    row = pipelines.by_id(conn, number)
    assert row is not None
    record_pipeline(write, row)
    _follow_inputs(write, row, request.spec)
    if request.spec.spout is not None:
        _empty_commit(write, output_branch, spec_branch)
    wake(write, number)
    return number


def new_version(write: WriteTransaction, row: PipelineRow, request: Request, *, reprocess: bool) -> None:
    """Make a new version of a pipeline.

    Args:
        write: the transaction.
        row: the pipeline.
        request: its new specification.
        reprocess: run every datum again, also those with results.
    """
    conn = write.conn
    old = pipelines.version(conn, row.id, row.version)
    old_spec = spec.from_json(json.loads(old.effective_json))
    request = _changed(request, cron_setup.started_again(request.spec, old_spec, write.now))
    cron_setup.make_repos(write, request.spec)
    _check_inputs(conn, request.spec)
    salt = request.spec.salt or (new_salt() if reprocess else old.salt)
    job_ops.stop_live_jobs(write, row.id, "all jobs killed because pipeline was updated")
    row = pipelines.move(
        conn, row, PipelineState.RESTARTING, version=row.version + 1, stopped=False, updated_at=write.now
    )
    record_pipeline(write, row)
    _add_version(write, row.id, row.version, request, salt)
    output = branches.by_id(conn, row.output_branch_id)
    if output.name != request.spec.output_branch:
        follow_nothing(conn, row)
        meta = branches.by_id(conn, row.meta_branch_id)
        moved = {
            "output_branch_id": _branch(write, output.repo_id, request.spec.output_branch),
            "meta_branch_id": _branch(write, meta.repo_id, request.spec.output_branch),
        }
        pipelines.change(conn, row.id, **moved)
        row = replace(row, **moved)
    _spec_commit(write, branches.by_id(conn, row.spec_branch_id))
    _follow_inputs(write, row, request.spec)
    wake(write, row.id)


def _branch(write: WriteTransaction, repo_id: int, name: str) -> int:
    """Return the number of a branch, made when it is missing."""
    row = branches.find(write.conn, repo_id, name) or branches.add(write.conn, repo_id, name, write.now)
    return row.id


def _add_version(write: WriteTransaction, pipeline_id: int, number: int, request: Request, salt: str) -> None:
    row = pipelines.VersionRow(
        pipeline_id, number, request.user_json, request.effective_json, salt, write.set_id, write.now
    )
    pipelines.add_version(write.conn, row)


def _empty_commit(write: WriteTransaction, branch: BranchRow, spec_branch: BranchRow) -> None:
    """Give the output branch of a new spout a head, so that it can be read before the first commit of the spout."""
    version = branches.by_id(write.conn, spec_branch.id).head_id
    _finished_commit(write, branch, "AUTO", [version] if version is not None else [])


def _spec_commit(write: WriteTransaction, branch: BranchRow) -> None:
    """Move the spec branch to a new empty commit, which stands for the version in provenance."""
    _finished_commit(write, branch, "USER")


def _finished_commit(
    write: WriteTransaction, branch: BranchRow, origin: str, provenance: Sequence[int] = ()
) -> None:
    """Move a branch to a new commit without changes.

    Args:
        write: transaction that the change belongs to.
        branch: the branch.
        origin: why the commit exists, as the API calls it.
        provenance: row numbers of the commits that it depends on directly.
    """
    conn = write.conn
    write.check_first_commit(repos.repo_by_id(conn, branch.repo_id))
    commit = commits.add(
        conn,
        set_id=write.set_id,
        repo_id=branch.repo_id,
        branch_name=branch.name,
        parent_id=branch.head_id,
        origin=origin,
        description="",
        started=write.now,
        provenance=provenance,
    )
    finished = commits.finish(conn, commit, tree=EMPTY, size=0, error="", description="", at=write.now)
    branches.move(conn, branch.id, commit.id, write.now)
    write.moved[branch.id] = None
    write.created.append(finished)


def _follow_inputs(write: WriteTransaction, row: PipelineRow, specification: PipelineSpec) -> None:
    """Give the output and the meta branch their provenance, and with it a new commit each and a job.

    A pipeline without an input follows its own specification alone, which makes no commits.
    """
    conn = write.conn
    followers = (row.output_branch_id, row.meta_branch_id)
    if specification.input is None:
        for number in followers:
            branches.set_provenance(conn, number, [(row.spec_branch_id, False)])
        return
    upstream: dict[branch_ops.BranchName, bool] = {}
    for leaf in specification.input.files():
        name = branch_ops.BranchName(_repo_of(leaf), leaf.branch)
        if leaf.trigger is not None:
            branch_ops.create_branch(write, name, trigger=leaf.trigger)
        never = leaf.propagation_spec is not None and leaf.propagation_spec.never
        upstream[name] = upstream.get(name, True) and never
    upstream[_name_of(conn, row.spec_branch_id)] = False
    provenance = [branch_ops.Upstream(name, never) for name, never in upstream.items()]
    for number in followers:
        branch_ops.create_branch(write, _name_of(conn, number), provenance=provenance)


def _name_of(conn: sa.Connection, branch_id: int) -> branch_ops.BranchName:
    row = branches.by_id(conn, branch_id)
    repo = repos.repo_by_id(conn, row.repo_id)
    return branch_ops.BranchName(names.RepoName(repo.project, repo.name, repo.type), row.name)


def _check_inputs(conn: sa.Connection, specification: PipelineSpec) -> None:
    """Check that every input repo exists, and every commit that an input names."""
    for leaf in specification.input.files() if specification.input is not None else ():
        resolve.repo(conn, _repo_of(leaf))
        if leaf.commit:
            row = resolve.commit(conn, names.CommitName(_repo_of(leaf), leaf.commit))
            if row.finished is None:
                raise errors.FailedPrecondition(
                    f'commit {resolve.text(conn, row)}, which input "{leaf.name}" names, is not finished; finish it'
                )


def _repo_of(leaf: PfsInput) -> names.RepoName:
    return names.RepoName(leaf.project, leaf.repo, leaf.repo_type)


def new_salt() -> str:
    """Return a salt that no pipeline had before."""
    return secrets.token_hex(16)


def wake(write: WriteTransaction, pipeline_id: int) -> None:
    """Wake whoever waits for a change of a pipeline."""
    write.tx.wake("pipelines", f"pipeline:{pipeline_id}", "pipeline states", f"work:{pipeline_id}")
