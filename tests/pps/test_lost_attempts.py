"""Workers that crash while they run a datum: after some in a row the datum fails, and no other one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pps_world import Seen, pfs

from trunkline.meta import workers
from trunkline.model.spec import PipelineSpec
from trunkline.model.states import DatumState
from trunkline.model.workers import WorkerEnding, WorkerPhase
from trunkline.pps.workers import claims, lost_attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pps_world import Hand, PpsWorld

LAST_WORDS = "was killed by SIGKILL; its last words: out of luck"


def copy(seen: Seen) -> Mapping[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def worker_of(world: PpsWorld) -> Hand:
    """Return the pipeline's worker, past the pause that crashes cause."""
    world.clock.ahead += 100.0
    world.wake("edges")
    return world.staffed("edges", copy)


def end_worker(world: PpsWorld, hand: Hand, ending: WorkerEnding) -> None:
    """Let a worker end in the middle of what it runs."""
    world.fleet.show(hand.id, WorkerPhase.GONE, LAST_WORDS, ending=ending)
    world.wake("edges")
    world.until(lambda: not_wanted(world, hand), "the worker to be noticed")


def not_wanted(world: PpsWorld, hand: Hand) -> bool:
    return world.versions.read(workers.by_id, hand.id) is None


def crash_at(world: PpsWorld, killer: str) -> int:
    """Let workers run datums until the job ends; each crashes at the killer. Returns the crashes."""
    crashes = 0
    while world.jobs("edges")[0].state == "RUNNING":
        hand = worker_of(world)
        claimed = world.until(
            lambda hand=hand: hand.take() or world.jobs("edges")[0].state != "RUNNING", "something to run"
        )
        if not isinstance(claimed, claims.Claimed):
            break
        paths = [row.items[0].path for row in hand.todo(claimed)]
        if killer in paths:
            crashes += 1
            end_worker(world, hand, WorkerEnding.CRASHED)
        else:
            hand.hand_in(hand.results(claimed))
    return crashes


def start(world: PpsWorld, number: int, **spec: object) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), **spec)
    world.until_ended("edges")
    world.put("images", {f"/{each}": b"%d" % each for each in range(number)})
    world.until_state("edges", "RUNNING")


@pytest.mark.parametrize(("tries", "expected"), [(1, 3), (5, 5)])
def test_a_datum_whose_workers_crash_in_a_row_fails_with_the_last_ones_words(
    world: PpsWorld, tries: int, expected: int
) -> None:
    start(world, 1, datum_tries=tries)

    crashes = crash_at(world, "/0")

    job = world.until_ended("edges")
    [datum] = world.datums(job)
    assert (crashes, job.state, job.failed) == (expected, "FAILURE", 1)
    assert datum.state is DatumState.FAILED
    assert LAST_WORDS in datum.row.reason
    assert job.reason.startswith("/0: ")
    assert LAST_WORDS in job.reason


def test_only_the_datum_that_ends_its_workers_fails(world: PpsWorld) -> None:
    start(world, 8)

    crashes = crash_at(world, "/2")

    job = world.until_ended("edges")
    failed = [datum.row.items[0].path for datum in world.datums(job) if datum.state is DatumState.FAILED]
    assert failed == ["/2"]
    # One in a run of several datums, where it is not known which one it was, and three alone.
    assert crashes == 4


@pytest.mark.parametrize("ending", [WorkerEnding.REMOVED, WorkerEnding.STOPPED])
def test_workers_that_are_taken_away_never_count(world: PpsWorld, ending: WorkerEnding) -> None:
    start(world, 1)

    for _ in range(6):
        hand = worker_of(world)
        world.until(hand.take, "the datum")
        end_worker(world, hand, ending)
    state = world.pipeline_row("edges").state
    job = worker_of(world).work_until_ended("edges")

    assert (job.state, job.failed) == ("SUCCESS", 0)
    assert state != "CRASHING"


def test_restarts_of_the_server_never_count(world: PpsWorld) -> None:
    start(world, 1)

    for _ in range(4):
        hand = worker_of(world)
        world.until(hand.take, "the datum")
        world.stop_controller()
        world.fleet.stop(hand.id, 0.0)  # it ends with the server, and the next one's fleet does not know it
        world.start_controller()
        world.until(lambda hand=hand: not_wanted(world, hand), "the worker to be noticed")
    job = worker_of(world).work_until_ended("edges")

    assert (job.state, job.failed) == ("SUCCESS", 0)


def test_a_worker_that_goes_silent_is_named_stopped_and_replaced(world: PpsWorld) -> None:
    start(world, 1)
    frozen = worker_of(world)
    claimed = world.until(frozen.take, "the datum")

    silent = world.versions.read(claims.claim_rows.claim_by_id, claimed.claim.id)
    assert silent is not None
    world.versions.write(claims.free_expired, silent)
    world.until(lambda: frozen.id not in world.fleet.present("edges"), "the worker to be stopped")
    state = world.until(
        lambda: row if (row := world.pipeline_row("edges")).state == "CRASHING" else None, "the reason"
    )
    job = worker_of(world).work_until_ended("edges")

    assert state.reason
    assert (job.state, job.failed) == ("SUCCESS", 0)


def test_a_datum_is_lost_three_times_at_least_and_as_often_as_it_may_be_tried() -> None:
    assert lost_attempts.limit(PipelineSpec()) == 3
    assert lost_attempts.limit(PipelineSpec(datum_tries=1)) == 3
    assert lost_attempts.limit(PipelineSpec(datum_tries=9)) == 9
