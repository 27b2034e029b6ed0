"""The curve of the number of workers over time: pure."""

from __future__ import annotations

from trunkline.meta.pipelines import DecisionPoint
from trunkline.pps.queries.scaling_history import Life, Point, curve, thinned


def decision(at: float, target: int, unclaimed: int = 0, **states: int) -> DecisionPoint:
    return DecisionPoint(0, at, target, "because", unclaimed, states)


def test_workers_are_counted_from_their_lives() -> None:
    lives = [Life(10, 12, 30), Life(11, None, 20)]

    points = curve([decision(10, 2, 5)], lives, (0, 100), 0)

    assert [(p.at, p.asked, p.existing, p.ready) for p in points] == [
        (0, 0, 0, 0), (10, 2, 1, 0), (11, 2, 2, 0), (12, 2, 2, 1), (20, 2, 1, 1), (30, 2, 0, 0),
    ]  # fmt: skip
    assert [p.queue for p in points] == [None, 5, 5, 5, 5, 5]


def test_before_lives_are_known_the_decisions_say_how_many_there_were() -> None:
    decisions = [decision(5, 3, idle=1, busy=2), decision(20, 1)]

    points = curve(decisions, [Life(30, 30, 90)], (0, 100), 25)

    assert [(p.at, p.existing, p.ready, p.busy) for p in points] == [
        (0, 0, 0, None), (5, 3, 3, 2), (20, 0, 0, 0), (30, 1, 1, 0), (90, 0, 0, 0),
    ]  # fmt: skip


def test_what_was_asked_before_the_begin_holds_at_the_begin() -> None:
    [point] = curve([decision(1, 4)], [], (10, 20), 0)

    assert (point.at, point.asked) == (10, 4)


def test_a_narrow_chart_has_the_peaks() -> None:
    points = [Point(at=float(at), asked=at % 7, existing=0, ready=0, queue=at) for at in range(100)]

    few = thinned(points, (0.0, 100.0), 10)

    assert len(few) == 10
    assert {point.asked for point in few} == {6}
    assert [point.queue for point in few] == list(range(9, 100, 10))
