"""States of commits, jobs, pipelines and datums, and the moves between them that are legal.

Values are the wire's names without their prefix, so that one rule maps them at the door; they are also
what the database keeps. What each state means is told in ``docs/design/states.md``. The tables are data:
deciding when to move is the business of the machines that use them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.errors import CommitFinished, FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Mapping

_State = TypeVar("_State", bound=StrEnum)


class CommitState(StrEnum):
    """How far a commit is; each state includes the earlier ones. The order is that of the wire's numbers."""

    STARTED = "STARTED"
    READY = "READY"
    FINISHING = "FINISHING"
    FINISHED = "FINISHED"


class JobState(StrEnum):
    """Where a job stands."""

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
    """Where a pipeline stands."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILURE = "FAILURE"
    PAUSED = "PAUSED"
    STANDBY = "STANDBY"
    CRASHING = "CRASHING"


class DatumState(StrEnum):
    """What became of a datum in a job."""

    UNKNOWN = "UNKNOWN"
    STARTING = "STARTING"
    SUCCESS = "SUCCESS"
    SKIPPED = "SKIPPED"
    RECOVERED = "RECOVERED"
    FAILED = "FAILED"


class ClaimState(StrEnum):
    """Where a run of datums stands."""

    FREE = "free"
    CLAIMED = "claimed"
    DONE = "done"


class WorkerState(StrEnum):
    """Where a worker stands, as the controller sees it. A worker that is gone has no row."""

    PENDING = "pending"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RETIRING = "retiring"
    LOST = "lost"
    GONE = "gone"


_C, _J, _P, _D, _CL, _W = CommitState, JobState, PipelineState, DatumState, ClaimState, WorkerState

COMMIT_TRANSITIONS: Mapping[CommitState, frozenset[CommitState]] = {
    _C.STARTED: frozenset({_C.READY, _C.FINISHED}),
    _C.READY: frozenset({_C.FINISHING, _C.FINISHED}),
    _C.FINISHING: frozenset({_C.FINISHED}),
    _C.FINISHED: frozenset(),
}

_JOB_ENDS = frozenset({_J.FAILURE, _J.KILLED})
JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    _J.CREATED: frozenset({_J.STARTING, _J.UNRUNNABLE}) | _JOB_ENDS,
    _J.STARTING: frozenset({_J.RUNNING, _J.UNRUNNABLE}) | _JOB_ENDS,
    # Back to STARTING when the machinery, not the user's command, failed.
    _J.RUNNING: frozenset({_J.EGRESSING, _J.FINISHING, _J.STARTING}) | _JOB_ENDS,
    _J.EGRESSING: frozenset({_J.FINISHING, _J.STARTING}) | _JOB_ENDS,
    # Back to STARTING when the job that it builds on was removed.
    _J.FINISHING: frozenset({_J.SUCCESS, _J.STARTING}) | _JOB_ENDS,
    _J.SUCCESS: frozenset(),
    _J.FAILURE: frozenset(),
    _J.KILLED: frozenset(),
    _J.UNRUNNABLE: frozenset(),
}

# An update restarts a pipeline from anywhere, a stop pauses it, a spec that cannot run fails it.
_PIPELINE_ALWAYS = frozenset({_P.STARTING, _P.RESTARTING, _P.PAUSED, _P.FAILURE})
_PIPELINE_LIVE = frozenset({_P.RUNNING, _P.STANDBY, _P.CRASHING})
PIPELINE_TRANSITIONS: Mapping[PipelineState, frozenset[PipelineState]] = {
    _P.STARTING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.STARTING},
    _P.RESTARTING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.RESTARTING},
    # Which of the three a live pipeline shows follows from what is there: work, workers, their deaths.
    _P.RUNNING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.RUNNING},
    _P.STANDBY: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.STANDBY},
    _P.CRASHING: (_PIPELINE_ALWAYS | _PIPELINE_LIVE) - {_P.CRASHING},
    _P.PAUSED: _PIPELINE_ALWAYS - {_P.PAUSED},
    # Only a new version of the spec mends a failed pipeline.
    _P.FAILURE: frozenset({_P.STARTING, _P.RESTARTING}),
}

DATUM_TRANSITIONS: Mapping[DatumState, frozenset[DatumState]] = {
    _D.UNKNOWN: frozenset({_D.STARTING, _D.SKIPPED}),
    # Back to UNKNOWN when the worker's claim is lost.
    _D.STARTING: frozenset({_D.SUCCESS, _D.RECOVERED, _D.FAILED, _D.UNKNOWN}),
    _D.SUCCESS: frozenset(),
    _D.SKIPPED: frozenset(),
    _D.RECOVERED: frozenset(),
    _D.FAILED: frozenset(),
}

CLAIM_TRANSITIONS: Mapping[ClaimState, frozenset[ClaimState]] = {
    _CL.FREE: frozenset({_CL.CLAIMED}),
    _CL.CLAIMED: frozenset({_CL.DONE, _CL.FREE}),
    _CL.DONE: frozenset(),
}

WORKER_TRANSITIONS: Mapping[WorkerState, frozenset[WorkerState]] = {
    # A fleet may see the process only after the worker has said that it is ready.
    _W.PENDING: frozenset({_W.STARTING, _W.IDLE, _W.RETIRING, _W.GONE}),
    _W.STARTING: frozenset({_W.PENDING, _W.IDLE, _W.RETIRING, _W.GONE}),
    _W.IDLE: frozenset({_W.BUSY, _W.RETIRING, _W.GONE}),
    # Lost when its lease ran out: the process may exist but does not answer, so it is stopped and replaced.
    _W.BUSY: frozenset({_W.IDLE, _W.RETIRING, _W.LOST, _W.GONE}),
    _W.RETIRING: frozenset({_W.LOST, _W.GONE}),
    _W.LOST: frozenset({_W.GONE}),
    _W.GONE: frozenset(),
}

TERMINAL_JOB_STATES = frozenset(state for state, after in JOB_TRANSITIONS.items() if not after)
TERMINAL_DATUM_STATES = frozenset(state for state, after in DATUM_TRANSITIONS.items() if not after)

_TABLES: Mapping[type[StrEnum], Mapping[Any, frozenset[Any]]] = {
    CommitState: COMMIT_TRANSITIONS,
    JobState: JOB_TRANSITIONS,
    PipelineState: PIPELINE_TRANSITIONS,
    DatumState: DATUM_TRANSITIONS,
    ClaimState: CLAIM_TRANSITIONS,
    WorkerState: WORKER_TRANSITIONS,
}


def check_transition(old: _State, new: _State, what: str) -> None:
    """Check that ``what`` may go from ``old`` to ``new``. Staying where it is is no move.

    Args:
        old: where it is.
        new: where it shall go.
        what: it and its name for the message, such as ``job default/edges@<id>``.

    Raises:
        CommitFinished: a finished commit; ``commit C has already finished``.
        FailedPrecondition: the move is not legal; ``job J has already finished`` for an ended job.
    """
    possible = _TABLES[type(old)][old]
    if new in possible:
        return
    if old is CommitState.FINISHED:
        raise CommitFinished(f"{what} has already finished")
    if old in TERMINAL_JOB_STATES and isinstance(old, JobState):
        raise FailedPrecondition(f"{what} has already finished: it is {old}")
    if old is PipelineState.FAILURE:
        raise FailedPrecondition(f"{what} has failed and cannot become {new}; update its spec first")
    only = " or ".join(sorted(possible)) or "nothing else"
    raise FailedPrecondition(f"{what} is {old} and cannot become {new}, only {only}; read its state again")
