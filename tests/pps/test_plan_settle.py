"""Jobs from plan to output: only what changed runs, and the output is a function of the input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pps_world import Failed, Hand, PpsWorld, Recovered, Seen, pfs

from trunkline import errors
from trunkline.model.states import DatumState
from trunkline.pps import pipelines
from trunkline.pps.jobs import remove_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.meta.jobs import JobRow


def upper(seen: Seen) -> Mapping[str, bytes]:
    """Write every input file in capitals under its own path."""
    found = {path: data.upper() for files in seen.values() for path, data in files.items()}
    if b"BAD" in found.values():
        raise Failed("it was bad")
    return found


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

    told = {listed.row.items[0].path: listed.state for listed in world.datums(job)}
    assert told == {"/a": DatumState.SKIPPED, "/b": DatumState.SUCCESS}


def test_a_failed_datum_fails_the_job_and_nothing_of_it_stays(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.work_until_ended("edges")

    world.put("images", {"/a": b"other", "/b": b"bad"})
    job = hand.work_until_ended("edges")

    failed = next(listed for listed in world.datums(job) if listed.state is DatumState.FAILED)
    assert job.state == "FAILURE"
    assert job.reason == f"datum {failed.row.id.hex()} failed: it was bad"
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
    hand.command = lambda seen: {"/same": b"x"}

    job = hand.work_until_ended("edges")

    first, second = sorted(hand.ran)
    assert job.state == "FAILURE"
    assert job.reason == (
        f"duplicate path output by different datums (/same from {first} and /same from {second})"
    )
    assert world.files("edges") == {}


def test_a_datum_that_writes_the_path_of_a_skipped_one_fails_the_job_too(world: PpsWorld) -> None:
    hand = start(world, a=b"one")
    hand.command = lambda seen: {"/same": b"x"}
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
    kept = world.until_ended("edges")
    world.pipeline("edges", pfs("images"), update=True, reprocess=True)
    again = world.staffed("edges", upper).work_until_ended("edges")

    assert (kept.version, counters(kept)) == (2, (2, 0, 2, 0, 0))
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
    late = hand.hand_in(hand.results(claimed)) if hand.todo_is_there(claimed) else (False, False)
    hand.let_go()
    job = hand.work_until_ended("edges")

    assert late == (False, False)
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


# --- against a model ------------------------------------------------------------------------------------

Tree = dict[str, bytes]
#: A datum of the model: the top-level name of each side. What it means: the side's files below it.
Key = tuple[str, ...]
NAMES = ["f1", "f2", "f3", "d1", "d2"]
PATHS = ["/f1", "/f2", "/f3", "/d1/x", "/d1/y", "/d2/x"]
CONTENTS = st.sampled_from([b"one", b"two", b"", b"bad"])


@dataclass
class Run:
    """A job that ended, as the model has it."""

    set_id: str
    good: bool
    #: What the datums of a good job saw.
    datums: dict[Key, object]


@dataclass
class Model:
    """A pipeline as the model has it: its input repos, and its runs, oldest first."""

    sides: tuple[str, ...]
    salt: int = 0
    runs: list[Run] = field(default_factory=list)

    def datums(self, inputs: dict[str, Tree]) -> dict[Key, object]:
        """Return the datums that these inputs mean, with what each sees."""
        found: dict[Key, object] = {(): (self.salt,)}
        for side in self.sides:
            tops = sorted({path.split("/")[1] for path in inputs[side]})
            found = {
                (*key, top): (*seen, below(inputs[side], top))  # type: ignore[misc]
                for key, seen in found.items()
                for top in tops
            }
        return found

    def last_good(self) -> dict[Key, object]:
        return next((run.datums for run in reversed(self.runs) if run.good), {})


def below(tree: Tree, top: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((path, data) for path, data in tree.items() if path.split("/")[1] == top))


def output_of(key: Key, seen: object) -> tuple[str, bytes]:
    """Return the one file that a datum writes: a function of what it sees, the salt apart."""
    assert isinstance(seen, tuple)
    return "/" + "-".join(key), repr(seen[1:]).encode()


class Jobs(RuleBasedStateMachine):
    """Two repos, a pipeline over one and a pipeline over the cross of both, and what people do to them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = PpsWorld()
        self.models = {"single": Model(("a",)), "pairs": Model(("a", "b"))}
        self.ran: dict[str, list[Key]] = {"single": [], "pairs": []}
        #: Set id and files of each repo's commits, oldest first.
        self.history: dict[str, list[tuple[str, Tree]]] = {"a": [], "b": []}
        self.order: list[tuple[str, str]] = []

    @initialize(a=st.dictionaries(st.sampled_from(PATHS), st.just(b"one"), max_size=4))
    def make(self, a: Tree) -> None:
        self.world.repo("a")
        self.world.repo("b")
        self._put("a", a, [])
        self._put("b", {"/f1": b"one"}, [])
        self.world.pipeline("single", pfs("a"))
        self.world.pipeline("pairs", {"cross": [pfs("a"), pfs("b")]})
        for name in self.models:
            self._job(name)

    def teardown(self) -> None:
        self.world.close()

    @rule(
        repo=st.sampled_from(["a", "b"]),
        added=st.dictionaries(st.sampled_from(PATHS), CONTENTS, max_size=3),
        deleted=st.lists(st.sampled_from(PATHS), max_size=2, unique=True),
    )
    def put(self, repo: str, added: Tree, deleted: list[str]) -> None:
        self._put(repo, added, deleted)
        for name, model in self.models.items():
            if repo in model.sides:
                self._job(name)

    @rule(name=st.sampled_from(["single", "pairs"]), reprocess=st.booleans())
    def update(self, name: str, reprocess: bool) -> None:
        sides = self.models[name].sides
        given = pfs("a") if len(sides) == 1 else {"cross": [pfs(side) for side in sides]}
        self.world.pipeline(name, given, update=True, reprocess=reprocess)
        self.models[name].salt += reprocess
        self._job(name)

    @rule(place=st.integers(0, 20))
    @precondition(lambda self: len(self.order) > 1)
    def squash(self, place: int) -> None:
        """Take a commit out of the middle; who may not be taken out is refused and stays."""
        set_id, repo = self.order[place % len(self.order)]
        try:
            self.world.squash(set_id)
        except errors.FailedPrecondition:
            return
        self._forget(set_id, repo)

    @rule()
    @precondition(lambda self: len(self.order) > 2 and len(self.history[self.order[-1][1]]) > 1)
    def drop(self) -> None:
        """Take the newest commit back with its jobs."""
        set_id, repo = self.order[-1]
        try:
            self.world.drop(set_id)
        except errors.FailedPrecondition:
            return  # an update came after it
        self._forget(set_id, repo)

    @invariant()
    def outputs_are_a_function_of_the_inputs(self) -> None:
        if not self.order:
            return
        for name, model in self.models.items():
            expected = dict(output_of(key, seen) for key, seen in model.last_good().items())
            if model.runs:
                assert self.world.files(name) == expected

    def _put(self, repo: str, added: Tree, deleted: list[str]) -> None:
        before = self.history[repo][-1][1] if self.history[repo] else {}
        kept = {path: data for path, data in before.items() if path not in deleted}
        self.world.put(repo, added, deleted)
        head = self.world.head(repo)
        self.history[repo].append((head, kept | added))
        self.order.append((head, repo))

    def _forget(self, set_id: str, repo: str) -> None:
        self.order.remove((set_id, repo))
        self.history[repo] = [entry for entry in self.history[repo] if entry[0] != set_id]
        for model in self.models.values():
            model.runs = [run for run in model.runs if run.set_id != set_id]

    def _job(self, name: str) -> None:
        """Let the pipeline's newest job run, and compare it with what the model expects."""
        model = self.models[name]
        wanted = model.datums({repo: entries[-1][1] for repo, entries in self.history.items()})
        before = model.last_good()
        todo = sorted(key for key, seen in wanted.items() if before.get(key) != seen)
        good = not any(b"bad" in repr(wanted[key]).encode() for key in todo)
        self.ran[name].clear()

        job = self._work(name)

        assert job.total == len(wanted)
        assert job.skipped == len(wanted) - len(todo)
        assert len(set(self.ran[name])) == len(self.ran[name]), "a datum ran twice"
        if good:
            assert (job.state, job.processed, job.failed) == ("SUCCESS", len(todo), 0)
            assert sorted(self.ran[name]) == todo
        else:
            assert (job.state, job.failed) == ("FAILURE", 1)
            assert set(self.ran[name]) <= set(todo)
        model.runs.append(Run(job.set_id, good, wanted if good else {}))

    def _work(self, name: str) -> JobRow:
        """Hand in one datum at a time and see the counters go up only."""
        hand = self.world.staffed(name, lambda seen: self._command(name, seen))
        seen = (0, 0, 0)

        def look() -> JobRow | None:
            nonlocal seen
            while (claimed := hand.take()) is not None:
                while hand.hand_in(hand.results(claimed, 1))[0] and hand.todo_is_there(claimed):
                    pass
            job = self.world.jobs(name)[0]
            now = (job.processed, job.skipped, job.failed)
            assert all(new >= old for new, old in zip(now, seen, strict=True)), (seen, now)
            assert job.processed + job.skipped + job.failed + job.recovered <= job.total
            seen = now
            return job if job.state in ("SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE") else None

        return self.world.until(look, f"the newest job of {name} to end")

    def _command(self, name: str, seen: Seen) -> Mapping[str, bytes]:
        sides = self.models[name].sides
        key = tuple(next(iter(seen[side])).split("/")[1] for side in sides)
        self.ran[name].append(key)
        if any(data == b"bad" for files in seen.values() for data in files.values()):
            raise Failed("it was bad")
        return dict([output_of(key, (None, *(tuple(sorted(seen[side].items())) for side in sides)))])


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=8,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestJobs.pytestmark = [pytest.mark.timeout(120)]
