"""The story of a job: the phases that it went through, from its creation to its end."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import commit_graph, jobs, repos, workers
from trunkline.model.states import JobState, WorkerState
from trunkline.pps import jobs as job_ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.meta.jobs import JobRow
    from trunkline.model.names import JobName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs


class PhaseKind(StrEnum):
    """What a job does or waits for."""

    WAITING_FOR_INPUT = "WAITING_FOR_INPUT"
    WAITING_FOR_EARLIER_JOB = "WAITING_FOR_EARLIER_JOB"
    PLANNING = "PLANNING"
    WAITING_FOR_WORKERS = "WAITING_FOR_WORKERS"
    RUNNING = "RUNNING"
    STRAGGLING = "STRAGGLING"
    SETTLING = "SETTLING"
    EGRESSING = "EGRESSING"


class Phase(Struct, frozen=True):
    """A part of a job's life."""

    kind: PhaseKind
    #: Seconds since the epoch.
    begin: float
    #: None while it lasts.
    end: float | None
    #: For people; empty when the kind says it all.
    sentence: str = ""


class Moments(Struct, frozen=True):
    """When what happened to a job, in seconds since the epoch; None for what has not happened."""

    created: float
    #: When its last input was finished.
    inputs: float | None
    #: When the job before it ended; its own creation without one.
    earlier: float | None
    started: float | None
    first_claim: float | None
    #: Of the last position; None while some are not claimed.
    last_claim: float | None
    last_result: float | None
    finished: float | None
    #: Whether any datum had to run, and whether every such datum has a result.
    has_todo: bool
    complete: bool
    #: Seconds that a datum has taken on average; 0 when that is not known.
    mean: float
    #: Whether its output goes elsewhere before it ends.
    has_egress: bool = False


class JobStory(Struct, frozen=True):
    """A job with its phases, the first one first."""

    job: JobRow
    phases: Sequence[Phase]
    #: Seconds since the epoch, when it was read.
    now: float


def job_story(read: ReadTransaction, name: JobName, specs: Specs) -> JobStory:
    """Return the story of a job, or raise NotFound.

    Args:
        read: the snapshot.
        name: the job.
        specs: cache of specifications.
    """
    conn = read.conn
    job = job_ops.find(conn, name)
    inputs = commit_graph.upstream(conn, job.commit_id)
    is_open = [row for row in inputs if row.finished is None]
    last_input = max((row.finished for row in inputs if row.finished is not None), default=job.created)
    before = jobs.page(conn, pipeline_id=job.pipeline_id, beyond=job.id, number=1)
    sentences: dict[PhaseKind, str] = {}
    if inputs:
        last = is_open[0] if is_open else max(inputs, key=lambda row: row.finished or 0.0)
        commit = f"{repos.repo_by_id(conn, last.repo_id)}@{last.set_id}"
        sentences[PhaseKind.WAITING_FOR_INPUT] = (
            f"commit {commit} is not finished" if is_open else f"the last input to finish was {commit}"
        )
    if before:
        sentences[PhaseKind.WAITING_FOR_EARLIER_JOB] = f"job {before[0].set_id} came before"
    if job.started is not None and job.finished is None and job.cursor == 0:
        sentences[PhaseKind.WAITING_FOR_WORKERS] = _workers(read, job)
    if job.started is not None:
        sentences[PhaseKind.RUNNING] = f"{job.handed_in:,} of {job.todo_count:,} datums have a result"
        sentences[PhaseKind.STRAGGLING] = (
            f"the last {job.todo_count - job.handed_in:,} datums run"
            if job.finished is None
            else "the last datums took longer than the mean"
        )
    has_egress = specs.of(conn, job.pipeline_id, job.version).egress is not None
    if job.state is JobState.EGRESSING and job.reason:
        sentences[PhaseKind.EGRESSING] = job.reason
    seconds = (job.download_ns + job.process_ns + job.upload_ns) / 1e9
    moments = Moments(
        created=job.created,
        inputs=None if is_open else last_input,
        earlier=before[0].finished if before else job.created,
        started=job.started,
        first_claim=job.first_claim,
        last_claim=job.last_claim if job.cursor >= job.todo_count else None,
        last_result=job.last_result,
        finished=job.finished,
        has_todo=job.todo_count > 0,
        complete=job.started is not None and job.handed_in >= job.todo_count,
        # A single datum is not behind others.
        mean=seconds / job.handed_in if job.handed_in and job.todo_count > 1 else 0.0,
        has_egress=has_egress,
    )
    return JobStory(job, phases(moments, sentences, read.now), read.now)


def phases(moments: Moments, sentences: dict[PhaseKind, str], now: float) -> list[Phase]:
    """Return the phases of a job. Pure.

    Args:
        moments: when what happened.
        sentences: what to say of a phase.
        now: seconds since the epoch.
    """
    story: list[Phase] = []
    begin = moments.created
    for kind, until in _bounds(moments, now):
        sentence = sentences.get(kind, "")
        end = until if until is not None else moments.finished
        if end is None:
            return [*story, Phase(kind, begin, None, sentence)]
        if moments.finished is not None:
            end = min(end, moments.finished)
        if end > begin:
            story.append(Phase(kind, begin, end, sentence))
            begin = end
    return story


def _bounds(moments: Moments, now: float) -> list[tuple[PhaseKind, float | None]]:
    """Return each phase with its end; None for the last one, which a job is in or was in when it ended."""
    if moments.inputs is None:
        return [(PhaseKind.WAITING_FOR_INPUT, None)]
    bounds: list[tuple[PhaseKind, float | None]] = [(PhaseKind.WAITING_FOR_INPUT, moments.inputs)]
    earlier = moments.earlier if moments.earlier is not None else moments.started
    bounds.append((PhaseKind.WAITING_FOR_EARLIER_JOB, earlier))
    if earlier is None:
        return bounds
    bounds.append((PhaseKind.PLANNING, moments.started))
    if moments.started is None:
        return bounds
    end = moments.last_result if moments.complete else None
    # Settling is a part of it: the output is made at its begin.
    last = PhaseKind.EGRESSING if moments.has_egress else PhaseKind.SETTLING
    if moments.first_claim is None:
        if not moments.complete:
            return [*bounds, (PhaseKind.WAITING_FOR_WORKERS, None)]
        if moments.has_todo:  # it ran before claims had times
            return [*bounds, (PhaseKind.RUNNING, None)]
        return [*bounds, (last, None)]
    bounds.append((PhaseKind.WAITING_FOR_WORKERS, moments.first_claim))
    straggling = moments.last_claim + moments.mean if moments.last_claim is not None else None
    if straggling is not None and moments.mean > 0 and straggling < (end if end is not None else now):
        bounds += [(PhaseKind.RUNNING, straggling), (PhaseKind.STRAGGLING, end)]
    else:
        bounds.append((PhaseKind.RUNNING, end))
    return [*bounds, (last, None)] if moments.complete else bounds


def _workers(read: ReadTransaction, job: JobRow) -> str:
    """Return what the workers of a job's pipeline are doing that has no claims yet."""
    staff = workers.of_pipeline(read.conn, job.pipeline_id)
    coming = [row for row in staff if row.state in (WorkerState.PENDING, WorkerState.STARTING)]
    reasons = sorted({row.reason for row in coming if row.reason})
    if not staff:
        return "no worker has been requested yet"
    return f"{len(coming)} of {len(staff)} workers are not ready" + "".join(
        f"; {reason}" for reason in reasons[:3]
    )
