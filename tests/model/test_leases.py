"""Leases are judged by their counters."""

from __future__ import annotations

from trunkline.model.leases import Lease, LeaseJudge


class Stopwatch:
    """A monotonic clock that a test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_lease_runs_out_when_its_counter_has_not_changed_for_longer_than_its_time() -> None:
    stopwatch = Stopwatch()
    judge = LeaseJudge(stopwatch)
    judge.expired([Lease("a", 0, 10), Lease("b", 0, 10)])

    stopwatch.seconds += 10
    on_time = judge.expired([Lease("a", 0, 10), Lease("b", 1, 10)])
    stopwatch.seconds += 1
    late = judge.expired([Lease("a", 0, 10), Lease("b", 1, 10)])

    assert on_time == []
    assert late == ["a"]


def test_a_judge_without_memory_gives_every_owner_its_whole_time() -> None:
    stopwatch = Stopwatch()

    assert not LeaseJudge(stopwatch).is_expired(Lease("a", 7, 10))


def test_a_lease_that_comes_back_under_another_owner_has_its_whole_time() -> None:
    stopwatch = Stopwatch()
    judge = LeaseJudge(stopwatch)
    judge.is_expired(Lease("a", ("first", 3), 10))

    stopwatch.seconds += 11

    assert not judge.is_expired(Lease("a", ("second", 3), 10))
    assert judge.expired([]) == []
