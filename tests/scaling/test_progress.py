"""What is said of a job's rate and time left keeps simple laws."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.progress import is_late, outlook

SAMPLES = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=50)
COUNTS = st.integers(1, 1000)


@given(sample=SAMPLES, remaining=COUNTS, workers=COUNTS)
def test_quantiles_and_times_are_in_order(sample: list[float], remaining: int, workers: int) -> None:
    seen = outlook(sample, remaining, workers)

    assert min(sample) <= seen.median <= seen.most <= seen.nearly_all <= max(sample)
    assert seen.seconds_left is not None
    assert seen.seconds_at_most is not None
    assert 0 < seen.seconds_left <= seen.seconds_at_most


@given(sample=SAMPLES, remaining=COUNTS, workers=COUNTS)
def test_less_work_or_another_worker_never_takes_longer(
    sample: list[float], remaining: int, workers: int
) -> None:
    now = outlook(sample, remaining, workers).seconds_left
    less = outlook(sample, remaining - 1, workers).seconds_left
    helped = outlook(sample, remaining, workers + 1).seconds_left

    assert now is not None
    assert less is not None
    assert helped is not None
    assert less <= now * (1 + 1e-9)
    assert helped <= now * (1 + 1e-9)


@given(seconds=st.floats(0.001, 1e4), remaining=COUNTS, workers=COUNTS)
def test_equal_datums_take_rounds_of_equal_length(seconds: float, remaining: int, workers: int) -> None:
    time = outlook([seconds] * 5, remaining, workers).seconds_left

    assert time is not None
    assert 0.999 * remaining / workers <= time / seconds <= remaining / min(workers, remaining) + 1e-6


def test_without_a_sample_or_a_worker_no_time_is_named() -> None:
    assert outlook([], 5, 2).seconds_left is None
    assert outlook([1.0], 5, 0).seconds_left is None
    assert outlook([], 0, 0).seconds_left == 0.0


def test_a_datum_is_late_after_three_medians_and_a_second() -> None:
    assert [is_late(3.1, 1.0), is_late(2.9, 1.0), is_late(0.9, 0.01), is_late(100.0, 0.0)] == [
        True,
        False,
        False,
        False,
    ]
