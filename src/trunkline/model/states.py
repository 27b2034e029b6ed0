"""States of commits, jobs, pipelines, datums, claims and workers, and the legal transitions between stored states.

Values are the names of the Pachyderm API without their prefix, and what the database stores.
``docs/design/states.md`` defines each state. The ``move`` functions of ``meta`` check each change of a row against
the tables here. A commit's state follows from its columns, and a datum's from its results.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_State = TypeVar("_State", bound=StrEnum)


class CommitState(StrEnum):
    """The progress of a commit; each state includes the earlier ones. The order is that of the wire's numbers."""

    STARTED = "STARTED"
    READY = "READY"
    FINISHING = "FINISHING"
    FINISHED = "FINISHED"


class JobState(StrEnum):
    """The state of a job."""

    CREATED = "CREATED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    EGRESSING = "EGRESSING"
    FINISHING = "FINISHING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    KILLED = "KILLED"
    UNRUNNABLE = "UNRUNNABLE"


class PipelineState(StrEnum):
    """The state of a pipeline."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILURE = "FAILURE"
    PAUSED = "PAUSED"
    STANDBY = "STANDBY"
    CRASHING = "CRASHING"


class DatumState(StrEnum):
    """The result of a datum in a job."""

    UNKNOWN = "UNKNOWN"
    STARTING = "STARTING"
    SUCCESS = "SUCCESS"
    SKIPPED = "SKIPPED"
    RECOVERED = "RECOVERED"
    FAILED = "FAILED"


class ClaimState(StrEnum):
    """The state of a claim."""

    FREE = "free"
    CLAIMED = "claimed"
    DONE = "done"


class WorkerState(StrEnum):
    """The state of a worker, as the controller sees it. A worker that has ended has no row."""

    PENDING = "pending"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RETIRING = "retiring"
    LOST = "lost"
    GONE = "gone"


_J, _P, _CL, _W = JobState, PipelineState, ClaimState, WorkerState

_JOB_ENDS = frozenset({_J.FAILURE, _J.KILLED})
JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    _J.CREATED: frozenset({_J.STARTING, _J.UNRUNNABLE}) | _JOB_ENDS,
    _J.STARTING: frozenset({_J.RUNNING, _J.UNRUNNABLE}) | _JOB_ENDS,
    # Back to STARTING when the system failed, not the user's command.
    _J.RUNNING: frozenset({_J.EGRESSING, _J.FINISHING, _J.STARTING}) | _JOB_ENDS,
    _J.EGRESSING: frozenset({_J.FINISHING, _J.STARTING}) | _JOB_ENDS,
    # Back to STARTING when the base job was removed.
    _J.FINISHING: frozenset({_J.SUCCESS, _J.STARTING}) | _JOB_ENDS,
    _J.SUCCESS: frozenset(),
    _J.FAILURE: frozenset(),
    _J.KILLED: frozenset(),
    _J.UNRUNNABLE: frozenset(),
}

# An update restarts a pipeline from any state, a stop pauses it, a spec that cannot run fails it.
_PIPELINE_ALWAYS = frozenset({_P.STARTING, _P.RESTARTING, _P.PAUSED, _P.FAILURE})
_PIPELINE_LIVE = frozenset({_P.RUNNING, _P.STANDBY, _P.CRASHING})
PIPELINE_TRANSITIONS: Mapping[PipelineState, frozenset[PipelineState]] = {
    _P.STARTING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.STARTING},
    _P.RESTARTING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.RESTARTING},
    # Which of the three states a live pipeline has depends on its work, its workers and their crashes.
    _P.RUNNING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.RUNNING},
    _P.STANDBY: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.STANDBY},
    _P.CRASHING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.CRASHING},
    _P.PAUSED: _PIPELINE_ALWAYS - {_P.PAUSED},
    # Only a new version of the spec restarts a failed pipeline. Stopping it does not change its state.
    _P.FAILURE: frozenset({_P.RESTARTING}),
}

CLAIM_TRANSITIONS: Mapping[ClaimState, frozenset[ClaimState]] = {
    _CL.FREE: frozenset({_CL.CLAIMED}),
    _CL.CLAIMED: frozenset({_CL.DONE, _CL.FREE}),
    _CL.DONE: frozenset(),
}

WORKER_TRANSITIONS: Mapping[WorkerState, frozenset[WorkerState]] = {
    # A fleet may see the process only after the worker has reported that it is ready.
    _W.PENDING: frozenset({_W.STARTING, _W.IDLE, _W.RETIRING, _W.GONE}),
    _W.STARTING: frozenset({_W.PENDING, _W.IDLE, _W.RETIRING, _W.GONE}),
    _W.IDLE: frozenset({_W.BUSY, _W.RETIRING, _W.GONE}),
    # Lost when its lease expires: the process may exist but does not answer, so it is stopped and replaced.
    _W.BUSY: frozenset({_W.IDLE, _W.RETIRING, _W.LOST, _W.GONE}),
    _W.RETIRING: frozenset({_W.LOST, _W.GONE}),
    _W.LOST: frozenset({_W.GONE}),
    _W.GONE: frozenset(),
}

TERMINAL_JOB_STATES = frozenset(state for state, after in JOB_TRANSITIONS.items() if not after)

_TABLES: Mapping[type[StrEnum], Mapping[Any, frozenset[Any]]] = {
    JobState: JOB_TRANSITIONS,
    PipelineState: PIPELINE_TRANSITIONS,
    ClaimState: CLAIM_TRANSITIONS,
    WorkerState: WORKER_TRANSITIONS,
}


#: What each state means, in a sentence, for the reference.
MEANINGS: Mapping[type[StrEnum], Mapping[Any, str]] = {
    CommitState: {
        CommitState.STARTED: "Open: files can be written, or in an output commit its job has not run yet.",
        CommitState.READY: "Its input commits are finished, so that a job may run for it.",
        CommitState.FINISHING: "No more writes; its files are merged and checked.",
        CommitState.FINISHED: "It does not change any more. It may have an error.",
    },
    JobState: {
        _J.CREATED: "Waits for its input commits or for an earlier job of the pipeline.",
        _J.STARTING: "Its datums are compared with those of the last successful job.",
        _J.RUNNING: "Its datums run.",
        _J.EGRESSING: "Its output is copied to where `egress` says.",
        _J.FINISHING: "Its output commit is made.",
        _J.SUCCESS: "Every datum has a result, and the output commit is finished.",
        _J.FAILURE: "A datum failed, or the output could not be made. The reason says which.",
        _J.KILLED: "It was stopped, took longer than `job_timeout`, or its pipeline was stopped or updated.",
        _J.UNRUNNABLE: "An input commit has an error, so the job never ran.",
    },
    PipelineState: {
        _P.STARTING: "Created or started; the server has not looked at its work yet.",
        _P.RUNNING: "It has workers, or it asks for them.",
        _P.RESTARTING: "Updated; the server has not looked at its work yet.",
        _P.FAILURE: "It cannot run. The reason says why; only an update helps.",
        _P.PAUSED: "Stopped by `stop pipeline`.",
        _P.STANDBY: "With `autoscaling`: no job can run, so it needs no workers.",
        _P.CRASHING: "Its workers end or cannot start. The reason says why, and the server goes on trying.",
    },
    DatumState: {
        DatumState.UNKNOWN: "No worker runs it yet.",
        DatumState.STARTING: "A worker has claimed it.",
        DatumState.SUCCESS: "Its command ended with 0 or an accepted exit code.",
        DatumState.SKIPPED: "An earlier job has processed it with the same files; it did not run.",
        DatumState.RECOVERED: "Every attempt failed and `err_cmd` succeeded; the next job tries it again.",
        DatumState.FAILED: "Every attempt failed, and with it the job.",
    },
    ClaimState: {
        _CL.FREE: "Given back by a worker; another one takes it.",
        _CL.CLAIMED: "A worker processes its datums.",
        _CL.DONE: "Every datum of it has a result.",
    },
    WorkerState: {
        _W.PENDING: "Requested; it waits for memory, a machine or an image, and says for which.",
        _W.STARTING: "Its process exists and prepares itself.",
        _W.IDLE: "Ready, without work.",
        _W.BUSY: "It processes datums.",
        _W.RETIRING: "It gets no more work, reports what it has done, and ends.",
        _W.LOST: "It does not answer; it is stopped and replaced.",
        _W.GONE: "It has ended.",
    },
}


def check_transition(old: _State, new: _State, what: str, history: Callable[[], Iterable[str]]) -> None:
    """Check that ``what`` may change from ``old`` to ``new``. The same state is not a transition.

    Args:
        old: the present state.
        new: the next state.
        what: what changes, with its ids, for the message.
        history: earlier events, oldest first; called only for the message.

    Raises:
        FailedPrecondition: the transition is not legal; the message lists the legal ones and the history.
    """
    possible = _TABLES[type(old)][old]
    if new in possible or new == old:
        return
    only = " or ".join(sorted(possible)) or "nothing else"
    story = "; ".join(history()) or "none"
    raise FailedPrecondition(f"{what} is {old} and cannot become {new}, only {only}; history: {story}")
