"""What the datums of a job add up to, and pages of them: live or finished, in any order, from any place."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

import pytest
from pps_world import Failed, PpsWorld, pfs

from trunkline import errors
from trunkline.meta.datum_sums import SumRow
from trunkline.model import names
from trunkline.model.states import DatumState
from trunkline.pps import datum_sums, sum_merging
from trunkline.pps.datum_sums import Distribution, Measured
from trunkline.pps.queries import datum_pages, datum_summary, job_comparison, timeline
from trunkline.pps.queries.datum_pages import Order, Selection
from trunkline.pps.queries.timeline import Range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.meta.datum_sums import NewSum
    from trunkline.meta.jobs import JobRow

DATABASES = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)


def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def job_name(job: JobRow) -> names.JobName:
    return names.JobName(names.PipelineName("default", "copy"), job.set_id)


def stored(number: int, new: NewSum, worker: str = "w") -> tuple[SumRow, bytes]:
    """Return a sum as it is read."""
    row = SumRow(number, worker, new.begin, new.end, new.count, new.failed, new.recovered, new.busy)
    return row, new.body


def measured(microseconds: Sequence[int], begin: float = 1000.0) -> list[Measured]:
    """Return datums that follow each other and take so long."""
    datums, at = [], begin
    for duration in microseconds:
        datums.append(Measured(DatumState.SUCCESS, duration * 1000, duration, 1, at, at + duration / 1e6))
        at += duration / 1e6
    return datums


def test_merged_sums_give_the_quartiles_of_all_datums_within_their_error() -> None:
    chance = random.Random(3)
    durations = [int(chance.lognormvariate(10, 2)) + 1 for _ in range(4_000)]
    sums, at = [], 1000.0
    for number in range(0, len(durations), 40):
        new = datum_sums.sum_of(number, measured(durations[number : number + 40], at), 1e9)
        at = new.end
        sums.append(stored(number, new))

    merged = datum_sums.merged(
        [stored(0, datum_sums.merged(sums[:50])), stored(1, datum_sums.merged(sums[50:]))]
    )

    body = datum_sums.decode(merged.body)
    distribution = Distribution()
    assert body.seconds is not None
    distribution.add(body.seconds)
    numbers = distribution.five_numbers(1.0)
    assert numbers is not None
    assert (numbers.count, numbers.least, numbers.largest) == (4_000, min(durations), max(durations))
    exact = statistics.quantiles(durations, n=4, method="inclusive")
    for estimate, value in zip(
        (numbers.lower_quartile, numbers.median, numbers.upper_quartile), exact, strict=True
    ):
        assert abs(estimate / value - 1) <= numbers.error + 0.01
    assert body.runs == [(0, 4_000)]
    assert max(each.duration for each in body.datums) == max(durations)


def test_a_sum_of_many_datums_lists_all_that_failed_and_the_slowest() -> None:
    datums = measured([1_000 + number for number in range(100)])
    datums[7] = Measured(DatumState.FAILED, 1_000, 1, 0, datums[7].started, datums[7].finished)

    new = datum_sums.sum_of(50, datums, 1e9)

    listed = datum_sums.decode(new.body).datums
    assert [each.position for each in listed] == [57, *range(142, 150)]
    assert (new.count, new.failed) == (100, 1)


def test_a_worker_whose_clock_is_ahead_ends_its_datums_now() -> None:
    new = datum_sums.sum_of(0, measured([1_000_000], begin=5_000.0), 1_000.0)

    assert (new.begin, new.end) == (999.0, 1_000.0)


def test_merging_leaves_a_bounded_number_of_sums_of_each_time() -> None:
    sums = [
        SumRow(at * 3 + worker, f"w{worker}", float(at), at + 1.0, 1, 0, 0, 1.0)
        for at in range(6_000)
        for worker in range(3)
    ]

    groups = sum_merging.grouped(sums)

    merged = sum(len(group) - 1 for group in groups)
    assert len(sums) - merged <= sum_merging.REMAINING + 3
    assert all(len({row.worker_id for row in group}) == 1 for group in groups)
    spans = [group[-1].end - group[0].begin for group in groups]
    assert max(spans) <= 2 * 18_000 / sum_merging.REMAINING


@DATABASES
def test_sums_that_are_too_many_are_merged_and_say_the_same(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.repo("in")
    world.put("in", {f"/{number:02}": b"x" for number in range(24)})
    world.pipeline("copy", pfs("in"))
    hand = world.staffed("copy", copy)
    claimed = hand.take()
    while claimed is not None:
        hand.hand_in(hand.results(claimed, 1, seconds=2.0))
        claimed = claimed if hand.todo_is_there(claimed) else hand.take()
    job = world.until_ended("copy")
    before = datum_summary.summary(world.versions, job_name(job))
    monkeypatch.setattr(sum_merging, "MOST", 10)
    monkeypatch.setattr(sum_merging, "REMAINING", 6)

    sum_merging.merge(world.versions, job.id)

    seen = world.versions.read(datum_summary.look, job_name(job))
    after = datum_summary.summary(world.versions, job_name(job))
    assert len(seen.sums) <= 7
    assert sum(row.count for row, _ in seen.sums) == 24
    assert before.seconds is not None
    assert after.seconds is not None
    assert (after.seconds.count, after.seconds.largest) == (24, before.seconds.largest)


@DATABASES
def test_a_job_is_summed_up_the_same_while_it_runs_and_afterwards(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number:02}": b"x" * number for number in range(20)})
    world.pipeline("copy", pfs("in"))
    hand = world.staffed("copy", copy)
    claimed = hand.take()
    assert claimed is not None
    hand.hand_in(hand.results(claimed, 1, seconds=3.0))
    hand.renew(claimed)
    running = datum_summary.summary(world.versions, job_name(world.jobs("copy")[0]))
    while claimed is not None:
        hand.hand_in(hand.results(claimed, seconds=1.0))
        claimed = hand.take()
    job = world.until_ended("copy")

    ended = datum_summary.summary(world.versions, job_name(job))

    assert running.states[DatumState.SUCCESS] == 1
    assert running.states[DatumState.STARTING] + running.states[DatumState.UNKNOWN] == 19
    assert ended.states == {DatumState.SUCCESS: 20}
    assert ended.seconds is not None
    assert (ended.seconds.least, ended.seconds.median, ended.seconds.largest) == (1.0, 1.0, 3.0)
    assert ended.input_bytes is not None
    assert (ended.input_bytes.least, ended.input_bytes.largest) == (0, 19)
    assert [line.listed.row.id for line in running.slowest] == [ended.slowest[0].listed.row.id]
    assert ended.slowest[0].worker_id == hand.id


def test_a_page_of_datums_begins_at_any_offset_of_a_live_job_with_a_base(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number:02}": b"x" for number in range(30)})
    world.pipeline("copy", pfs("in"))
    world.staffed("copy", copy).work_until_ended("copy")
    world.put("in", {f"/{number:02}": b"y" for number in range(25, 40)}, deleted=["/00", "/01"])
    hand = world.staffed("copy", copy)
    claimed = world.until(hand.take, "work")
    hand.hand_in(hand.results(claimed, 1))
    job = world.jobs("copy")[0]
    everything = world.datums(job)

    pages = [
        datum_pages.page(world.versions, job_name(job), Selection(offset=offset, number=5))
        for offset in range(0, 40, 5)
    ]

    listed = [line.listed for page in pages for line in page.lines]
    assert [each.row.id for each in listed] == [each.row.id for each in everything]
    assert [each.state for each in listed] == [each.state for each in everything]
    assert {page.total for page in pages} == {38}
    assert pages[0].token == "5"
    assert pages[-1].token == ""


def test_datums_are_listed_by_state_by_duration_and_by_a_text_in_their_paths(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number:02}": b"x" for number in range(40)})
    world.pipeline("copy", pfs("in"))
    hand = world.staffed("copy", copy)
    claimed = hand.take()
    seconds = 0.0
    while claimed is not None:
        seconds += 1
        hand.hand_in(hand.results(claimed, 1, seconds=seconds))
        claimed = claimed if hand.todo_is_there(claimed) else hand.take()
        if seconds == 39:
            hand.command = _fail
    job = world.until_ended("copy")
    name = job_name(job)

    slow = datum_pages.page(world.versions, name, Selection(order=Order.DURATION, number=3))
    failed = datum_pages.page(world.versions, name, Selection(order=Order.STATE, number=2))
    rest = datum_pages.page(world.versions, name, Selection(order=Order.STATE, number=99, token=failed.token))
    matching = datum_pages.page(world.versions, name, Selection(text="/1"))
    [lane] = timeline.timeline(world.versions, name, Range()).lanes
    named = datum_pages.page(world.versions, name, Selection(ids=[slow.lines[0].listed.row.id.hex(), "ff"]))

    assert [line.listed.row.process_ns / 1e9 for line in slow.lines] == [40, 39, 38]
    assert (slow.total, slow.token) == (40, "3")
    assert [(line.listed.row.id, line.worker_id) for line in named.lines] == [
        (slow.lines[0].listed.row.id, hand.id)
    ]
    assert named.lines[0].started is not None
    assert [(bar.count, bar.failed) for bar in lane.bars or ()] == [(1, 0)] * 39 + [(1, 1)]
    assert [line.listed.state for line in failed.lines] == [DatumState.FAILED, DatumState.SUCCESS]
    ids = [line.listed.row.id for page in (failed, rest) for line in page.lines]
    assert sorted(ids) == [each.row.id for each in world.datums(job)]
    assert {line.listed.row.items[0].path for line in matching.lines} == {f"/{at}" for at in range(10, 20)}


def _fail(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    raise Failed("no")


def test_a_timeline_has_a_lane_for_each_worker_and_selects_what_ran_in_a_range(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number}": b"x" for number in range(8)})
    world.pipeline("copy", pfs("in"), parallelism_spec={"constant": 2})
    hands = world.hands("copy", 2, copy)
    world.clock.stop()
    claims = [hand.take() for hand in hands]
    for hand, claimed in zip(hands, claims, strict=True):
        assert claimed is not None
        world.clock.ahead += 10.0
        hand.hand_in(hand.results(claimed, 1, seconds=10.0))
    job = world.jobs("copy")[0]

    seen = timeline.timeline(world.versions, job_name(job), Range(width=20))
    first = timeline.timeline(
        world.versions, job_name(job), Range(begin=seen.begin, end=seen.begin + 5.0, width=10)
    )
    brushed = datum_pages.page(
        world.versions, job_name(job), Selection(begin=seen.begin, end=seen.begin + 5.0)
    )

    assert [lane.worker_id for lane in seen.lanes] == [hand.id for hand in hands]
    assert [list(lane.busy) for lane in seen.lanes] == [[255] * 10 + [0] * 10, [0] * 10 + [255] * 10]
    assert [[bar.state for bar in lane.bars or ()] for lane in seen.lanes] == [[DatumState.SUCCESS]] * 2
    assert [lane.worker_id for lane in first.lanes] == [hands[0].id]
    [line] = brushed.lines
    assert claims[0] is not None
    assert line.listed.position == claims[0].claim.start


def test_compared_jobs_name_what_changed_and_which_datums_fail_now(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {f"/{number}": b"x" for number in range(5)})
    world.pipeline("copy", pfs("in"))
    first = world.staffed("copy", copy).work_until_ended("copy")
    world.put("in", {"/0": b"y", "/9": b"x"}, deleted=["/1"])
    second = world.staffed("copy", copy).work_until_ended("copy")
    world.put("in", {"/2": b"z"})
    world.pipeline("copy", pfs("in"), update=True, description="changed")
    third = world.staffed("copy", _fail).work_until_ended("copy")

    good = job_comparison.compare(world.versions, world.specs, job_name(first), job_name(second))
    bad = job_comparison.compare(world.versions, world.specs, job_name(second), job_name(third))

    assert good.changes is not None
    assert (good.changes.added, good.changes.removed, good.changes.changed) == (1, 1, 1)
    assert [row.job.set_id for row in good.rows] == [first.set_id, second.set_id]
    assert [change.branch for change in good.inputs] == ["default/in@master"]
    assert "description" in [change.path for change in bad.spec]
    assert bad.changes is None
    assert [line.listed.row.items[0].path for line in bad.now_failed] == ["/2"]


def test_a_page_with_a_token_of_another_list_is_refused(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"x"})
    world.pipeline("copy", pfs("in"))
    job = world.staffed("copy", copy).work_until_ended("copy")

    for token in ("x", "after:x"):
        selection = Selection(token=token, text="a" if token.startswith("after") else "")
        with pytest.raises(errors.InvalidArgument):
            datum_pages.page(world.versions, job_name(job), selection)
