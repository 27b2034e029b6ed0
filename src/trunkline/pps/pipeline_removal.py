"""Remove pipelines with their jobs, logs, workers and repos."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import branches, jobs, logs, pipelines, repos, spec_defaults, workers
from trunkline.model import names, spec
from trunkline.model.spec_defaults import NONE as NO_DEFAULTS
from trunkline.pfs import repos as repo_ops
from trunkline.pfs import resolve
from trunkline.pps import cron_setup
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.pipeline_events import record_pipeline
from trunkline.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.repos import RepoRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction


def delete(write: WriteTransaction, project: str, name: str, *, force: bool, keep_repo: bool) -> None:
    """Remove a pipeline with its jobs, logs, workers and repos. The controller ends the workers' processes.

    Args:
        write: the transaction.
        project: the pipeline's project.
        name: the pipeline.
        force: also when other branches depend on its output.
        keep_repo: leave its output repo.

    Raises:
        NotFound: there is no such pipeline.
        FailedPrecondition: other branches depend on its output.
    """
    row = pipeline_ops.find(write.conn, project, name)
    conn = write.conn
    own = _repos_of(conn, row)
    _check_dependents(conn, own, force=force, keep_repo=keep_repo)
    job_ops.stop_live_jobs(write, row.id, "pipeline was deleted")
    pipeline_ops.follow_nothing(conn, row)
    while _remove_jobs_once(write, row.id):
        pass
    while logs.remove_oldest(conn, row.id, repo_ops.SLICE):
        pass
    workers.remove_of_pipeline(conn, row.id)
    workers.forget_pipeline(conn, row.id)
    pipelines.remove(conn, row.id)
    repo_ops.remove_repo(write, own.meta)
    if not keep_repo:
        repo_ops.remove_repo(write, own.output)
    repo_ops.remove_repo(write, own.spec)
    for repo in own.crons:  # nobody else writes to them, so they go even when the output is kept
        repo_ops.remove_repo(write, repo)
    record_pipeline(write, row, deleted=True)
    pipeline_ops.wake(write, row.id)
    write.tx.wake("workers")
    write.tx.after_commit(functools.partial(events.pipeline_deleted, row.full_name))


def delete_all(
    versions: VersionedStore, projects: Sequence[str], *, force: bool, keep_repo: bool
) -> list[PipelineRow]:
    """Remove the pipelines of projects, the most downstream first. Blocks; one transaction for each.

    Args:
        versions: the store.
        projects: whose pipelines; all when empty.
        force: also when branches that stay depend on an output.
        keep_repo: leave their output repos.

    Returns:
        What was removed.

    Raises:
        FailedPrecondition: a branch that stays depends on an output; pipelines before it are removed.
    """
    rows = versions.read(pipelines.list_all, list(projects))
    for row in rows:
        delete_in_slices(versions, row.project, row.name, force=force, keep_repo=keep_repo)
    return rows


def delete_everything(versions: VersionedStore) -> None:
    """Remove all pipelines, repos and projects. Blocks."""
    delete_all(versions, [], force=True, keep_repo=False)
    repo_ops.shorten(versions, functools.partial(repo_ops.of_projects, projects=[]), force=True)
    versions.write(repo_ops.delete_all)
    versions.write(_reset_defaults)


def _reset_defaults(write: WriteTransaction) -> None:
    spec_defaults.set_of_cluster(write.conn, NO_DEFAULTS)
    project = resolve.project(write.conn, names.DEFAULT_PROJECT)
    spec_defaults.set_of_project(write.conn, project.id, NO_DEFAULTS, write.now)


def delete_in_slices(
    versions: VersionedStore, project: str, name: str, *, force: bool, keep_repo: bool
) -> None:
    """Remove a pipeline as ``delete`` does, in transactions of bounded length. Blocks.

    A pipeline with a long history is stopped, then its oldest jobs, logs and commits are removed, slice by slice; the
    last transaction removes it with the rest.

    Args:
        versions: the store.
        project: the pipeline's project.
        name: name of the pipeline.
        force: as for ``delete``.
        keep_repo: as for ``delete``.

    Raises:
        NotFound: there is no such pipeline.
        FailedPrecondition: others depend on its repo; nothing was removed then.
    """

    def step(write: WriteTransaction) -> bool:
        conn = write.conn
        row = pipeline_ops.find(conn, project, name)
        own = _repos_of(conn, row)
        _check_dependents(conn, own, force=force, keep_repo=keep_repo)
        if jobs.count_up_to(conn, row.id, repo_ops.SLICE) < repo_ops.SLICE and not logs.more_than(
            conn, row.id, repo_ops.SLICE
        ):
            # Few jobs and logs: only commits may be many, and those of the output stay if its repo stays.
            doomed = [own.meta, *own.crons] if keep_repo else [own.meta, own.output, *own.crons]
            return any(repo_ops.shorten_once(write, repo.id) for repo in doomed)
        if not row.stopped:
            pipeline_ops.stop(write, project, name)
            return True
        return bool(
            _remove_jobs_once(write, row.id)
            or logs.remove_oldest(conn, row.id, repo_ops.SLICE)
            or repo_ops.shorten_once(write, own.spec.id)
        )

    while versions.write(step):
        pass
    versions.write(delete, project, name, force=force, keep_repo=keep_repo)


def _remove_jobs_once(write: WriteTransaction, pipeline_id: int) -> bool:
    """Remove the oldest jobs of a pipeline; whether there were any."""
    page = jobs.page(write.conn, pipeline_id=pipeline_id, oldest_first=True, number=repo_ops.SLICE)
    jobs.remove(write.conn, [job.id for job in page])
    for job in page:
        job_ops.wake_job(write, job)
    return bool(page)


class _Repos(Struct, frozen=True):
    """The repos of a pipeline."""

    output: RepoRow
    spec: RepoRow
    meta: RepoRow
    #: Those of its cron inputs, without repos that the specification names itself.
    crons: Sequence[RepoRow]


def _repos_of(conn: sa.Connection, row: PipelineRow) -> _Repos:
    heads = (row.output_branch_id, row.spec_branch_id, row.meta_branch_id)
    output, own, meta = (repos.repo_by_id(conn, branches.by_id(conn, number).repo_id) for number in heads)
    version = pipelines.version(conn, row.id, row.version)
    crons = cron_setup.own_repos(conn, spec.from_json(json.loads(version.effective_json)))
    return _Repos(output, own, meta, crons)


def _check_dependents(conn: sa.Connection, own: _Repos, *, force: bool, keep_repo: bool) -> None:
    """Check that no branch depends on the repos that are removed with a pipeline, as ``repos.check_dependents``."""
    for repo in (own.meta,) if keep_repo else (own.output, own.meta):
        repo_ops.check_dependents(conn, repo, force=force)
    for repo in own.crons:
        repo_ops.check_dependents(conn, repo, force=force, doomed={own.output.id, own.meta.id})
