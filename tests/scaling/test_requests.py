"""Requests cover what datums use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.requests import CPU_STEP, MEMORY_STEP, Usage, propose, quantiles

MIB = 1 << 20
USAGES = st.lists(
    st.builds(
        Usage,
        cpu_seconds=st.floats(0, 1e5),
        seconds=st.floats(0.001, 1e5),
        peak_memory=st.integers(1, 1 << 40),
        download_bytes=st.just(0),
        upload_bytes=st.just(0),
    ),
    min_size=1,
    max_size=50,
)


@given(USAGES)
def test_a_proposal_covers_most_datums_and_its_limit_all(usages: list[Usage]) -> None:
    proposed = propose(usages)

    covered = sum(usage.peak_memory <= proposed.memory for usage in usages)
    assert covered >= 0.95 * len(usages)
    assert all(usage.peak_memory < proposed.memory_limit for usage in usages)
    assert proposed.memory <= proposed.memory_limit
    assert proposed.memory % MEMORY_STEP == 0
    assert proposed.cpu >= CPU_STEP


def test_one_large_datum_raises_the_limit_and_not_the_request() -> None:
    usages = [Usage(1.0, 2.0, 100 * MIB, 0, 0)] * 99 + [Usage(2.0, 1.0, 1000 * MIB, 0, 0)]

    assert propose(usages) == (0.5, 128 * MIB, 1504 * MIB)


def test_quantiles_are_values() -> None:
    assert quantiles([5.0]) == (5.0, 5.0, 5.0)
    assert quantiles([float(number) for number in range(1, 101)]) == (50.0, 95.0, 100.0)
