"""Jobs from plan to output: only what changed runs, and the output is a function of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pps_world import Failed, Hand, PpsWorld, Recovered, Seen, pfs

from trunkline.errors import Cancelled, NotFound
from trunkline.model import limits
from trunkline.model.names import JobName, PipelineName
from trunkline.model.states import DatumState
from trunkline.pps import datums, pipelines, plan, settle, sorted_rows
from trunkline.pps.jobs import remove_jobs
from trunkline.pps.queries import datum_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.meta.jobs import JobRow


def upper(seen: Seen) -> Mapping[str, bytes]:
    """Write every input file in capitals under its own path."""
    outputs = {path: data.upper() for files in seen.values() for path, data in files.items()}
    if b"BAD" in outputs.values():
        raise Failed("it was bad")
    return outputs


def start(world: PpsWorld, **files: bytes) -> Hand:
    """Make a repo with files at the root, a pipeline over ``/*``, and its worker."""
    world.repo("images")
    if files:
        world.put("images", {f"/{name}": data for name, data in files.items()})
    world.pipeline("edges", pfs("images"))
    return world.hands("edges", 1, upper)[0]


def counters(job: JobRow) -> tuple[int, int, int, int, int]:
    return job.total, job.processed, job.skipped, job.failed, job.recovered


def test_the_first_job_runs_every_datum(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")

    job = hand.work_until_ended("edges")

    assert (job.state, counters(job)) == ("SUCCESS", (2, 2, 0, 0, 0))
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO"}


def test_a_datum_of_a_job_that_has_ended_cannot_be_restarted(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    job = hand.work_until_ended("edges")
    name = JobName(PipelineName("default", "edges"), job.set_id)

    # The published SDK's own tests expect this text.
    with pytest.raises(
        NotFound, match=rf"^datum matching filter \[/a\] could not be found for job ID {name.id}"
    ):
        datum_queries.restart(world.versions, name, ["/a"])


def test_an_unchanged_datum_is_not_run_again(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.work_until_ended("edges")
    hand.ran.clear()

    world.put("images", {"/c": b"three"})
    job = hand.work_until_ended("edges")

    assert counters(job) == (3, 1, 2, 0, 0)
    assert len(hand.ran) == 1
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO", "/c": b"THREE"}


def test_a_replaced_file_replaces_its_output_and_a_deleted_one_takes_it_along(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two", c=b"three")
    hand.work_until_ended("edges")
    hand.ran.clear()

    world.put("images", {"/a": b"ONE!"}, deleted=["/b"])
    job = hand.work_until_ended("edges")

    assert counters(job) == (2, 1, 1, 0, 0)
    assert len(hand.ran) == 1
    assert world.files("edges") == {"/a": b"ONE!", "/c": b"THREE"}


def test_results_that_do_not_fit_in_memory_are_the_same_results(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "_ROWS_TOGETHER", 2)
    contents = {f"f{number}": b"%d" % number for number in range(12)}
    hand = start(world, **contents)
    hand.work_until_ended("edges")

    world.put("images", {"/f3": b"new"}, deleted=["/f4"])
    job = hand.work_until_ended("edges")
    world.put("images", {"/g": b"more"})
    again = hand.work_until_ended("edges")

    expected = {f"/{name}": content for name, content in contents.items() if name != "f4"}
    assert counters(job) == (11, 1, 10, 0, 0)
    assert counters(again) == (12, 1, 11, 0, 0)
    assert world.files("edges") == expected | {"/f3": b"NEW", "/g": b"MORE"}


def test_a_commit_that_changes_nothing_succeeds_without_a_worker(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")

    world.put("images", {"/a": b"one"})
    job = world.until_ended("edges")

    assert (job.state, counters(job)) == ("SUCCESS", (1, 0, 1, 0, 0))
    assert world.files("edges") == {"/a": b"ONE"}


def test_the_datums_of_a_job_tell_what_ran_and_what_was_skipped(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")
    world.put("images", {"/b": b"two"})

    job = hand.work_until_ended("edges")

    states = {listed.row.items[0].path: listed.state for listed in world.datums(job)}
    assert states == {"/a": DatumState.SKIPPED, "/b": DatumState.SUCCESS}


def test_a_failed_datum_fails_the_job_and_nothing_of_it_stays(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")

    world.put("images", {"/a": b"other", "/b": b"bad"})
    job = hand.work_until_ended("edges")

    failed = next(listed for listed in world.datums(job) if listed.state is DatumState.FAILED)
    assert job.state == "FAILURE"
    assert job.reason == f"{failed.row.items[0].path}: it was bad (datum {failed.row.id.hex()})"
    assert failed.row.items[0].path == "/b"
    assert world.files("edges") == {"/a": b"ONE"}


def test_after_a_failure_the_next_job_builds_on_the_last_good_one(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.work_until_ended("edges")
    world.put("images", {"/c": b"bad"})
    hand.work_until_ended("edges")

    world.put("images", {"/c": b"good"})
    job = hand.work_until_ended("edges")

    assert (job.state, counters(job)) == ("SUCCESS", (3, 1, 2, 0, 0))
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO", "/c": b"GOOD"}


def test_the_job_downstream_of_a_failed_one_is_unrunnable_and_says_why(world: PpsWorld) -> None:
    hand = start(world, a=b"bad")
    world.pipeline("montage", pfs("edges", "/"))

    failed = hand.work_until_ended("edges")
    job = world.until_ended("montage")

    assert failed.state == "FAILURE"
    assert job.state == "UNRUNNABLE"
    assert job.reason == (
        f"unrunnable because the following upstream commits failed: default/edges@{failed.set_id}"
    )


def test_two_datums_that_write_one_path_fail_the_job_with_both_named(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.command = lambda _seen: {"/same": b"x"}

    job = hand.work_until_ended("edges")

    first, second = sorted(hand.ran)
    assert job.state == "FAILURE"
    assert job.reason == (
        f"duplicate path output by different datums (/same from {first} and /same from {second})"
    )
    assert world.files("edges") == {}


def test_a_datum_that_writes_the_path_of_a_skipped_one_fails_the_job_too(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.command = lambda _seen: {"/same": b"x"}
    hand.work_until_ended("edges")

    world.put("images", {"/b": b"two"})
    job = hand.work_until_ended("edges")

    first, second = sorted(hand.ran)
    assert job.reason == (
        f"duplicate path output by different datums (/same from {first} and /same from {second})"
    )
    assert world.files("edges") == {"/same": b"x"}


def test_a_file_where_another_datum_has_a_folder_fails_the_job_with_the_path(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.command = lambda seen: {"/x": b"1"} if "/a" in seen["images"] else {"/x/y": b"2"}

    job = hand.work_until_ended("edges")

    assert (job.state, job.reason) == ("FAILURE", "file / directory path collision (/x)")


def test_a_recovered_datum_is_a_success_without_output_and_runs_again_next_time(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    state = {"broken": True}

    def flaky(seen: Seen) -> Mapping[str, bytes]:
        if state["broken"] and "/b" in seen["images"]:
            raise Recovered
        return upper(seen)

    hand.command = flaky
    first = hand.work_until_ended("edges")
    state["broken"] = False
    world.put("images", {"/c": b"three"})
    second = hand.work_until_ended("edges")

    assert (first.state, counters(first)) == ("SUCCESS", (2, 1, 0, 0, 1))
    assert (second.state, counters(second)) == ("SUCCESS", (3, 2, 1, 0, 0))
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO", "/c": b"THREE"}


def test_an_update_without_reprocessing_skips_and_one_with_it_runs_everything(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.work_until_ended("edges")

    world.pipeline("edges", pfs("images"), update=True)
    job = world.until_ended("edges")
    world.pipeline("edges", pfs("images"), update=True, reprocess=True)
    again = world.staffed("edges", upper).work_until_ended("edges")

    assert (job.version, counters(job)) == (2, (2, 0, 2, 0, 0))
    assert (again.version, counters(again)) == (3, (2, 2, 0, 0, 0))
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO"}


def test_an_update_of_the_glob_keeps_nothing_of_datums_that_are_no_more(world: PpsWorld) -> None:
    hand = start(world, a=b"one", b=b"two")
    hand.work_until_ended("edges")

    world.pipeline("edges", pfs("images", "/a"), update=True)
    job = world.until_ended("edges")

    assert counters(job) == (1, 0, 1, 0, 0)
    assert world.files("edges") == {"/a": b"ONE"}


def test_reprocessing_every_job_skips_nothing(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/a": b"one"})
    world.pipeline("edges", pfs("images"), reprocess_spec="every_job")
    hand = world.hands("edges", 1, upper)[0]
    hand.work_until_ended("edges")

    world.put("images", {"/b": b"two"})
    job = hand.work_until_ended("edges")

    assert counters(job) == (2, 2, 0, 0, 0)
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO"}


def test_a_job_whose_base_is_deleted_under_it_starts_again_on_an_older_one(world: PpsWorld) -> None:
    """What it had planned to skip is in no job that still exists, so it must run."""
    hand = start(world, a=b"one")
    base = hand.work_until_ended("edges")
    world.put("images", {"/b": b"two"})
    running = world.until_state("edges", "RUNNING")
    claimed = hand.take()
    assert claimed is not None

    world.versions.write(remove_jobs, [base])
    accepted = hand.todo_is_there(claimed) and hand.hand_in(hand.results(claimed)).accepted
    hand.let_go()
    job = hand.work_until_ended("edges")

    assert not accepted
    assert job.set_id == running.set_id
    assert (job.state, job.restart, counters(job)) == ("SUCCESS", 1, (2, 2, 0, 0, 0))
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO"}


def test_an_input_commit_of_the_base_that_was_squashed_away_does_not_make_outputs_double(
    world: PpsWorld,
) -> None:
    """Without the commit the old datums cannot be listed; the base's own record of them must be used."""
    world.repo("a")
    world.repo("b")
    world.put("b", {"/b1": b"left"})
    world.put("a", {"/a1": b"one"})
    squashed = world.head("a")
    world.pipeline("pairs", {"cross": [pfs("a"), pfs("b")]})
    hand = world.hands("pairs", 1, lambda seen: {"".join(seen["a"]): b"".join(seen["a"].values()).upper()})
    hand[0].work_until_ended("pairs")
    world.put("b", {"/b1": b"right"})
    base = hand[0].work_until_ended("pairs")
    hand[0].command = upper
    world.put("a", {"/a2": b"bad"})
    failed = hand[0].work_until_ended("pairs")

    world.squash(squashed)
    hand[0].command = lambda seen: {"".join(seen["a"]): b"".join(seen["a"].values()).upper()}
    world.put("a", {"/a2": b"two"})
    job = hand[0].work_until_ended("pairs")

    assert (base.state, failed.state) == ("SUCCESS", "FAILURE")
    assert (job.base_id, job.state, counters(job)) == (base.id, "SUCCESS", (2, 1, 1, 0, 0))
    assert world.files("pairs") == {"/a1": b"ONE", "/a2": b"TWO"}


def test_a_stopped_pipeline_makes_no_jobs_and_catches_up_when_it_is_started(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")

    world.versions.write(pipelines.stop, "default", "edges")
    world.until_empty("edges")
    world.put("images", {"/b": b"two"})
    while_stopped = len(world.jobs("edges"))
    world.versions.write(pipelines.start, "default", "edges")
    job = world.staffed("edges", upper).work_until_ended("edges")

    assert while_stopped == 1
    assert counters(job) == (2, 1, 1, 0, 0)
    assert world.files("edges") == {"/a": b"ONE", "/b": b"TWO"}


def test_stopping_a_pipeline_kills_its_job_and_its_commit_keeps_the_last_good_files(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")
    world.put("images", {"/b": b"two"})
    world.until_state("edges", "RUNNING")

    world.versions.write(pipelines.stop, "default", "edges")
    job = world.until_ended("edges")

    assert (job.state, job.reason) == ("KILLED", "pipeline was stopped")
    assert world.files("edges") == {"/a": b"ONE"}


def test_a_cross_beyond_the_limit_fails_its_job_and_harms_no_other(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datums.limits, "DATUMS", limits.Limit(8, "datums", "a small limit"))
    hand = start(world, a=b"one", b=b"two", c=b"three")
    pair = {"cross": [pfs("images"), pfs("images", name="again")]}
    world.pipeline("pairs", pair)

    refused = world.until_ended("pairs")
    job = hand.work_until_ended("edges")

    assert (refused.state, refused.total) == ("FAILURE", 0)
    assert "9 datums" in refused.reason
    assert job.state == "SUCCESS"


def test_a_plan_that_does_not_fit_in_memory_is_the_same_plan(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_rows.SortedRows.__init__, "__defaults__", (2,))
    hand = start(world, **{f"f{number}": b"x" for number in range(9)})
    hand.work_until_ended("edges")
    hand.ran.clear()

    world.put("images", {"/f3": b"new", "/g": b"more"})
    changed = hand.work_until_ended("edges")
    world.pipeline("edges", pfs("images", glob="/f*"), update=True)
    narrowed = world.until_ended("edges")

    assert counters(changed) == (10, 2, 8, 0, 0)
    assert (narrowed.total, narrowed.skipped) == (9, 9)


def test_planning_ends_when_its_job_has_ended(world: PpsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WATCHED_ROWS", 1)
    start(world, a=b"one", b=b"two")
    job = world.until_state("edges", "RUNNING")
    world.end(job, "KILLED", "enough")

    with pytest.raises(Cancelled):
        plan.plan(world.versions, world.specs, job)


# --- join and group -------------------------------------------------------------------------------------


def joined(seen: Seen) -> Mapping[str, bytes]:
    """Write what the inputs hold, by the names of the files."""
    [name] = {path for files in seen.values() for path in files}
    return {name: b"".join(data for _, files in sorted(seen.items()) for data in files.values())}


def test_a_changed_file_of_a_join_runs_its_key_alone(world: PpsWorld) -> None:
    for repo in ("left", "right"):
        world.repo(repo)
        world.put(repo, {f"/{name}": f"{repo}-{name} ".encode() for name in "abc"})
    sides = [pfs(repo, "/(*)", join_on="$1", outer_join=repo == "left") for repo in ("left", "right")]
    world.pipeline("pairs", {"join": sides})
    hand = world.hands("pairs", 1, joined)[0]
    first = hand.work_until_ended("pairs")

    world.put("right", {"/a": b"new"}, deleted=["/b"])
    job = hand.work_until_ended("pairs")

    assert (counters(first), counters(job)) == ((3, 3, 0, 0, 0), (3, 2, 1, 0, 0))
    assert world.files("pairs") == {"/a": b"left-a new", "/b": b"left-b ", "/c": b"left-c right-c "}


def test_a_group_runs_again_when_a_file_comes_and_goes_with_its_last(world: PpsWorld) -> None:
    world.repo("words")
    world.put("words", {"/a-1": b"1", "/a-2": b"2", "/b-1": b"3"})
    world.pipeline("sums", {"group": [pfs("words", "/(*)-*", group_by="$1")]})
    hand = world.hands("sums", 1, lambda seen: {min(seen["words"])[:2]: str(len(seen["words"])).encode()})[0]
    hand.work_until_ended("sums")

    world.put("words", {"/a-3": b"4"}, deleted=["/b-1"])
    job = hand.work_until_ended("sums")

    assert counters(job) == (1, 1, 0, 0, 0)
    assert world.files("sums") == {"/a": b"3"}


# --- leaves ---------------------------------------------------------------------------------------------


def test_branches_of_a_union_with_one_name_read_their_own_repos(world: PpsWorld) -> None:
    for repo in ("left", "right"):
        world.repo(repo)
        world.put(repo, {f"/{repo}": repo.encode()})
    world.pipeline("both", {"union": [pfs(repo, name="in") for repo in ("left", "right")]})

    job = world.hands("both", 1, upper)[0].work_until_ended("both")

    assert counters(job) == (2, 2, 0, 0, 0)
    assert world.files("both") == {"/left": b"LEFT", "/right": b"RIGHT"}


def test_an_input_that_names_a_commit_reads_it_whatever_comes_later(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/a": b"old"})
    pinned = world.head("images")
    world.put("images", {"/a": b"new", "/b": b"new"})
    world.pipeline("edges", pfs("images", commit=pinned))

    first = world.hands("edges", 1, upper)[0].work_until_ended("edges")
    world.put("images", {"/c": b"newer"})
    second = world.until_ended("edges")

    assert (counters(first), counters(second)) == ((1, 1, 0, 0, 0), (1, 0, 1, 0, 0))
    assert world.files("edges") == {"/a": b"OLD"}


def test_a_job_whose_named_commit_was_deleted_fails_and_says_so(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/a": b"old"})
    pinned = world.head("images")
    world.put("images", {"/a": b"new"})
    world.pipeline("edges", pfs("images", commit=pinned))
    world.hands("edges", 1, upper)[0].work_until_ended("edges")

    world.squash(pinned)
    world.put("images", {"/a": b"newer"})
    job = world.until_ended("edges")

    assert job.state == "FAILURE"
    assert pinned in job.reason


def test_an_input_cannot_name_a_commit_that_does_not_exist(world: PpsWorld) -> None:
    world.repo("images")

    with pytest.raises(NotFound):
        world.pipeline("edges", pfs("images", commit="0123456789ab4def0123456789abcdef"))


def test_a_reference_runs_nothing_again_and_an_input_that_never_propagates_starts_nothing(
    world: PpsWorld,
) -> None:
    for repo in ("images", "rules", "notes"):
        world.repo(repo)
        world.put(repo, {"/a": b"one"})
    quiet = pfs("notes", "/", propagation_spec={"never": True})
    world.pipeline("edges", {"cross": [pfs("images"), pfs("rules", "/", reference=True), quiet]})
    hand = world.hands("edges", 1, lambda seen: seen["notes"])[0]
    hand.work_until_ended("edges")

    world.put("rules", {"/a": b"two"})
    referred = hand.work_until_ended("edges")
    world.put("notes", {"/a": b"two"})
    world.put("images", {"/a": b"two"})
    changed = hand.work_until_ended("edges")

    assert len(world.jobs("edges")) == 3
    assert (counters(referred), counters(changed)) == ((1, 0, 1, 0, 0), (1, 1, 0, 0, 0))
    assert world.files("edges") == {"/a": b"two"}
