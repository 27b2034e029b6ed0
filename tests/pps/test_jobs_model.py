"""Jobs against a plain model of them: whatever people do to two repos, what runs and what comes out is right."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from postgres_server import database_url
from pps_world import Failed, PpsWorld, Seen, pfs

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.meta.jobs import JobRow

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
    #: What the datums of a good job saw; of a failed one, those that were successes or taken over.
    datums: dict[Key, object]
    #: Files of its output commit. A failed job's commit shows those of the last good one before it, and keeps them
    #: when that one is squashed: a squash never changes the files of a commit that stays.
    files: dict[str, bytes]


@dataclass
class Model:
    """A pipeline as the model has it: its input repos, and its runs, oldest first."""

    sides: tuple[str, ...]
    salt: int = 0
    runs: list[Run] = field(default_factory=list)

    def datums(self, inputs: dict[str, Tree]) -> dict[Key, object]:
        """Return the datums that these inputs mean, with what each sees."""
        expected: dict[Key, object] = {(): (self.salt,)}
        for side in self.sides:
            tops = sorted({path.split("/")[1] for path in inputs[side]})
            expected = {
                (*key, top): (*seen, below(inputs[side], top))  # type: ignore[misc]
                for key, seen in expected.items()
                for top in tops
            }
        return expected

    def last_good(self) -> dict[Key, object]:
        return next((run.datums for run in reversed(self.runs) if run.good), {})

    def left_over(self) -> dict[Key, object]:
        """Return what the job before left to the next one, if it failed."""
        return self.runs[-1].datums if self.runs and not self.runs[-1].good else {}


def below(tree: Tree, top: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((path, data) for path, data in tree.items() if path.split("/")[1] == top))


def output_of(key: Key, seen: object) -> tuple[str, bytes]:
    """Return the one file that a datum writes: a function of what it sees, the salt apart."""
    assert isinstance(seen, tuple)
    return "/" + "-".join(key), repr(seen[1:]).encode()


class Jobs(RuleBasedStateMachine):
    """Two repos, a pipeline over one and a pipeline over the cross of both, and what people do to them."""

    #: The kind of database.
    database = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.resources = contextlib.ExitStack()
        folder = self.resources.enter_context(tempfile.TemporaryDirectory())
        self.world = PpsWorld(
            self.resources.enter_context(database_url(self.database, folder, installed=True))
        )
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
        self.resources.close()

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
        input_spec = pfs("a") if len(sides) == 1 else {"cross": [pfs(side) for side in sides]}
        self.world.pipeline(name, input_spec, update=True, reprocess=reprocess)
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
            if model.runs:
                assert self.world.files(name) == model.runs[-1].files

    def _put(self, repo: str, added: Tree, deleted: list[str]) -> None:
        before = self.history[repo][-1][1] if self.history[repo] else {}
        remaining = {path: data for path, data in before.items() if path not in deleted}
        self.world.put(repo, added, deleted)
        head = self.world.head(repo)
        self.history[repo].append((head, remaining | added))
        self.order.append((head, repo))

    def _forget(self, set_id: str, repo: str) -> None:
        self.order.remove((set_id, repo))
        self.history[repo] = [entry for entry in self.history[repo] if entry[0] != set_id]
        for model in self.models.values():
            model.runs = [run for run in model.runs if run.set_id != set_id]

    def _job(self, name: str) -> None:
        """Let the pipeline's newest job run, and compare it with what the model expects."""
        model = self.models[name]
        expected = model.datums({repo: entries[-1][1] for repo, entries in self.history.items()})
        before, left_over = model.last_good(), model.left_over()
        reused = {
            key: seen for key, seen in expected.items() if left_over.get(key) == seen != before.get(key)
        }
        todo = sorted(key for key, seen in expected.items() if before.get(key) != seen and key not in reused)
        good = not any(b"bad" in repr(expected[key]).encode() for key in todo)
        self.ran[name].clear()

        job = self._work(name)

        assert job.total == len(expected)
        assert job.skipped == len(expected) - len(todo)
        assert len(set(self.ran[name])) == len(self.ran[name]), "a datum ran twice"
        if good:
            assert (job.state, job.processed, job.failed) == ("SUCCESS", len(todo), 0)
            assert sorted(self.ran[name]) == todo
        else:
            assert (job.state, job.failed) == ("FAILURE", 1)
            assert set(self.ran[name]) <= set(todo)
        if good:
            files = dict(output_of(key, seen) for key, seen in expected.items())
        else:
            files = model.runs[-1].files if model.runs else {}
        successes = {
            key: expected[key] for key in self.ran[name] if b"bad" not in repr(expected[key]).encode()
        }
        model.runs.append(Run(job.set_id, good, expected if good else successes | reused, files))

    def _work(self, name: str) -> JobRow:
        """Complete one datum at a time; the counters only grow."""
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


def test_a_failed_commit_keeps_its_files_when_the_good_one_before_it_is_squashed() -> None:
    jobs = Jobs()
    try:
        jobs.make(a={})
        jobs.put(added={"/f1": b"one"}, deleted=[], repo="a")
        jobs.put(added={"/f1": b"bad"}, deleted=[], repo="a")
        jobs.squash(place=0)
        jobs.squash(place=1)
        jobs.outputs_are_a_function_of_the_inputs()
        squashed = jobs.world.files("single")
        # The next job builds on the last good job that is left, not on what the failed commit shows.
        jobs.put(added={"/f2": b"two"}, deleted=["/f1"], repo="a")
        jobs.outputs_are_a_function_of_the_inputs()
    finally:
        jobs.teardown()

    assert set(squashed) == {"/f1"}


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=8,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestJobs.pytestmark = [pytest.mark.timeout(120)]


class PostgresJobs(Jobs):
    database = "postgres"


TestPostgresJobs = PostgresJobs.TestCase
TestPostgresJobs.settings = settings(TestJobs.settings, max_examples=3)
TestPostgresJobs.pytestmark = [pytest.mark.timeout(120)]
