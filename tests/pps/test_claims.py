"""Claims: one owner for each datum at a time, and each result recorded once."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from pps_world import PATIENCE, Hand, PpsWorld, Seen, pfs
from sql_costs import recording

from trunkline import errors
from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, workers
from trunkline.model.leases import LeaseJudge
from trunkline.model.states import DatumState, JobState, WorkerState
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pps.jobs import end_job
from trunkline.pps.queries import worker_queries
from trunkline.pps.workers import claims
from trunkline.storage.files import file_trees
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.pps.workers.assignments import Assignment
    from trunkline.pps.workers.dispatch import NextWork

pytestmark = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)


def copy(seen: Seen) -> dict[str, bytes]:
    return dict(seen["images"])


class Staffed:
    """A job of some datums with some workers, all ready and none at work."""

    def __init__(self, world: PpsWorld, datums: int, hands: int) -> None:
        self.world = world
        self.judge = LeaseJudge(world.clock.monotonic)
        world.repo("images")
        world.put("images", {f"/{number:03}": b"%d" % number for number in range(datums)})
        world.pipeline("edges", pfs("images"), parallelism_spec={"constant": hands})
        self.hands = world.hands("edges", hands, copy)
        self.job = world.until_state("edges", "RUNNING")

    def expire(self) -> None:
        """Let every lease run out that is not renewed."""
        self.free_silent()
        self.world.clock.passed += claims.LEASE + 0.1
        self.free_silent()

    def free_silent(self) -> None:
        """Take back the claims whose owners have been silent for too long."""
        versions = self.world.versions
        held = {claim.id: claim for claim in versions.read(claim_rows.held_claims)}
        for claim_id in self.judge.expired([claims.lease_of(claim) for claim in held.values()]):
            versions.write(claims.free_expired, held[claim_id])

    def owner(self, claimed: claims.Claimed) -> str | None:
        """Return who holds a claim."""
        claim = self.world.versions.read(claim_rows.claim_by_id, claimed.claim.id)
        return claim.worker_id if claim is not None else None

    def replacement(self) -> Hand:
        """Let the worker come that replaces one that was lost."""

        def look() -> str | None:
            self.world.clock.ahead += 100.0  # past the pause after a crash
            self.world.wake("edges")
            new = [row.id for row in self.world.workers("edges") if row.state == "pending"]
            return next((worker for worker in new if worker in self.world.fleet.specs), None)

        return self.world.hand(self.world.until(look, "a new worker"), copy)

    def state(self, hand: Hand) -> str:
        row = self.world.versions.read(workers.by_id, hand.id)
        return row.state if row is not None else "gone"


@pytest.fixture
def pair(world: PpsWorld) -> Staffed:
    return Staffed(world, datums=40, hands=2)


def test_two_workers_share_a_job_and_never_run_the_same_datum(pair: Staffed) -> None:
    threads = [threading.Thread(target=hand.work) for hand in pair.hands]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job = pair.world.until_ended("edges")

    ran = [datum for hand in pair.hands for datum in hand.ran]
    assert (job.state, job.processed) == ("SUCCESS", 40)
    assert len(ran) == len(set(ran)) == 40


def test_runs_get_shorter_so_that_workers_end_together(pair: Staffed) -> None:
    lengths = []
    while (claimed := pair.hands[len(lengths) % 2].take()) is not None:
        lengths.append(claimed.claim.stop - claimed.claim.start)
        hand = pair.hands[(len(lengths) - 1) % 2]
        hand.hand_in(hand.results(claimed))

    assert sum(lengths) == 40
    assert lengths[-1] == 1


def test_what_a_silent_worker_held_goes_to_another_from_where_it_was_handed_in(pair: Staffed) -> None:
    silent, other = pair.hands
    claimed = silent.take()
    assert claimed is not None
    silent.hand_in(silent.results(claimed, 1))
    remaining = [row.id for row in silent.todo(claimed)]

    pair.expire()
    second_claim = other.take()

    assert second_claim is not None
    assert [row.id for row in other.todo(second_claim)] == remaining


def test_a_worker_that_renews_keeps_its_claim(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None

    pair.free_silent()
    pair.world.clock.passed += claims.LEASE - 1
    answer = hand.renew(claimed)
    pair.free_silent()
    pair.world.clock.passed += claims.LEASE - 1
    pair.free_silent()

    assert answer == (True, False, False)
    assert pair.owner(claimed) == hand.id
    assert hand.hand_in(hand.results(claimed)) == claims.Completed(accepted=True, retire=False)


def test_a_step_of_the_wall_clock_frees_no_claim(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    pair.free_silent()

    pair.world.clock.ahead += 3600
    pair.free_silent()

    assert pair.owner(claimed) == hand.id


def test_a_claim_that_was_renewed_after_it_was_judged_is_not_taken_back(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    [judged] = pair.world.versions.read(claim_rows.held_claims)

    hand.renew(claimed)
    pair.world.versions.write(claims.free_expired, judged)

    assert pair.owner(claimed) == hand.id


def test_a_late_hand_in_is_refused_and_leaves_no_trace(pair: Staffed) -> None:
    late, other = pair.hands
    claimed = late.take()
    assert claimed is not None
    results = late.results(claimed)
    pair.expire()
    second_claim = other.take()
    assert second_claim is not None

    pair.world.until(lambda: pair.state(late) == "gone", "the silent worker to be replaced")

    with pytest.raises(errors.Unauthenticated):  # which ends the worker
        late.hand_in(results)
    with pytest.raises(errors.Unauthenticated):
        late.renew(claimed)

    job = pair.world.jobs("edges")[0]
    assert job.handed_in == 0
    assert other.hand_in(other.results(second_claim)) == claims.Completed(accepted=True, retire=False)


def test_a_late_hand_in_before_the_worker_is_replaced_is_refused_and_tells_it_to_go(pair: Staffed) -> None:
    late, other = pair.hands
    claimed = late.take()
    assert claimed is not None
    results = late.results(claimed)
    pair.world.stop_controller()
    pair.expire()

    answers = (late.hand_in(results), late.renew(claimed), late.take())

    job = pair.world.jobs("edges")[0]
    assert answers == (claims.Completed(accepted=False, retire=True), (False, False, True), None)
    assert job.handed_in == 0
    assert other.take() is not None
    pair.world.start_controller()


def test_a_hand_in_that_is_sent_twice_is_recorded_once(pair: Staffed) -> None:
    """The first one was recorded and its answer lost: sending it again must not count it again."""
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    results = hand.results(claimed, 2)

    first, second = hand.hand_in(results), hand.hand_in(results)

    assert (first.accepted, second.accepted) == (True, False)
    assert pair.world.jobs("edges")[0].processed == 2


def test_the_next_run_comes_with_the_answer_to_the_last_results_of_a_run(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    half = hand.results(claimed, 1)

    first = hand.hand_in(half, goes_on=True)
    rest = hand.results(claimed)
    last = hand.hand_in(rest, goes_on=True)
    again = hand.hand_in(rest, goes_on=True)

    assert first == claims.Completed(accepted=True, retire=False)
    assert last.accepted
    assert last.following is not None
    assert last.following.claim.start == claimed.claim.stop
    assert (pair.owner(last.following), pair.state(hand)) == (hand.id, "busy")
    assert again == claims.Completed(accepted=False, retire=False)


def test_a_worker_whose_answer_with_the_next_run_is_lost_gets_that_run_when_it_asks(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    lost = hand.hand_in(hand.results(claimed), goes_on=True).following
    assert lost is not None

    hand.let_go()
    got = hand.take()

    assert got is not None
    assert (got.claim.start, got.claim.stop) == (lost.claim.start, lost.claim.stop)
    hand.hand_in(hand.results(got))
    hand.work()
    assert pair.world.until_ended("edges").processed == len(set(hand.ran)) == 40


def test_a_worker_that_goes_on_is_idle_when_nothing_is_left_and_gets_nothing_once_it_is_to_retire(
    pair: Staffed,
) -> None:
    hand, other = pair.hands
    claimed, others = hand.take(), other.take()
    assert claimed is not None
    assert others is not None
    pair.world.has_all_events = False  # of the row that the test moves
    pair.world.versions.write(
        lambda write: workers.move(write.conn, other.id, WorkerState.RETIRING, "", write.now)
    )

    retiring = other.hand_in(other.results(others), goes_on=True)
    runs = 1
    while (following := hand.hand_in(hand.results(claimed), goes_on=True).following) is not None:
        claimed, runs = following, runs + 1

    assert retiring == claims.Completed(accepted=True, retire=True)
    assert runs > 1
    assert pair.state(hand) == "idle"
    assert pair.world.until_ended("edges").processed == 40


def test_a_worker_gets_nothing_new_once_it_is_to_retire(pair: Staffed) -> None:
    hand = pair.hands[0]
    pair.world.has_all_events = False  # of the row that the test moves
    pair.world.versions.write(
        lambda write: workers.move(write.conn, hand.id, WorkerState.RETIRING, "", write.now)
    )

    assert hand.take() is None


def test_a_retiring_worker_hands_in_what_is_done_and_gives_the_rest_back(pair: Staffed) -> None:
    hand, other = pair.hands
    claimed = hand.take()
    assert claimed is not None
    remaining = [row.id for row in hand.todo(claimed)][1:]
    pair.world.has_all_events = False  # of the row that the test moves
    pair.world.versions.write(
        lambda write: workers.move(write.conn, hand.id, WorkerState.RETIRING, "", write.now)
    )

    renewal = hand.renew(claimed)
    answer = hand.hand_in(hand.results(claimed, 1, release=True))
    second_claim = other.take()

    assert renewal == (True, False, True)
    assert answer == claims.Completed(accepted=True, retire=True)
    assert second_claim is not None
    assert [row.id for row in other.todo(second_claim)] == remaining


def test_a_worker_that_asks_for_work_holds_none_even_if_an_answer_was_lost(pair: Staffed) -> None:
    hand, other = pair.hands
    claimed = hand.take()
    assert claimed is not None

    hand.let_go()
    second_claim = other.take()

    assert pair.state(hand) == "idle"
    assert second_claim is not None
    assert second_claim.claim.id == claimed.claim.id


def _assignment(work: NextWork) -> Assignment:
    assert work.assignment is not None
    return work.assignment


def test_waiting_workers_get_their_first_datums_in_the_transaction_that_plans_them(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    staffed = Staffed(world, datums=1, hands=2)
    staffed.hands[0].work()
    world.until_ended("edges")
    calls = world.await_work(*(hand.id for hand in staffed.hands))

    with recording(world.versions.db, monkeypatch) as recorder:
        world.put("images", {f"/new-{number}": b"%d" % number for number in range(40)})
        answers = [call.result(PATIENCE) for call in calls]

    first, second = sorted((each.first, len(each.datums)) for each in map(_assignment, answers))
    assert first[0] == 0
    assert second[0] == first[1]
    assert "take" not in [each.name for each in recorder.transactions]
    assert [staffed.state(hand) for hand in staffed.hands] == ["busy", "busy"]


def test_a_claim_whose_answer_is_on_its_way_is_not_followed_by_another(pair: Staffed) -> None:
    [hand, _] = pair.hands

    first, second = hand.take(), hand.take()

    assert first is not None
    assert second is not None
    assert second.claim == first.claim


def test_a_worker_whose_job_was_killed_is_idle_when_it_asks_again(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    results = hand.results(claimed)

    pair.world.versions.write(end_job, pair.job, JobState.KILLED, "job stopped")
    late = hand.hand_in(results)
    hand.let_go()

    assert late == claims.Completed(accepted=False, retire=False)
    assert pair.state(hand) == "idle"


def test_a_worker_that_nobody_knows_is_told_to_exit(pair: Staffed) -> None:
    stranger = Hand(pair.world, "0" * 32, copy)

    with pytest.raises(errors.Unauthenticated):
        stranger.take()


def test_a_datum_that_a_worker_holds_is_starting_and_the_rest_is_unknown(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None
    hand.hand_in(hand.results(claimed, 1))

    renewal = [listed.state for listed in pair.world.datums(pair.world.jobs("edges")[0])]

    held = claimed.claim.stop - claimed.claim.start - 1
    assert renewal.count(DatumState.SUCCESS) == 1
    assert renewal.count(DatumState.STARTING) == held
    assert renewal.count(DatumState.UNKNOWN) == 39 - held


def test_a_restart_of_a_datum_is_told_once_with_the_next_renewal(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None

    pair.world.versions.write(lambda write: claim_rows.ask_restart(write.conn, claimed.claim.id))

    assert hand.renew(claimed) == (True, True, False)
    assert hand.renew(claimed) == (True, False, False)


def test_a_job_goes_on_where_it_was_after_the_server_was_started_anew(pair: Staffed) -> None:
    hand, other = pair.hands
    claimed = hand.take()
    assert claimed is not None
    hand.hand_in(hand.results(claimed, 1))
    before = hand.ran.copy()

    pair.world.stop_controller()
    pair.world.start_controller()
    hand.hand_in(hand.results(claimed))
    other.work()
    job = pair.world.until_ended("edges")

    ran = hand.ran + other.ran
    assert before == ran[:1]
    assert (job.state, job.processed) == ("SUCCESS", 40)
    assert len(ran) == len(set(ran)) == 40


def test_the_work_of_a_busy_worker_is_listed_although_nothing_of_its_job_is_cached(pair: Staffed) -> None:
    hand, versions = pair.hands[0], pair.world.versions
    claimed = hand.take()
    assert claimed is not None

    with closing(
        ChunkStore(versions.chunks.objects, DatabaseChunkIndex(versions.db, pair.world.clock.now), threads=1)
    ) as store:
        restarted = replace(versions, chunks=store, trees=file_trees(store))
        [page] = worker_queries.list_workers(restarted, "", "")

    current = {info.row.id: info.datum_id for info in page}
    assert current[hand.id] == hand.todo(claimed)[0].id.hex()


def test_every_moment_of_death_leaves_each_datum_recorded_once(world: PpsWorld) -> None:
    """Workers die in turn before, between and after their completions; the job is right all the same."""
    staffed = Staffed(world, datums=12, hands=2)
    deaths: Iterator[str] = iter(["claimed", "ran", "completed", "ran", "claimed", "completed"])
    alive, spare = staffed.hands
    while (claimed := alive.take()) is not None:
        match next(deaths, "never"):
            case "claimed":
                pass
            case "ran":
                alive.results(claimed, 1)
            case "completed":
                alive.hand_in(alive.results(claimed, 1))
            case _:
                alive.hand_in(alive.results(claimed))
                continue
        staffed.expire()
        held = staffed.state(alive) in ("lost", "gone")  # else it had completed the whole claim
        alive, spare = spare, staffed.replacement() if held else alive

    job = world.until_ended("edges")

    assert (job.state, job.processed, job.failed) == ("SUCCESS", 12, 0)
    assert world.files("edges") == {f"/{number:03}": b"%d" % number for number in range(12)}


@pytest.mark.parametrize("since", [float("inf"), -1.0, 1e300])
def test_a_renewal_with_a_time_that_is_none_is_refused(pair: Staffed, since: float) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None

    with pytest.raises(errors.InvalidArgument):
        pair.world.versions.write(claims.renew, hand.id, claimed.claim.id, 0, since)


def test_a_renewal_for_a_datum_beyond_the_claim_is_refused(pair: Staffed) -> None:
    hand = pair.hands[0]
    claimed = hand.take()
    assert claimed is not None

    with pytest.raises(errors.InvalidArgument):
        pair.world.versions.write(claims.renew, hand.id, claimed.claim.id, 2**63, 1.0)


def test_counters_of_a_job_stop_at_the_largest_number(pair: Staffed) -> None:
    """A worker says how long it took; two claims of 292 years must not break the list of jobs."""
    hand = pair.hands[0]
    for _ in range(2):
        claimed = hand.take()
        assert claimed is not None
        prepared = hand.results(claimed)
        boast = replace(prepared.results, upload_ns=jobs.LARGEST, process_ns=jobs.LARGEST)
        assert hand.hand_in(replace(prepared, results=boast)).accepted

    job = pair.world.jobs("edges")[0]
    assert (job.upload_ns, job.process_ns) == (jobs.LARGEST, jobs.LARGEST)
    assert isinstance(job.upload_ns, int)
