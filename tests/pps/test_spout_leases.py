"""Workers of spouts that stop renewing are replaced, and their commands commit nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trunkline.errors import Unauthenticated
from trunkline.model.leases import LeaseJudge
from trunkline.pps.pipeline_tokens import PipelineTokens
from trunkline.pps.workers import claims, standing
from trunkline.pps.workers.standing import Renewals

if TYPE_CHECKING:
    from pps_world import PpsWorld


@pytest.fixture
def worker_id(world: PpsWorld) -> str:
    """The worker of the spout ``source``, which runs its program."""
    world.pipeline("source", {}, input=None, spout={})
    [worker_id] = world.until_workers("source", 1)
    world.hand(worker_id, lambda _seen: {})
    assert world.next_work(worker_id).spout is not None
    return worker_id


class Watch:
    """What the server remembers of the leases of spouts."""

    def __init__(self, world: PpsWorld) -> None:
        self._world = world
        self._judge = LeaseJudge(world.clock.monotonic)
        self.renewals = Renewals()

    def silent(self) -> list[str]:
        running = self._world.versions.read(standing.spout_workers, self._world.specs)
        return self._judge.expired(self.renewals.leases(running))


def test_a_spouts_worker_is_silent_when_it_has_not_renewed_for_a_lease(
    world: PpsWorld, worker_id: str
) -> None:
    watch = Watch(world)
    first = watch.silent()
    world.clock.passed += claims.LEASE + 0.1

    second = watch.silent()
    watch.renewals.add(worker_id)
    third = watch.silent()

    assert (first, second, third) == ([], [worker_id], [])


def test_a_server_that_starts_gives_the_full_lease_again(world: PpsWorld, worker_id: str) -> None:
    before = Watch(world)
    before.renewals.add(worker_id)
    before.silent()
    world.clock.passed += claims.LEASE + 0.1

    after = Watch(world)

    assert before.silent() == [worker_id]
    assert after.silent() == []


def test_workers_of_datums_have_leases_of_claims_only(world: PpsWorld, worker_id: str) -> None:
    world.repo("images")
    world.put("images", {"/a": b"1"})
    world.pipeline("edges", {"pfs": {"repo": "images", "glob": "/*"}})
    [hand] = world.hands("edges", 1, lambda _seen: {})
    claimed = world.until(hand.take, "work")

    assert claimed is not None
    assert world.versions.read(standing.spout_workers, world.specs) == [worker_id]


def test_a_silent_worker_is_replaced_and_its_token_ends_at_once(world: PpsWorld, worker_id: str) -> None:
    tokens = PipelineTokens(world.versions)
    token = world.on_loop(tokens.issue(worker_id))
    world.stop_controller()

    world.versions.write(standing.lose_silent, worker_id)

    with pytest.raises(Unauthenticated):
        world.on_loop(tokens.verify(token))
    world.start_controller()
    world.clock.ahead += 100.0
    world.wake("source")
    world.until(lambda: worker_id not in world.fleet.present("source"), "the end of the silent worker")
    world.until(lambda: world.wake("source") or world.fleet.present("source"), "the next worker")
