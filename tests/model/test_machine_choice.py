"""The choice of the machine for a worker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.machine_choice import Room, choose

ROOMS = st.builds(Room, st.integers(1, 8), st.integers(0, 10), st.integers(0, 100), is_limited=st.booleans())


def test_the_machine_that_is_least_loaded_for_its_slots_is_chosen_and_the_first_of_equals():
    server = Room(2, 0, 100, is_limited=False)

    first = choose([server, Room(8, 0, 100, is_limited=True)], 1)
    tie = choose([server, Room(2, 0, 100, is_limited=True)], 1)

    assert (first, tie) == (1, 0)


@given(st.lists(ROOMS), st.integers(0, 120))
def test_a_worker_goes_where_it_fits_and_nowhere_only_if_it_fits_nowhere(rooms, memory):
    fitting = {
        position
        for position, room in enumerate(rooms)
        if memory <= room.free_memory and (not room.is_limited or room.workers < room.slots)
    }

    position = choose(rooms, memory)

    assert position in (fitting or {None})


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_as_many_workers_as_slots_fill_every_machine(slots):
    workers = [0] * len(slots)

    for _ in range(sum(slots)):
        rooms = [Room(n, used, 10**9, is_limited=True) for n, used in zip(slots, workers, strict=True)]
        position = choose(rooms, 1)
        assert position is not None
        workers[position] += 1

    assert workers == slots
