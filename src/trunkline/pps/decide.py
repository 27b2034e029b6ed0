"""The next step of a pipeline: one pure function of what was read.

The controller reads the state, calls ``next_step``, takes the step, and repeats this until there is none.
A restart at any point changes nothing, because nothing is remembered between two steps. Jobs of one
pipeline are planned and settled one after the other, in the order of their commits, so that each builds on the one
before; ``look_ahead`` lets later ones begin (docs/design/jobs.md).
"""

from __future__ import annotations

from msgspec import Struct

from trunkline.model.states import JobState, PipelineState

#: Datums that wait for each worker before the jobs behind the oldest one are looked at.
WAITING_PER_WORKER = 2
#: Datums of a job whose settling takes long enough for workers to run out of others.
LONG_SETTLING = 1_000


class JobView(Struct, frozen=True, kw_only=True):
    """The oldest job of a pipeline that is not at its end."""

    id: int
    state: JobState
    #: Whether every commit that the job's inputs come from is finished.
    inputs_finished: bool
    #: Those of them that are finished with an error, as messages write them.
    failed_inputs: tuple[str, ...] = ()
    handed_in: int = 0
    todo_count: int = 0
    started: float | None = None
    #: Seconds from ``started``; None for no limit.
    timeout: float | None = None
    #: Whether it is a service's and a newer job could run: it has shown its inputs for long enough.
    superseded: bool = False
    #: Whether its files go elsewhere before it ends.
    has_egress: bool = False


class EndUnrunnable(Struct, frozen=True):
    """An input is bad: the job cannot run."""

    job_id: int
    reason: str


class Plan(Struct, frozen=True):
    """Plan which datums the job must run."""

    job_id: int


class Settle(Struct, frozen=True):
    """Every datum has a result: make the output commit and end the job."""

    job_id: int


class Egress(Struct, frozen=True):
    """Every datum has a result: begin to copy the files of the job to where its specification says."""

    job_id: int


class TimeOut(Struct, frozen=True):
    """The job took longer than it may."""

    job_id: int
    reason: str


class LookAgainAt(Struct, frozen=True):
    """Nothing to do before this time (seconds since the epoch) unless something changes."""

    at: float


class LookAhead(Struct, frozen=True):
    """Work out the early part of a job behind the oldest one."""

    job_id: int


class QueueView(Struct, frozen=True, kw_only=True):
    """The live jobs behind the oldest one."""

    #: The first of them whose early part is not known, if its inputs are finished without an error; None without one.
    next_id: int | None
    #: Datums of all live jobs that no worker has.
    waiting: int
    #: The most workers of the pipeline.
    workers: int


Step = EndUnrunnable | Plan | Settle | Egress | TimeOut | LookAgainAt


def next_step(job: JobView | None, now: float) -> Step | None:
    """Return what to do now, or None when only a change can give something to do."""
    if job is None or not job.inputs_finished:
        return None
    if job.failed_inputs and job.state in (JobState.CREATED, JobState.STARTING):
        return EndUnrunnable(
            job.id,
            "unrunnable because the following upstream commits failed: " + ", ".join(job.failed_inputs),
        )
    if job.state in (JobState.CREATED, JobState.STARTING):
        return Plan(job.id)
    complete = job.superseded or job.handed_in >= job.todo_count
    if job.state is JobState.RUNNING and complete and job.has_egress:
        return Egress(job.id)
    if job.state is JobState.FINISHING or (job.state is JobState.RUNNING and complete):
        return Settle(job.id)
    if job.timeout is not None and job.started is not None:
        end = job.started + job.timeout
        if now >= end:
            return TimeOut(
                job.id,
                f"job exceeded its timeout of {job.timeout:g} s; raise job_timeout or run more workers",
            )
        return LookAgainAt(end)
    return None


def look_ahead(job: JobView | None, queue: QueueView | None, step: Step | None) -> LookAhead | None:
    """Return which job behind the oldest one to look at now, so that the workers do not run out of datums.

    Args:
        job: the oldest live job.
        queue: what is behind it; None when nothing is.
        step: what is to be done for the oldest job. It comes first, unless it settles many datums, which takes long.
    """
    if job is None or queue is None or queue.next_id is None:
        return None
    if job.state not in (JobState.RUNNING, JobState.EGRESSING, JobState.FINISHING):
        return None  # what it changes is not known
    is_long = isinstance(step, Settle) and job.todo_count >= LONG_SETTLING
    if step is not None and not is_long and not isinstance(step, LookAgainAt):
        return None
    return LookAhead(queue.next_id) if queue.waiting < WAITING_PER_WORKER * queue.workers else None


def pipeline_state(
    *, failed: bool, stopped: bool, autoscaling: bool, working: bool, crash: str
) -> PipelineState:
    """Return the state that a pipeline shows.

    Args:
        failed: it was set to FAILURE, which only an update leaves.
        stopped: its user stopped it.
        autoscaling: as its specification says.
        working: a job of it is not at its end and could run.
        crash: why its workers do not stay up; empty when they do.
    """
    if failed:
        return PipelineState.FAILURE
    if stopped:
        return PipelineState.PAUSED
    if crash:
        return PipelineState.CRASHING
    if autoscaling and not working:
        return PipelineState.STANDBY
    return PipelineState.RUNNING
