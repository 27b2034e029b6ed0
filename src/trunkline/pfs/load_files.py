"""The random files of load tests: made from a seed, written to commits, and compared with what commits hold."""

from __future__ import annotations

import json
import random
import string
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from msgspec import Struct

from trunkline import errors
from trunkline.meta import repos
from trunkline.model import names
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import commits, files, filesets, reading
from trunkline.pfs.branches import BranchName
from trunkline.pfs.write_streams import CommitStream, FileSetStream
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.model.load_specs import LoadSpec, RandomFiles, Size
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore

#: Letters of a random name.
_LETTERS = 32
#: Bytes made at a time.
_BLOCK = 1 << 20
_STATE = "/state"

#: Files by their paths, each as the BLAKE3 of its content.
Contents = dict[str, bytes]


class CheckedCommit(Struct, frozen=True):
    """A commit that was compared with what it should hold."""

    project: str
    repo: str
    id: str
    #: ``digest`` of its contents, in hex.
    digest: str

    @property
    def name(self) -> CommitName:
        """The commit."""
        return CommitName(RepoName(self.project, self.repo), id=self.id)


class LoadState(Struct, frozen=True):
    """What a load test leaves for one that goes on from it."""

    branch: BranchName
    commits: list[CheckedCommit]


class RandomSource:
    """Random files; the same seed gives the same files.

    Args:
        spec: their folders, sizes and names.
        random: numbers.
    """

    def __init__(self, spec: RandomFiles, random: random.Random) -> None:
        self._spec = spec
        self._random = random
        self._number = 0
        self._folder = ""
        self._remaining = 0

    def next(self) -> tuple[str, int]:
        """Return the path and size of the next file."""
        size = self._random.choices(self._spec.sizes, [each.prob for each in self._spec.sizes])[0]
        name = f"{self._number:016d}" if self._spec.increment_path else self._name()
        self._number += 1
        return f"{self._next_folder()}/{name}", self._within(size)

    def content(self, size: int) -> Iterator[bytes]:
        """Yield so many random bytes; an empty file is one empty block."""
        for start in range(0, max(size, 1), _BLOCK):
            yield self._random.randbytes(min(_BLOCK, size - start))

    def _next_folder(self) -> str:
        directory = self._spec.directory
        if directory is None or directory.depth is None:
            return ""
        if self._remaining == 0:
            self._folder = "".join(f"/{self._name()}" for _ in range(self._within(directory.depth)))
            self._remaining = max(1, directory.run)
        self._remaining -= 1
        return self._folder

    def _name(self) -> str:
        return "".join(self._random.choices(string.ascii_lowercase, k=_LETTERS))

    def _within(self, size: Size) -> int:
        return self._random.randint(size.min, size.max)


class Writer:
    """Writes the commits of a load test, one after the other. Blocks.

    Args:
        versions: the store.
        spec: of the commits.
        seed: decides the files.
        contents: of the commit before the first one.
    """

    def __init__(self, versions: VersionedStore, spec: LoadSpec, seed: int, contents: Contents) -> None:
        self._versions = versions
        self._spec = spec
        self._random = random.Random(seed)
        self._sources = {
            source.name: RandomSource(source.random, self._random)
            for source in spec.file_sources
            if source.random is not None
        }
        self._commits = 0
        #: What the newest commit should hold.
        self.contents = contents

    def commit(self, branch: BranchName) -> CommitName:
        """Write the next commit to a branch and finish it; if that fails, finish it with the error."""
        row = self._versions.write(commits.start_commit, branch)
        name = CommitName(branch.repo, id=row.set_id)
        try:
            for modification in self._spec.modifications:
                for _ in range(modification.count):
                    assert modification.put_file is not None
                    source = self._sources[modification.put_file.source]
                    self._put(name, source, modification.put_file.count)
        except errors.TrunklineError as error:
            commits.finish_commit(self._versions, name, error=error.message)
            raise
        commits.finish_commit(self._versions, name)
        return name

    def to_check(self) -> bool:
        """Return whether the commit that was written last is to be compared."""
        if self._spec.validator is None:
            return False
        frequency = self._spec.validator.frequency
        self._commits += 1
        if frequency is None or (frequency.count, frequency.prob) == (0, 0):
            return True
        if frequency.count:
            return self._commits % frequency.count == 0
        return self._random.randrange(100) < frequency.prob

    def _put(self, name: CommitName, source: RandomSource, number: int) -> None:
        """Put files into an open commit, as one client that sends a stream."""
        stream = CommitStream(self._versions, name)
        try:
            for _ in range(number):
                path, size = source.next()
                hashed = blake3()
                stream.delete(path, "")
                for block in source.content(size):
                    cancellation.check()
                    stream.add(path, "", block)
                    hashed.update(block)
                self.contents[path] = hashed.digest()
            stream.finish()
        finally:
            stream.abort()


