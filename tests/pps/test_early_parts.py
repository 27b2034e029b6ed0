"""Consecutive jobs overlap: what a later job has to run in any case runs early, and the results stay the same."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import database_url
from pps_world import Failed, Hand, PpsWorld, Recovered, Seen, pfs

from trunkline.meta import job_queue
from trunkline.model.names import JobName, PipelineName
from trunkline.model.states import TERMINAL_JOB_STATES
from trunkline.model.workers import WorkerPhase
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines
from trunkline.pps.queries import progress
from trunkline.pps.workers import claims
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.meta.jobs import JobRow

Tree = dict[str, bytes]


def upper(seen: Seen) -> Mapping[str, bytes]:
    """Write every input file in capitals under its own path."""
    outputs = {path: data.upper() for files in seen.values() for path, data in files.items()}
    if b"BAD" in outputs.values():
        raise Failed("it was bad")
    if b"WEAK" in outputs.values():
        raise Recovered
    return outputs


def start(world: PpsWorld, hands: int, **files: bytes) -> list[Hand]:
    """Make a repo with files at the root, a pipeline over ``/*``, and its workers."""
    world.repo("images")
    if files:
        world.put("images", {f"/{name}": data for name, data in files.items()})
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": hands})
    return world.hands("edges", hands, upper)


def take(hand: Hand) -> claims.Claimed:
    """Claim as soon as there is something to claim."""
    return hand.world.until(hand.take, "a claim")


def counters(job: JobRow) -> tuple[int, int, int, int, int]:
    return job.total, job.processed, job.skipped, job.failed, job.recovered


def all_looked_at(world: PpsWorld) -> bool:
    """Tell whether the early part of every live job behind the first is known."""
    number = world.pipeline_row("edges").id
    return all(row.looked_at for row in world.versions.read(job_queue.front, number)[1:])


def finish(world: PpsWorld, hands: Sequence[Hand]) -> list[JobRow]:
    """Work until every job has ended; return them, oldest first."""

    def look() -> list[JobRow] | None:
        for hand in hands:
            hand.work()
        rows = world.jobs("edges")
        return rows[::-1] if all(row.state in TERMINAL_JOB_STATES for row in rows) else None

    return world.until(look, "every job to end")


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_new_datums_of_later_jobs_run_while_a_straggler_holds_the_first(world: PpsWorld) -> None:
    slow, quick = start(world, 2, a=b"slow")
    straggler = take(slow)
    for name in ("b", "c", "d"):
        world.put("images", {f"/{name}": name.encode()})

    for _ in range(3):
        quick.hand_in(quick.results(take(quick)))
    waiting = [(job.state, job.processed) for job in world.jobs("edges")]
    slow.hand_in(slow.results(straggler))
    ended = finish(world, [slow, quick])

    assert waiting[-1] == ("RUNNING", 0)
    assert sum(processed for _, processed in waiting) >= 2
    assert [(job.state, counters(job)) for job in ended] == [
        ("SUCCESS", (number, 1, number - 1, 0, 0)) for number in (1, 2, 3, 4)
    ]
    assert len(slow.ran) == 1
    assert max(Counter(slow.ran + quick.ran).values()) == 1
    assert world.files("edges") == {"/a": b"SLOW", "/b": b"B", "/c": b"C", "/d": b"D"}


def test_a_datum_that_the_job_before_has_too_waits_for_it(world: PpsWorld) -> None:
    slow, quick = start(world, 2, a=b"slow", b=b"1")
    slow_claim = take(slow)
    quick.work()
    world.put("images", {"/a": b"new"})
    world.put("images", {"/b": b"2"}, deleted=["/a"])
    world.put("images", {"/a": b"slow"})
    world.until(lambda: all_looked_at(world), "the early parts")

    claimed = quick.take()
    slow.hand_in(slow.results(slow_claim))
    ended = finish(world, [slow, quick])

    assert claimed is None
    assert [counters(job)[:3] for job in ended] == [(2, 2, 0), (2, 1, 1), (1, 1, 0), (2, 1, 1)]
    assert world.files("edges") == {"/a": b"SLOW", "/b": b"2"}


def test_an_early_datum_that_fails_ends_its_job_in_its_turn_and_no_other(world: PpsWorld) -> None:
    slow, quick = start(world, 2, a=b"slow")
    straggler = take(slow)
    world.put("images", {"/b": b"bad"})
    world.put("images", {"/c": b"c"}, deleted=["/b"])
    quick.hand_in(quick.results(take(quick)))
    early = take(quick)
    doomed = world.jobs("edges")[1]

    slow.hand_in(slow.results(straggler))
    quick.hand_in(quick.results(early))
    ended = finish(world, [slow, quick])

    assert (doomed.state, doomed.failed) == ("STARTING", 1)
    assert "it was bad" in doomed.reason
    assert [job.state for job in ended] == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert ended[1].reason == doomed.reason
    assert [counters(job) for job in ended[1:]] == [(2, 0, 1, 1, 0), (2, 1, 1, 0, 0)]
    assert len(quick.ran) == 2
    assert world.files("edges") == {"/a": b"SLOW", "/c": b"C"}


def test_another_server_goes_on_with_early_parts_and_their_claims(world: PpsWorld) -> None:
    slow, quick = start(world, 2, a=b"slow")
    straggler = take(slow)
    world.put("images", {"/b": b"b"})
    world.put("images", {"/c": b"c"})
    early = take(quick)

    world.stop_controller()
    world.start_controller()
    slow.hand_in(slow.results(straggler))
    world.until(lambda: world.jobs("edges")[1].state == "RUNNING", "the second job to be planned")
    accepted = quick.hand_in(quick.results(early)).accepted
    ended = finish(world, [slow, quick])

    assert accepted
    assert [(job.state, counters(job)[:3]) for job in ended] == [
        ("SUCCESS", (number, 1, number - 1)) for number in (1, 2, 3)
    ]
    assert max(Counter(slow.ran + quick.ran).values()) == 1


def test_an_early_part_that_a_deletion_makes_unneeded_is_dropped(world: PpsWorld) -> None:
    """The only good job that is left has a datum that the deleted one had not."""
    slow, quick = start(world, 2, a=b"a", b=b"b")
    finish(world, [slow, quick])
    world.put("images", {"/slow": b"slow"}, deleted=["/b"])
    finish(world, [slow, quick])
    world.put("images", {"/slow": b"slower"})
    straggler = take(slow)
    world.put("images", {"/b": b"b"})
    quick.hand_in(quick.results(take(quick)))
    name = JobName(PipelineName("default", "edges"), world.jobs("edges")[2].set_id)
    results = slow.results(straggler)

    world.versions.write(job_ops.delete, name)
    world.end(world.jobs("edges")[1], "KILLED", "stopped")
    accepted = slow.hand_in(results).accepted
    slow.let_go()
    ended = finish(world, [slow, quick])

    assert not accepted
    assert [job.state for job in ended] == ["SUCCESS", "KILLED", "SUCCESS"]
    assert counters(ended[-1]) == (3, 1, 2, 0, 0)
    assert ended[-1].restart == 1
    assert world.files("edges") == {"/a": b"A", "/b": b"B", "/slow": b"SLOWER"}


def test_a_stopped_job_ends_with_its_early_part_and_the_next_ones_go_on(world: PpsWorld) -> None:
    slow, quick = start(world, 2, a=b"slow")
    straggler = take(slow)
    world.put("images", {"/b": b"b"})
    world.put("images", {"/c": b"c"})
    results = quick.results(take(quick))

    world.end(world.jobs("edges")[1], "KILLED", "stopped")
    accepted = quick.hand_in(results).accepted
    quick.let_go()
    slow.hand_in(slow.results(straggler))
    ended = finish(world, [slow, quick])

    assert not accepted
    assert [(job.state, job.processed, job.skipped) for job in ended] == [
        ("SUCCESS", 1, 0), ("KILLED", 0, 0), ("SUCCESS", 2, 1),
    ]  # fmt: skip
    assert world.files("edges") == {"/a": b"SLOW", "/b": b"B", "/c": b"C"}


def test_after_one_of_many_datums_is_corrected_it_alone_runs(world: PpsWorld) -> None:
    files = {f"f{number:02}": b"%d" % number for number in range(40)}
    [hand] = start(world, 1, **files, z=b"bad")
    failed = hand.work_until_ended("edges")
    world.put("images", {"/y": b"bad"})
    again = hand.work_until_ended("edges")

    world.put("images", {"/z": b"good"}, deleted=["/y", "/f03"])
    job = hand.work_until_ended("edges")

    assert (failed.state, again.state, job.state) == ("FAILURE", "FAILURE", "SUCCESS")
    assert again.skipped == failed.processed
    good = {each.row.id.hex() for each in world.datums(job) if each.row.items[0].path != "/z"}
    assert Counter(hand.ran).items() >= dict.fromkeys(good, 1).items()
    assert (job.processed + job.skipped, job.skipped > 0) == (40, again.processed + failed.processed > 0)
    expected = {f"/{name}": data for name, data in files.items() if name != "f03"} | {"/z": b"GOOD"}
    assert world.files("edges") == expected
    states = Counter(str(each.state) for each in world.datums(job))
    assert states == {"SKIPPED": job.skipped, "SUCCESS": job.processed}


def test_what_a_killed_job_has_taken_over_is_listed_while_the_next_one_runs(world: PpsWorld) -> None:
    [hand] = start(world, 1, a=b"a", b=b"b")
    hand.hand_in(hand.results(take(hand), 1))
    world.end(world.jobs("edges")[0], "KILLED", "stopped")
    hand.let_go()
    world.put("images", {"/c": b"c"})
    world.until(lambda: world.jobs("edges")[0].state == "RUNNING", "the next job to run")

    listed = Counter(str(each.state) for each in world.datums(world.jobs("edges")[0]))
    job = finish(world, [hand])[-1]

    assert listed == {"SKIPPED": 1, "UNKNOWN": 2}
    assert counters(job) == (3, 2, 1, 0, 0)
    assert world.files("edges") == {"/a": b"A", "/b": b"B", "/c": b"C"}


def test_a_stream_of_small_commits_takes_as_long_as_list_scheduling_of_its_datums(world: PpsWorld) -> None:
    """On a simulated clock: free workers claim at once, and the datum that ends first is completed next."""
    source = random.Random(20_261_126)
    seconds = {f"/f{number:02}": source.lognormvariate(0.0, 1.0) for number in range(50)}
    hands = start(world, 4)
    for path in seconds:
        world.put("images", {path: path.encode()})
    running: list[tuple[float, int, claims.Claimed]] = []
    free = [(0.0, number) for number in range(4)]
    makespan = 0.0

    for _ in seconds:
        if not free:
            makespan, number, claimed = heapq.heappop(running)
            hands[number].hand_in(hands[number].results(claimed))
            free.append((makespan, number))
        at, number = free.pop()
        claimed = take(hands[number])
        path = hands[number].todo(claimed)[0].items[0].path
        heapq.heappush(running, (at + seconds[path], number, claimed))
    for end, number, claimed in sorted(running, key=lambda entry: entry[0]):
        makespan = max(makespan, end)
        hands[number].hand_in(hands[number].results(claimed))
    ended = finish(world, hands)

    scheduled = [0.0] * 4
    for each in seconds.values():
        heapq.heappush(scheduled, heapq.heappop(scheduled) + each)
    assert makespan <= 1.05 * max(scheduled)
    assert [counters(job)[:3] for job in ended] == [
        (number, min(number, 1), max(0, number - 1)) for number in range(51)
    ]


def test_the_progress_of_a_job_names_its_rate_the_time_left_and_late_datums(world: PpsWorld) -> None:
    slow, quick = start(world, 2, **{f"f{number:02}": b"x" for number in range(12)})
    late = take(slow)
    first = take(quick)
    quick.hand_in(quick.results(first, seconds=2.0))
    begun = world.clock.now() - 60.0
    world.versions.write(claims.renew, slow.id, late.claim.id, 0, begun)
    name = JobName(PipelineName("default", "edges"), world.jobs("edges")[0].set_id)

    seen = progress.of_job(world.versions, name)
    listed = {each.row.id.hex(): each for each in world.datums(world.jobs("edges")[0])}

    done = first.claim.stop
    held = late.claim.stop - late.claim.start
    assert (seen.job.handed_in, seen.running, seen.waiting) == (done - first.claim.start, held, 12 - done)
    assert (seen.workers, seen.outlook.median, seen.outlook.rate) == (1, 2.0, 0.5)
    assert seen.outlook.seconds_left == 2.0 * (12 - seen.job.handed_in)
    assert [(each.worker_id, round(each.times_median)) for each in seen.late] == [(slow.id, 30)]
    assert seen.late[0].id == slow.todo(late)[0].id.hex()
    assert 60.0 <= listed[seen.late[0].id].row.process_ns / 1e9 < 120.0
    assert listed[seen.late[0].id].state == "STARTING"


CONTENTS = st.sampled_from([b"one", b"two", b"bad", b"weak", None])
COMMITS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), CONTENTS, min_size=1, max_size=2), min_size=2, max_size=7
)
#: Who acts next, and what it does: claim, record one datum, record all, give back.
ACTS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "one", "all", "release"])), max_size=40)


#: Where a step of the controller fails once.
FAIL_POINTS = ["early", "plan", "controller.ahead", "controller.settled", "nowhere"]


class Sequential:
    """What the jobs of some commits are one after the other."""

    def __init__(self, commits: Sequence[Mapping[str, bytes | None]]) -> None:
        #: State and files of each job, the first is of an empty commit.
        self.jobs: list[tuple[str, Tree]] = [("SUCCESS", {})]
        #: Datums, and how many of them have to run because no good job has them.
        self.counts = [(0, 0)]
        good: Tree = {}
        tree: Tree = {}
        for commit in commits:
            merged = tree | {name: data for name, data in commit.items() if data is not None}
            tree = {name: data for name, data in merged.items() if commit.get(name, data) is not None}
            todo = {name for name, data in tree.items() if good.get(name) != data or data == b"weak"}
            failed = any(tree[name] == b"bad" for name in todo)
            good = good if failed else dict(tree)
            self.jobs.append(
                (
                    "FAILURE" if failed else "SUCCESS",
                    {f"/{k}": v.upper() for k, v in good.items() if v != b"weak"},
                )
            )
            self.counts.append((len(tree), len(todo)))


def act(hand: Hand, held: dict[str, claims.Claimed], what: str) -> None:
    """Let a worker do one thing."""
    if what == "take" or hand.id not in held:
        claimed = None if hand.id in held else hand.take()
        if claimed is not None:
            held[hand.id] = claimed
        return
    claimed = held[hand.id]
    if not hand.todo_is_there(claimed):  # its job has ended
        del held[hand.id]
        hand.let_go()
        return
    hand.hand_in(hand.results(claimed, 1 if what == "one" else None, release=what == "release"))
    if not hand.todo_is_there(claimed):
        del held[hand.id]
        hand.let_go()


@settings(max_examples=max(6, settings().max_examples // 8))
@given(commits=COMMITS, acts=ACTS, restart_at=st.integers(0, 40), error_at=st.sampled_from(FAIL_POINTS))
def test_overlapping_jobs_come_to_what_they_are_one_after_the_other(
    commits: list[dict[str, bytes | None]], acts: list[tuple[int, str]], restart_at: int, error_at: str
) -> None:
    expected = Sequential(commits)
    with ExitStack() as resources:
        folder = resources.enter_context(TemporaryDirectory())
        world = PpsWorld(resources.enter_context(database_url("sqlite", folder, installed=True)))
        resources.callback(world.close)
        pending = [OSError("the disk does not answer")]

        def fail_once() -> None:
            if pending:
                raise pending.pop()

        resources.enter_context(failpoints.armed(error_at, fail_once))
        world.repo("images")
        world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 3})
        hands = world.hands("edges", 3, upper)
        for commit in commits:
            added = {f"/{name}": data for name, data in commit.items() if data is not None}
            world.put("images", added, [f"/{name}" for name, data in commit.items() if data is None])
        held: dict[str, claims.Claimed] = {}
        for number, (hand, what) in enumerate(acts):
            if number == restart_at:
                world.stop_controller()
                world.start_controller()
            act(hands[hand], held, what)
        for hand in hands:
            hand.let_go()
        ended = finish(world, hands)

        assert [(job.state, world.files("edges", job.set_id)) for job in ended] == expected.jobs
        assert [job.restart for job in ended] == [0] * len(ended)
        for job, (total, todo) in zip(ended, expected.counts, strict=True):
            assert job.total == total
            assert job.processed + job.failed + job.recovered <= todo
            assert job.state == "FAILURE" or job.processed + job.recovered + job.skipped == total
        if all(state == "SUCCESS" for state, _ in expected.jobs):
            assert [job.processed + job.recovered for job in ended] == [todo for _, todo in expected.counts]


@pytest.mark.parametrize(("reprocess", "expected"), [(False, (3, 2, 1)), (True, (3, 3, 0))])
def test_a_rerun_takes_over_results_of_the_planned_job_and_none_of_an_early_part(
    world: PpsWorld, reprocess: bool, expected: tuple[int, int, int]
) -> None:
    slow, quick = start(world, 2, a=b"slow", c=b"c")
    take(slow)
    quick.hand_in(quick.results(take(quick)))
    world.put("images", {"/b": b"b"})
    quick.hand_in(quick.results(take(quick)))

    world.versions.write(pipelines.rerun, "default", "edges", reprocess=reprocess)

    def fresh() -> list[str] | None:
        rows = world.workers("edges")
        for row in rows:
            if row.state == "retiring":
                world.fleet.show(row.id, WorkerPhase.GONE, "ended as asked")
        current = [row.id for row in rows if row.version == 2 and row.id in world.fleet.specs]
        return current if len(current) == 2 else None

    hands = [world.hand(worker_id, upper) for worker_id in world.until(fresh, "workers of the new version")]
    ended = finish(world, hands)
    assert [job.state for job in ended] == ["KILLED", "KILLED", "SUCCESS"]
    assert counters(ended[-1])[:3] == expected
    assert world.files("edges") == {"/a": b"SLOW", "/b": b"B", "/c": b"C"}
