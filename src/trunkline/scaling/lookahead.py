"""When the work of a pipeline will come, and how much: the time that the jobs before it still take.

A stage is a job that has not ended, with what its workers have left. A downstream pipeline's work comes when all
stages before it are done, so its workers can be requested one start ahead of it. Pure:
``pps.autoscaling.lookahead`` reads the stages. Each stage is visited once, in an order in which every stage comes
after those before it.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stage(Struct, frozen=True, kw_only=True):
    """A job that has not ended."""

    #: Datums without a result; None when they are not counted yet, because the jobs before it still run.
    remaining: int | None
    #: Expected seconds to run one; None before anything is known, which counts as no time at all: workers that come
    #: too early cost a little, workers that come too late delay every job behind them by a start.
    seconds_per_datum: float | None
    #: Workers that share the work: those that exist or may be requested.
    workers: int
    #: Seconds until the first of them is ready.
    ready_in: float
    #: The stages that must be done before, by key.
    before: tuple[int, ...] = ()


class Outlook(Struct, frozen=True, kw_only=True):
    """What is known of the work that a stage makes."""

    #: Seconds until the stage is done.
    done_in: float
    #: Counted stages whose datums reach it, itself included.
    sources: frozenset[int]


def outlooks(stages: Mapping[int, Stage]) -> dict[int, Outlook]:
    """Return the outlook of every stage.

    Args:
        stages: by key, complete: every key in ``before`` is a key here, and there is no cycle.

    >>> stage = Stage(remaining=10, seconds_per_datum=2.0, workers=5, ready_in=50.0)
    >>> outlooks({1: stage})[1].done_in
    54.0
    """
    results: dict[int, Outlook] = {}
    order = TopologicalSorter({key: stage.before for key, stage in stages.items()})
    for key in order.static_order():
        stage = stages[key]
        earlier = [results[each] for each in stage.before]
        sources = frozenset().union(*(each.sources for each in earlier))
        remaining = stage.remaining
        if remaining is None:
            remaining = least_datums(stages, sources)
        else:
            sources |= {key}
        begins = max([stage.ready_in, *(each.done_in for each in earlier)])
        seconds = remaining * (stage.seconds_per_datum or 0.0) / max(1, min(remaining, stage.workers))
        results[key] = Outlook(done_in=begins + seconds, sources=sources)
    return results


def least_datums(stages: Mapping[int, Stage], sources: frozenset[int]) -> int:
    """Return how many datums come from counted stages at least. Each counts once, however many paths it takes."""
    return max(1, sum(stages[key].remaining or 0 for key in sources))
