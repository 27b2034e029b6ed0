"""When the work of a pipeline will come: the time that the jobs before it still take.

A stage is a running job with what its workers have left. A downstream pipeline's work comes when all stages
before it are done, so its workers can be asked for one start ahead of it. Pure: what is read from where is
``pps.lookahead``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A job that is not at its end."""

    #: Datums without a result.
    remaining: int
    #: Expected seconds to run one; None before anything is known, which counts as no time at all: workers that
    #: come too early cost a little, workers that come too late cost everybody a start.
    seconds_per_datum: float | None
    #: Workers that share the work: those that are there or asked for.
    workers: int
    #: Seconds until the first of them is ready.
    ready_in: float
    #: What must be done before.
    before: tuple[Stage, ...] = ()


def seconds_until_done(stage: Stage) -> float:
    """Return the seconds until a stage's output is there.

    >>> seconds_until_done(Stage(remaining=10, seconds_per_datum=2.0, workers=5, ready_in=50.0))
    54.0
    """
    begins = max([stage.ready_in, *(seconds_until_done(one) for one in stage.before)])
    return begins + stage.remaining * (stage.seconds_per_datum or 0.0) / max(1, stage.workers)
