"""What a pipeline does, or why it does nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import branches, commit_graph, commits, jobs, pipelines, repos, workers
from trunkline.model.names import USER
from trunkline.model.schedules import parse_schedule, text_of
from trunkline.model.spec import cron_inputs
from trunkline.model.states import JobState, PipelineState, WorkerState
from trunkline.pfs import trigger_progress
from trunkline.pps.pipelines import find
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.names import PipelineName
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs


class CauseKind(StrEnum):
    """Why a pipeline is as it is; docs/design/explain.md describes each."""

    STOPPED = "STOPPED"
    FAILED = "FAILED"
    CRASHING = "CRASHING"
    WAITING_FOR_WORKERS = "WAITING_FOR_WORKERS"
    WORKING = "WORKING"
    INPUT_OPEN = "INPUT_OPEN"
    NO_FILES = "NO_FILES"
    TRIGGER = "TRIGGER"
    CRON = "CRON"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    JOB_FAILED = "JOB_FAILED"
    NO_MATCH = "NO_MATCH"
    IDLE = "IDLE"


class StateCause(Struct, frozen=True):
    """One reason for what a pipeline does or does not do."""

    kind: CauseKind
    #: For people.
    sentence: str
    #: The input branch that it is about, as project/repo@branch; empty for none.
    branch: str = ""
    job_id: str = ""
    #: When the next tick of a cron comes, in seconds since the epoch.
    at: float | None = None


class StateExplanation(Struct, frozen=True):
    """A pipeline with the causes of its state, the most important first."""

    pipeline: PipelineRow
    causes: Sequence[StateCause]


def explain_state(read: ReadTransaction, specs: Specs, name: PipelineName) -> StateExplanation:
    """Return what a pipeline does, or why it does nothing.

    Args:
        read: the snapshot.
        specs: the parsed specifications.
        name: the pipeline.

    Raises:
        NotFound: there is no such pipeline.
    """
    conn = read.conn
    row = find(conn, name.project, name.name)
    if row.state is PipelineState.FAILURE:
        sentence = f"it cannot run: {row.reason}; update the pipeline with a spec that can"
        return StateExplanation(row, [StateCause(CauseKind.FAILED, sentence)])
    if row.stopped:
        sentence = "it is stopped; start pipeline lets it go on"
        return StateExplanation(row, [StateCause(CauseKind.STOPPED, sentence)])
    spec = specs.of(conn, row.id, row.version)
    causes = []
    if row.state is PipelineState.CRASHING:
        causes.append(StateCause(CauseKind.CRASHING, f"its workers do not stay up: {row.reason}"))
    live = jobs.live(conn, row.id)
    if live:
        causes += _working(conn, row, live)
    else:
        causes += _inputs(conn, spec, read.now)
        causes += _newest(conn, row, waits=bool(causes))
    if not causes:
        sentence = "all commits of its inputs are processed; it waits for the next one"
        newest = jobs.newest(conn, row.id)
        causes.append(
            StateCause(CauseKind.IDLE, sentence, job_id=newest.set_id if newest is not None else "")
        )
    return StateExplanation(row, causes)


def _working(conn: sa.Connection, row: PipelineRow, live: Sequence[JobRow]) -> Iterator[StateCause]:
    """Yield what the oldest live job does, or waits for."""
    job = live[0]
    behind = f"; {len(live) - 1:,} more jobs wait behind it" if len(live) > 1 else ""
    is_open = [commit for commit in commit_graph.upstream(conn, job.commit_id) if commit.finished is None]
    if job.state is JobState.CREATED and is_open:
        for commit in is_open:
            yield _open_input(conn, job, commit)
        return
    if job.state is JobState.RUNNING and job.handed_in < job.todo_count:
        staff = workers.of_pipeline(conn, row.id)
        coming = [worker for worker in staff if worker.state in (WorkerState.PENDING, WorkerState.STARTING)]
        if len(coming) == len(staff):
            reasons = sorted({worker.reason for worker in coming if worker.reason})
            waiting = "; ".join(reasons[:3]) or row.reason or "none is ready yet"
            sentence = (
                f"job {job.set_id} has {job.todo_count - job.handed_in:,} datums to run and waits for workers"
                f" ({len(coming)} requested): {waiting}{behind}"
            )
            yield StateCause(CauseKind.WAITING_FOR_WORKERS, sentence, job_id=job.set_id)
            return
        sentence = (
            f"job {job.set_id} runs: {job.handed_in:,} of {job.todo_count:,} datums have a result{behind}"
        )
    elif job.state in (JobState.CREATED, JobState.STARTING):
        sentence = f"job {job.set_id} is planned{behind}"
    elif job.state is JobState.EGRESSING:
        sentence = f"job {job.set_id} copies its output to where the egress of the spec says{behind}"
    else:
        sentence = f"job {job.set_id} has run all its datums, and its output is made{behind}"
    yield StateCause(CauseKind.WORKING, sentence, job_id=job.set_id)


def _open_input(conn: sa.Connection, job: JobRow, commit: CommitRow) -> StateCause:
    """Return why an input commit is not finished."""
    name = f"{repos.repo_by_id(conn, commit.repo_id)}@{commit.set_id}"
    upstream = jobs.by_commit(conn, commit.id)
    owner = pipelines.by_id(conn, upstream.pipeline_id) if upstream is not None else None
    if owner is not None and upstream is not None:
        done = (
            f", {upstream.handed_in:,} of {upstream.todo_count:,} datums" if upstream.todo is not None else ""
        )
        doing = f"pipeline {owner} works at it (job {upstream.state.lower()}{done}); explain pipeline {owner} says more"
    else:
        doing = "a client has started it and not finished it; finish commit ends it"
    sentence = f"job {job.set_id} waits for input commit {name}: {doing}"
    branch = f"{repos.repo_by_id(conn, commit.repo_id)}@{commit.branch_name}"
    return StateCause(CauseKind.INPUT_OPEN, sentence, branch, job.set_id)


def _inputs(conn: sa.Connection, spec: PipelineSpec, now: float) -> Iterator[StateCause]:
    """Yield what the input branches wait for."""
    for cron in cron_inputs(spec):
        due = parse_schedule(cron.spec, "the schedule").after(now)
        when = f"comes at {text_of(due)}" if due is not None else "never comes; run cron makes one"
        yield StateCause(CauseKind.CRON, f'the next tick of cron input "{cron.name}" {when}', at=due)
    if spec.input is None:
        return
    ticking = {(cron.project, cron.repo) for cron in cron_inputs(spec)}
    seen: set[str] = set()
    for leaf in spec.input.files():
        branch = f"{leaf.project}/{leaf.repo}{'' if leaf.repo_type == USER else '.' + leaf.repo_type}@{leaf.branch}"
        if leaf.commit or branch in seen or (leaf.project, leaf.repo) in ticking:
            continue
        seen.add(branch)
        yield from _input(conn, leaf, branch, now)


def _input(conn: sa.Connection, leaf: PfsInput, name: str, now: float) -> Iterator[StateCause]:
    """Yield what an input branch waits for."""
    repo = repos.find_repo(conn, leaf.project, leaf.repo, leaf.repo_type)
    row = branches.find(conn, repo.id, leaf.branch) if repo is not None else None
    if row is not None and row.trigger:
        figures = trigger_progress.progress(conn, row, now)
        sentence = f"the trigger of input branch {name} has not fired: {figures}"
        yield StateCause(CauseKind.TRIGGER, sentence, name)
        return
    head = commits.find_by_id(conn, row.head_id) if row is not None and row.head_id is not None else None
    if head is None or (head.tree == EMPTY and not head.error):
        yield StateCause(CauseKind.NO_FILES, f"input branch {name} has no files; put some into it", name)


def _newest(conn: sa.Connection, row: PipelineRow, *, waits: bool) -> Iterator[StateCause]:
    """Yield what is noteworthy of the newest job, which has ended.

    Args:
        conn: connection of the transaction.
        row: the pipeline.
        waits: whether it waits for its input, which then says why there were no datums.
    """
    job = jobs.newest(conn, row.id)
    if job is None:
        return
    if job.state is JobState.UNRUNNABLE:
        kind, sentence = CauseKind.UPSTREAM_FAILED, f"its newest job {job.set_id} could not run: {job.reason}"
    elif job.state in (JobState.FAILURE, JobState.KILLED):
        kind = CauseKind.JOB_FAILED
        sentence = f"its newest job {job.set_id} ended in {job.state.lower()}: {job.reason}"
    elif job.total == 0 and not waits:
        kind = CauseKind.NO_MATCH
        sentence = (
            f"its newest job {job.set_id} had no datums: the globs of the input match no file;"
            " list datum -f SPEC tries others"
        )
    else:
        return
    yield StateCause(kind, sentence, job_id=job.set_id)