def digest(contents: Contents) -> str:
    """Return a hash of files, in hex: of their paths and contents in the order of the paths."""
    hashed = blake3()
    for path in sorted(contents):
        hashed.update(path.encode() + b"\0" + contents[path])
    return hashed.hexdigest()


def contents(versions: VersionedStore, name: CommitName) -> Contents:
    """Read all files of a commit. Blocks."""
    snapshot = files.snapshot(versions, name)
    read: Contents = {}
    for entry in reading.walk(snapshot, "/"):
        if not entry.is_dir:
            hashed = blake3()
            for block in snapshot.read(entry):
                cancellation.check()
                hashed.update(block)
            read[entry.path] = hashed.digest()
    return read


def compare(versions: VersionedStore, name: CommitName, expected: Contents) -> CheckedCommit:
    """Read a commit and compare it with what it should hold. Blocks.

    Args:
        versions: the store.
        name: the commit.
        expected: what it should hold.

    Raises:
        DataLoss: they differ.
    """
    present = contents(versions, name)
    different = sorted(
        path for path in present.keys() | expected.keys() if present.get(path) != expected.get(path)
    )
    if different:
        first = different[0]
        what = "is missing" if first not in present else "is too many" if first not in expected else "differs"
        raise errors.DataLoss(
            f"commit {name} does not hold what the load test put: {len(different)} files differ, first {first}, which"
            f" {what}"
        )
    return CheckedCommit(name.repo.project, name.repo.name, name.id, digest(present))


def check(versions: VersionedStore, commit: CheckedCommit) -> None:
    """Read a commit that an earlier load test has checked. Blocks.

    Raises:
        DataLoss: it holds something else.
        NotFound: it was removed.
    """
    if digest(contents(versions, commit.name)) != commit.digest:
        raise errors.DataLoss(f"commit {commit.name} does not hold any more what a load test has read there")


def of_set(read: ReadTransaction, id: str) -> list[CommitName]:
    """Return the commits of users' repos in a commit set, those upstream first."""
    rows = commits.commit_set(read.conn, id)
    owners = repos.by_ids(read.conn, [row.repo_id for row in rows])
    return [
        CommitName(RepoName(owner.project, owner.name), id=id)
        for owner in (owners[row.repo_id] for row in rows)
        if owner.type == names.USER
    ]


def put_state(versions: VersionedStore, state: LoadState) -> str:
    """Store the state of a load test as a file set; return its handle. Blocks."""
    branch = state.branch
    body = {
        "branch": [branch.repo.project, branch.repo.name, branch.name],
        "commits": [[each.project, each.repo, each.id, each.digest] for each in state.commits],
    }
    stream = FileSetStream(versions)
    try:
        stream.add(_STATE, "", json.dumps(body).encode())
        handle = filesets.new_handle()
        stream.finish(handle, filesets.DEFAULT_TTL)
    finally:
        stream.abort()
    return handle


def state(versions: VersionedStore, handle: str) -> LoadState:
    """Return the state that a load test has left. Blocks.

    Raises:
        NotFound: there is no such file set, or its time is over.
        InvalidArgument: it holds something else.
    """
    name = CommitName(RepoName(names.DEFAULT_PROJECT, names.FILESETS_REPO), id=handle)
    snapshot = files.snapshot(versions, name)
    try:
        body: dict[str, Any] = json.loads(b"".join(snapshot.read(snapshot.inspect(_STATE))))
        project, repo, branch = body["branch"]
        checked = [CheckedCommit(*each) for each in body["commits"]]
    except (ValueError, KeyError, TypeError, errors.NotFound) as error:
        raise errors.InvalidArgument(
            f'state_id "{handle}" is not that of a load test; send the state_id of an answer'
        ) from error
    return LoadState(BranchName(RepoName(project, repo), branch), checked)
