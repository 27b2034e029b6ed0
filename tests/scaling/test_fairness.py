"""Laws of sharing a fleet between pipelines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.fairness import Contender, shares

CONTENDERS = st.dictionaries(
    st.integers(1, 8),
    st.builds(
        Contender,
        memory=st.integers(1, 5),
        workers=st.integers(0, 40),
        weight=st.sampled_from([0.5, 1.0, 2.0, 5.0]),
        priority=st.integers(-1, 1),
    ),
    max_size=6,
)


@given(contenders=CONTENDERS, capacity=st.integers(0, 150))
def test_nobody_gets_more_than_it_can_use_and_all_fit(
    contenders: dict[int, Contender], capacity: int
) -> None:
    result = shares(contenders, capacity)

    assert all(0 <= result[number] <= each.workers for number, each in contenders.items())
    assert sum(result[number] * each.memory for number, each in contenders.items()) <= capacity


@given(contenders=CONTENDERS, capacity=st.integers(0, 150))
def test_no_room_stays_that_anybody_could_use(contenders: dict[int, Contender], capacity: int) -> None:
    result = shares(contenders, capacity)

    free = capacity - sum(result[number] * each.memory for number, each in contenders.items())
    assert all(each.memory > free for number, each in contenders.items() if result[number] < each.workers)


@given(contenders=CONTENDERS, more=st.integers(0, 50))
def test_everybody_gets_a_worker_where_one_of_each_fits(contenders: dict[int, Contender], more: int) -> None:
    one_each = sum(each.memory for each in contenders.values() if each.workers)

    result = shares(contenders, one_each + more)

    assert all(result[number] for number, each in contenders.items() if each.workers)


@given(contenders=CONTENDERS, capacity=st.integers(0, 150))
def test_who_has_more_for_its_weight_could_not_have_given_a_worker_away(
    contenders: dict[int, Contender], capacity: int
) -> None:
    """Taking the last worker of one of equal size and priority does not make the other better off than it was."""
    result = shares(contenders, capacity)

    for number, each in contenders.items():
        for other, rival in contenders.items():
            same = (rival.priority, rival.memory) == (each.priority, each.memory)
            if same and result[number] < each.workers and result[other] > 1:
                assert (result[other] - 1) / rival.weight <= result[number] / each.weight + 1e-9


@given(contenders=CONTENDERS, capacity=st.integers(0, 150))
def test_a_lower_priority_gets_a_second_worker_only_where_no_higher_one_wants_it(
    contenders: dict[int, Contender], capacity: int
) -> None:
    result = shares(contenders, capacity)

    for number, each in contenders.items():
        for other, rival in contenders.items():
            if (
                rival.priority > each.priority
                and result[other] < rival.workers
                and rival.memory <= each.memory
            ):
                assert result[number] <= 1


def test_a_million_datums_do_not_starve_five() -> None:
    result = shares({1: Contender(memory=1, workers=1000), 2: Contender(memory=1, workers=5)}, 8)

    assert result == {1: 4, 2: 4}
