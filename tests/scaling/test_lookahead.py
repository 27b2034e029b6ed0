"""When the work of a downstream pipeline comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.lookahead import Stage, seconds_until_done

STAGE = Stage(remaining=10, seconds_per_datum=2.0, workers=5, ready_in=50.0)


def test_a_stage_takes_its_start_and_its_share_of_the_work() -> None:
    assert seconds_until_done(STAGE) == 54.0


def test_an_unknown_time_per_datum_counts_as_none() -> None:
    assert seconds_until_done(replace(STAGE, seconds_per_datum=None)) == 50.0


def test_a_chain_adds_the_work_but_hides_starts_behind_it() -> None:
    second = Stage(remaining=4, seconds_per_datum=1.0, workers=2, ready_in=0.0, before=(STAGE,))

    assert seconds_until_done(second) == 56.0


@given(st.integers(0, 1000), st.floats(0, 100), st.integers(1, 64), st.floats(0, 1000))
def test_more_workers_never_make_it_later(remaining: int, seconds: float, workers: int, ready: float) -> None:
    stage = Stage(remaining=remaining, seconds_per_datum=seconds, workers=workers, ready_in=ready)

    later = seconds_until_done(stage)

    assert seconds_until_done(replace(stage, workers=workers + 1)) <= later or later == pytest.approx(ready)
