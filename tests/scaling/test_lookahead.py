"""When the work of a downstream pipeline comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.scaling.lookahead import Stage, least_datums, outlooks

STAGE = Stage(remaining=10, seconds_per_datum=2.0, workers=5, ready_in=50.0)
WAITING = Stage(remaining=None, seconds_per_datum=1.0, workers=2, ready_in=0.0)


def done_in(stages: dict[int, Stage], key: int) -> float:
    return outlooks(stages)[key].done_in


class Counted(Mapping[int, Stage]):
    """Stages that count how often each is read."""

    def __init__(self, stages: dict[int, Stage]) -> None:
        self._stages = stages
        self.reads: Counter[int] = Counter()

    def __getitem__(self, key: int) -> Stage:
        self.reads[key] += 1
        return self._stages[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)


def diamonds(number: int) -> dict[int, Stage]:
    """Return a chain of diamonds: 0, then 1 and 2 after it, 3 after both, and so on."""
    stages = {0: STAGE}
    for place in range(number):
        top = 3 * place
        stages[top + 1] = stages[top + 2] = replace(WAITING, before=(top,))
        stages[top + 3] = replace(WAITING, before=(top + 1, top + 2))
    return stages


def test_a_stage_takes_its_start_and_its_share_of_the_work() -> None:
    assert done_in({1: STAGE}, 1) == 54.0


def test_an_unknown_time_per_datum_counts_as_none() -> None:
    assert done_in({1: replace(STAGE, seconds_per_datum=None)}, 1) == 50.0


def test_a_chain_adds_the_work_but_hides_starts_behind_it() -> None:
    second = replace(WAITING, remaining=4, before=(1,))

    assert done_in({1: STAGE, 2: second}, 2) == 56.0


def test_more_workers_than_datums_do_not_share_a_datum() -> None:
    assert done_in({1: replace(STAGE, remaining=2)}, 1) == 52.0


def test_the_datums_of_a_diamond_count_once() -> None:
    stages = diamonds(3)

    sources = outlooks(stages)[9].sources

    assert sources == {0}
    assert least_datums(stages, sources) == 10


def test_the_datums_of_two_separate_sources_are_added() -> None:
    stages = {1: STAGE, 2: replace(STAGE, remaining=5), 3: replace(WAITING, before=(1, 2))}

    assert least_datums(stages, outlooks(stages)[3].sources) == 15


def test_each_stage_is_visited_a_bounded_number_of_times_however_many_paths_lead_to_it() -> None:
    few, many = Counted(diamonds(5)), Counted(diamonds(50))

    outlooks(few)
    outlooks(many)

    # One read for the order and one for the stage; the source is also read by each stage that gets its datums.
    assert {number for key, number in many.reads.items() if key} == {2}
    assert few.reads.total() == 3 * len(few) - 1
    assert many.reads.total() == 3 * len(many) - 1


def test_a_chain_of_ten_thousand_stages_needs_no_recursion() -> None:
    chain = {0: STAGE} | {number: replace(WAITING, before=(number - 1,)) for number in range(1, 10_000)}

    assert len(outlooks(chain)) == 10_000


@given(st.integers(0, 1000), st.floats(0, 100), st.integers(1, 64), st.floats(0, 1000))
def test_more_workers_never_make_it_later(remaining: int, seconds: float, workers: int, ready: float) -> None:
    stage = Stage(remaining=remaining, seconds_per_datum=seconds, workers=workers, ready_in=ready)

    later = done_in({1: stage}, 1)

    sooner = done_in({1: replace(stage, workers=workers + 1)}, 1)
    assert sooner <= later or later == pytest.approx(ready)
