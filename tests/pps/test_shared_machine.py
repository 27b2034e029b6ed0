"""Pipelines share a machine that is full: who has more than its share gives workers away, at the end of a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pps_world import PpsWorld, Seen, pfs

from trunkline.model.workers import DEFAULT_MEMORY, Machine, WorkerPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Room for four workers.
MACHINE = Machine(name="here", kind="local", memory=4 * DEFAULT_MEMORY)


def copy(seen: Seen) -> Mapping[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def make(world: PpsWorld, name: str, datums: int, **annotations: str) -> None:
    world.repo(f"of-{name}")
    world.put(f"of-{name}", {f"/{number:03}": b"%d" % number for number in range(datums)})
    names = {f"trunkline.dev/{key}": text for key, text in annotations.items()}
    world.pipeline(
        name,
        pfs(f"of-{name}"),
        autoscaling=True,
        parallelism_spec={"constant": 100},
        datum_set_spec={"number": 1},
        metadata={"annotations": names},
    )


def until_limit(world: PpsWorld, name: str, limit: int) -> None:
    def look() -> bool:
        world.wake(name)
        return world.pipeline_row(name).worker_limit == limit

    world.until(look, f"a limit of {limit} workers for {name}")


def states(world: PpsWorld, name: str) -> list[str]:
    return sorted(row.state for row in world.workers(name))


def test_a_pipeline_with_five_datums_gets_half_of_a_machine_that_one_with_many_fills(world: PpsWorld) -> None:
    world.fleet.rented.append(MACHINE)
    make(world, "large", 60)
    hands = world.hands("large", 4, copy)
    claims = [hand.take() for hand in hands]
    make(world, "small", 5)
    until_limit(world, "large", 2)
    requested = len(world.until_workers("small", 2))

    for hand, claimed in zip(hands, claims, strict=True):
        assert claimed is not None
        hand.hand_in(hand.results(claimed))
    more = [hand.take() for hand in hands]

    assert requested == 2
    assert sum(claimed is not None for claimed in more) == 2
    assert states(world, "large") == ["busy", "busy", "retiring", "retiring"]


def test_what_was_given_away_comes_back_when_the_other_is_done(world: PpsWorld) -> None:
    world.fleet.rented.append(MACHINE)
    make(world, "large", 60)
    hands = world.hands("large", 4, copy)
    make(world, "small", 1, priority="5")
    until_limit(world, "large", 3)
    claims = [hand.take() for hand in hands]
    [retired] = [hand for hand, claimed in zip(hands, claims, strict=True) if claimed is None]
    world.fleet.show(retired.id, WorkerPhase.GONE, "ended as asked")

    world.hands("small", 1, copy)[0].work_until_ended("small")
    world.until_workers("large", 4)

    assert world.pipeline_row("large").worker_limit is None
