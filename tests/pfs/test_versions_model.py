"""The versioned store against a model of dictionaries, by random stories.

Repo ``in`` is written by users on two branches; ``out@master`` comes from ``in@master``, so whatever moves
there brings an open commit in ``out``. Both must always agree with the model on every commit's files,
parent, provenance and error, and on every refusal.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from postgres_server import database_url

from trunkline import errors
from trunkline.app.clock import SystemClock
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.meta import branches as branch_rows
from trunkline.meta import commits as commit_rows
from trunkline.meta import install
from trunkline.meta.database import Database
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import branches, commits, files, repos, resolve, write_streams
from trunkline.pfs.branches import BranchName, Upstream
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pfs.repository import VersionedStore
from trunkline.storage import files as storage_files
from trunkline.storage.files import file_trees
from trunkline.storage.store import ChunkStore

IN, OUT = RepoName("default", "in"), RepoName("default", "out")
MASTER, SIDE, OUTPUT = BranchName(IN, "master"), BranchName(IN, "side"), BranchName(OUT, "master")

paths = st.sampled_from(["/a", "/a/b", "/d/e", "/d/f"])
changes = st.lists(
    st.one_of(
        st.tuples(st.just("add"), paths, st.binary(max_size=3)),
        st.tuples(st.just("delete"), paths | st.sampled_from(["/a/", "/d/", "/"]), st.just(b"")),
    ),
    min_size=1,
    max_size=5,
)
user_branches = st.sampled_from([MASTER, SIDE])


@dataclass
class ModelCommit:
    """What the model knows of a commit: (set id, repo) is its key."""

    set_id: str
    repo: RepoName
    branch: str
    parent: ModelCommit | None
    provenance: list[ModelCommit] = field(default_factory=list)
    layers: list[list[tuple[str, str, bytes]]] = field(default_factory=list)
    finished: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    error: str = ""


def apply(base, layers):
    """Return the files that changes make of ``base``."""
    after = dict(base)
    for layer in layers:
        for verb, path, data in layer:
            if verb == "add":
                after[path] = after.get(path, b"") + data
            elif path.endswith("/"):
                after = {name: contents for name, contents in after.items() if not name.startswith(path)}
            else:
                after.pop(path, None)
    return after


def collision(files_by_path):
    """Whether a path is both a file and a directory."""
    return any(other.startswith(path + "/") for path in files_by_path for other in files_by_path)


class Stories(RuleBasedStateMachine):
    #: The kind of database.
    database = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.databases = contextlib.ExitStack()
        self.db = Database(
            self.databases.enter_context(database_url(self.database, self.folder, installed=True)),
            lambda _: None,
        )
        install.install(self.db, 0.0)
        self.store = ChunkStore(MemoryObjects(), DatabaseChunkIndex(self.db, SystemClock().now), threads=1)
        clock = SystemClock()
        self.versions = VersionedStore(self.db, self.store, file_trees(self.store), None, clock)  # type: ignore[arg-type]
        self.commits: list[ModelCommit] = []
        self.heads: dict[BranchName, ModelCommit | None] = {}
        for repo in (IN, OUT):
            self.versions.write(repos.create_repo, repo, "", update=False)
        self.versions.write(branches.create_branch, MASTER)
        self.record_commit(MASTER, finished=True)
        self.versions.write(branches.create_branch, OUTPUT, provenance=[Upstream(MASTER)])
        self.record_commit(OUTPUT)

    def teardown(self) -> None:
        self.db.close()
        self.databases.close()
        self.store.close()
        shutil.rmtree(self.folder)

    # --- the model ------------------------------------------------------------------------------------

    def set_id_of_head(self, branch):
        def look(conn):
            row = resolve.branch(conn, branch.repo, branch.name)
            return commit_rows.by_id(conn, row.head_id).set_id

        return self.versions.read(look)

    def record_commit(self, branch, *, finished=False, set_id=None):
        """Record that ``branch`` got a new commit, and what this brings downstream."""
        set_id = set_id or self.set_id_of_head(branch)
        new = ModelCommit(set_id, branch.repo, branch.name, self.heads.get(branch), finished=finished)
        if branch == OUTPUT and self.heads.get(MASTER) is not None:
            new.provenance = [self.heads[MASTER]]
        self.commits.append(new)
        self.heads[branch] = new
        if branch == MASTER and OUTPUT in self.heads:
            self.record_commit(OUTPUT, set_id=set_id)
        return new

    def base(self, commit):
        while commit.parent is not None:
            commit = commit.parent
            if commit.finished and not commit.error:
                return commit.files
        return {}

    def finish(self, commit, error=""):
        base = self.base(commit)
        after = apply(base, commit.layers)
        collides = collision(after)
        commit.error = error or ("file / directory path collision" if collides else "")
        commit.files = base if collides else after
        commit.finished, commit.layers = True, []

    def in_set(self, set_id):
        return [commit for commit in self.commits if commit.set_id == set_id]

    def children(self, commit):
        return [other for other in self.commits if other.parent is commit]

    def remove(self, removed):
        for commit in reversed(removed):
            for child in self.children(commit):
                child.parent = commit.parent
            for branch, head in self.heads.items():
                if head is commit:
                    self.heads[branch] = commit.parent
        self.commits = [commit for commit in self.commits if commit not in removed]
        for commit in self.commits:
            commit.provenance = [up for up in commit.provenance if up not in removed]
        # A branch whose last commit went has a new empty one; two branches of a repo share it.
        shared: dict[str, ModelCommit] = {}
        emptied = [branch for branch, head in self.heads.items() if head is None and branch != OUTPUT]
        output_is_empty = self.heads[OUTPUT] is None
        for branch in emptied:
            set_id = self.set_id_of_head(branch)
            if set_id in shared:
                self.heads[branch] = shared[set_id]
            else:
                shared[set_id] = self.record_commit(branch, finished=True)
        if output_is_empty and MASTER not in emptied:
            self.record_commit(OUTPUT)

    def name(self, commit):
        return CommitName(commit.repo, commit.set_id)

    def pick(self, data, values):
        return values[data.draw(st.integers(0, len(values) - 1))]

    # --- what users do --------------------------------------------------------------------------------

    @rule(branch=user_branches)
    def start(self, branch):
        head = self.heads.get(branch)
        if head is not None and not head.finished:
            with pytest.raises(errors.FailedPrecondition, match="has not been finished"):
                self.versions.write(commits.start_commit, branch)
            return
        self.versions.write(commits.start_commit, branch)
        self.record_commit(branch)

    @rule(branch=user_branches, layer=changes)
    def write(self, branch, layer):
        stream = write_streams.CommitStream(self.versions, CommitName(branch.repo, branch=branch.name))
        for verb, path, data in layer:
            if verb == "add":
                stream.add(path, "", data)
            else:
                stream.delete(path, "")
        head = self.heads.get(branch)
        if head is not None and not head.finished:
            stream.finish()
            head.layers.append(layer)
            return
        after = apply(head.files if head is not None else {}, [layer])
        if collision(after):
            with pytest.raises(errors.FailedPrecondition, match="collision"):
                stream.finish()
            return
        stream.finish()
        new = self.record_commit(branch, finished=True)
        new.files = after

    @rule(
        branch=user_branches,
        layers=st.lists(changes, min_size=1, max_size=3),
        error=st.sampled_from(["", "broken"]),
    )
    def commit(self, branch, layers, error):
        """What most users do: all of it in a row. Random steps alone rarely come to it."""
        head = self.heads.get(branch)
        if head is None or head.finished:
            self.start(branch)
        for layer in layers:
            self.write(branch, layer)
        commit = self.heads[branch]
        commits.finish_commit(self.versions, self.name(commit), error=error, force=True)
        self.finish(commit, error)

    @precondition(lambda self: any(not commit.finished for commit in self.commits))
    @rule(data=st.data(), error=st.sampled_from(["", "", "broken"]))
    def finish_one(self, data, error):
        commit = self.pick(data, [commit for commit in self.commits if not commit.finished])
        commits.finish_commit(self.versions, self.name(commit), error=error, force=True)
        self.finish(commit, error)

    @precondition(lambda self: any(not commit.finished for commit in self.commits))
    @rule(data=st.data())
    def clear_one(self, data):
        commit = self.pick(data, [commit for commit in self.commits if not commit.finished])
        self.versions.write(commits.clear_commit, self.name(commit))
        commit.layers = []

    @precondition(lambda self: any(commit.repo == IN for commit in self.commits))
    @rule(data=st.data(), branch=user_branches)
    def move(self, data, branch):
        commit = self.pick(data, [commit for commit in self.commits if commit.repo == IN])
        self.versions.write(branches.create_branch, branch, head=self.name(commit))
        self.heads[branch] = commit
        if branch == MASTER:
            self.record_commit(OUTPUT)

    @precondition(lambda self: self.commits)
    @rule(data=st.data())
    def squash(self, data):
        removed = self.in_set(self.pick(data, self.commits).set_id)
        below = [self.children(commit) for commit in removed]
        if all(below) and all(child.finished for children in below for child in children):
            self.versions.write(commits.squash, removed[0].set_id)
            self.remove(removed)
        else:
            with pytest.raises(errors.FailedPrecondition, match="cannot squash"):
                self.versions.write(commits.squash, removed[0].set_id)

    @precondition(lambda self: self.commits)
    @rule(data=st.data())
    def drop(self, data):
        removed = self.in_set(self.pick(data, self.commits).set_id)
        needed = [
            c
            for c in self.commits
            if c not in removed and (c.parent in removed or any(u in removed for u in c.provenance))
        ]
        if any(self.children(commit) for commit in removed) or needed:
            with pytest.raises(errors.FailedPrecondition, match="drop"):
                self.versions.write(commits.drop, removed[0].set_id)
        else:
            self.versions.write(commits.drop, removed[0].set_id)
            self.remove(removed)

    # --- what must be so ------------------------------------------------------------------------------

    @invariant()
    def every_commit_is_as_the_model_says(self):
        def look(conn):
            rows = [
                row
                for repo in (IN, OUT)
                for row in commit_rows.page(conn, repo_id=resolve.repo(conn, repo).id, number=10_000)
            ]
            return commits.describe_all(conn, rows)

        infos = {
            (info.row.set_id, info.repos[info.row.repo_id].name): info for info in self.versions.read(look)
        }
        assert set(infos) == {(commit.set_id, commit.repo.name) for commit in self.commits}
        for commit in self.commits:
            info = infos[commit.set_id, commit.repo.name]
            assert (info.parent.set_id if info.parent else None) == (
                commit.parent.set_id if commit.parent else None
            )
            assert {up.set_id for up in info.upstream} == {up.set_id for up in commit.provenance}
            assert (info.row.finished is not None) == commit.finished
            assert info.row.error.startswith(commit.error)
            assert bool(info.row.error) == bool(commit.error)

    @invariant()
    def every_head_is_where_the_model_says(self):
        def look(conn):
            heads = {}
            for repo in (IN, OUT):
                for row in branch_rows.of_repo(conn, resolve.repo(conn, repo).id):
                    head = commit_rows.by_id(conn, row.head_id).set_id if row.head_id is not None else None
                    heads[BranchName(repo, row.name)] = head
            return heads

        expected = {branch: head.set_id if head else None for branch, head in self.heads.items()}
        assert self.versions.read(look) == expected

    @invariant()
    def every_commit_can_be_read_and_holds_what_the_model_says(self):
        for commit in self.commits:
            expected = commit.files if commit.finished else apply(self.base(commit), commit.layers)
            if not commit.finished and collision(expected):
                with pytest.raises(errors.FailedPrecondition, match="cannot be read"):
                    files.snapshot(self.versions, self.name(commit))
                continue
            view = files.snapshot(self.versions, self.name(commit))
            contents = {
                entry.path: b"".join(view.read(entry))
                for entry in storage_files.walk(self.versions.trees, view.tree)
                if not entry.is_dir
            }
            assert contents == expected


TestStories = Stories.TestCase
TestStories.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class PostgresStories(Stories):
    database = "postgres"


TestPostgresStories = PostgresStories.TestCase
TestPostgresStories.settings = settings(TestStories.settings, max_examples=5)
