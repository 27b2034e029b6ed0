"""Deltas: any stream of changes, in any portions, gives the tree that a plain dict of files would."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from storage_world import TINY, World, noise

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.storage import chunk_lists, file_values, files
from trunkline.storage import deltas as deltas_module
from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.deltas import DELTA, DeltaWriter, row_key
from trunkline.storage.sums import EMPTY, TreeId

PATHS = ["/a", "/a-b", "/a/x", "/a/y", "/a0", "/b/c", "/b/c-", "/b/c/d", "/b/c/e/f", "/é/ü"]
FOLDERS = ["/", "/a/", "/b/", "/b/c/", "/none/"]
paths = st.sampled_from(PATHS)
tags = st.sampled_from(["default", "default", "default", "t1"])
small = st.binary(max_size=20)
long = st.builds(noise, st.sampled_from([300_000, 600_000, 1_500_000]), st.integers(0, 3))

Parts = dict[tuple[str, str], bytes]


def expected_problem(parts: Parts) -> bool:
    names = [path for path, _ in parts]
    return len(set(names)) < len(names) or any(b.startswith(a + "/") for a in names for b in names)


class ChangesAgainstADict(RuleBasedStateMachine):
    """Says the same to a delta writer and to a dict, and compares the trees."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(kind=TINY)
        self.base = EMPTY
        self.base_parts: Parts = {}
        self._begin()

    def _begin(self) -> None:
        self.writer = self.world.store.writer()
        self.parts = dict(self.base_parts)
        self.deltas: list[TreeId] = []
        self.delta = DeltaWriter(self.world.trees, self.writer)

    @rule(path=paths, tag=tags, data=small | long)
    def add(self, path: str, tag: str, data: bytes) -> None:
        self.delta.add(path, tag, data)
        self.parts[path, tag] = self.parts.get((path, tag), b"") + data

    @rule(path=paths, tag=tags, pieces=st.lists(small | long, max_size=4))
    def add_in_pieces(self, path: str, tag: str, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.add(path, tag, piece)

    @rule(path=paths)
    def delete(self, path: str) -> None:
        self.delta.delete(path)
        self.parts = {key: data for key, data in self.parts.items() if key[0] != path}

    @rule(path=paths, tag=tags)
    def delete_tagged(self, path: str, tag: str) -> None:
        self.delta.delete(path, tag)
        self.parts.pop((path, tag), None)

    @rule(folder=st.sampled_from(FOLDERS))
    def delete_folder(self, folder: str) -> None:
        self.delta.delete(folder)
        self.parts = {key: data for key, data in self.parts.items() if not key[0].startswith(folder)}

    @rule(path=paths, tag=tags, source=paths, append=st.booleans())
    def copy(self, path: str, tag: str, source: str, append: bool) -> None:
        entry = files.inspect(self.world.trees, self.base, source)
        if entry is None or entry.is_dir:
            return
        self.delta.copy(path, tag, entry.value, append=append)
        before = self.parts.get((path, tag), b"") if append else b""
        self.parts[path, tag] = before + self.base_parts[source, entry.tag]

    @rule()
    def next_delta(self) -> None:
        self.deltas += self.delta.finish()
        self.delta = DeltaWriter(self.world.trees, self.writer)

    @rule()
    def flush(self) -> None:
        """What otherwise happens after some megabytes."""
        self.delta._flush()

    @rule()
    def commit(self) -> None:
        self.next_delta()
        applied = apply_deltas(self.world.trees, self.writer, self.base, self.deltas)
        self.world.index.record_all(self.writer.seal())

        writer = self.world.store.writer()
        rows = {
            row_key(*key): file_values.encode(writer, chunk_lists.cut(writer, [data]))
            for key, data in self.parts.items()
        }
        assert applied.tree == self.world.trees.build(writer, sorted(rows.items()))
        writer.abort()
        assert (applied.problem is not None) == expected_problem(self.parts)
        for key, value in self.world.cold().scan(applied.tree):
            path, tag = key.decode().split("\0")
            assert b"".join(files.read(self.world.store, value)) == self.parts[path, tag]
        if applied.problem is None:
            self.base, self.base_parts = applied.tree, self.parts
        self._begin()

    @invariant()
    def the_base_is_untouched(self) -> None:
        assert self.world.trees.summary(self.base).rows == len(self.base_parts)

    def teardown(self) -> None:
        self.commit()
        self.writer.abort()
        self.world.store.close()


def test_any_changes_in_any_portions_give_the_tree_of_the_files() -> None:
    run_state_machine_as_test(
        ChangesAgainstADict, settings=settings(max_examples=80, stateful_step_count=25, deadline=None)
    )


def test_nothing_said_is_no_delta_and_changes_nothing(world: World) -> None:
    applied = world.apply(EMPTY, DeltaWriter.finish)

    assert applied.tree == EMPTY
    assert applied.problem is None


def test_the_rows_of_a_delta_are_frozen(world: World) -> None:
    """Open commits of one release are finished by the next."""
    writer = world.store.writer()
    delta = DeltaWriter(world.trees, writer)
    delta.add("/kept", "t", b"abc")
    delta.delete("/gone")
    delta.delete("/tagged", "t")
    delta.delete("/replaced", "t")
    delta.add("/replaced", "t", b"abc")
    delta.delete("/folder/")
    delta.add("/folder/after", "t", b"")
    delta.add("/dropped", "t", b"abc")
    delta.delete("/dropped")

    (tree,) = delta.finish()

    abc = bytes.fromhex("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85") + b"\3\0\0\0"
    assert list(world.trees.of(DELTA).through(writer).scan(tree)) == [
        (b"/dropped\0", b"D"),
        (b"/folder/\0", b"D"),
        (b"/folder/after\0t", b"A\1"),
        (b"/gone\0", b"D"),
        (b"/kept\0t", b"A\1" + abc),
        (b"/replaced\0t", b"R\1" + abc),
        (b"/tagged\0t", b"d"),
    ]
    assert (delta.files, delta.bytes_in) == (3, 9)
    writer.abort()


def test_two_datums_that_write_one_path_are_named(world: World) -> None:
    applied = world.apply(
        world.files({"/other": b"x"}),
        lambda delta: delta.add("/out", "aaa", b"1"),
        lambda delta: delta.add("/out", "bbb", b"1"),
    )

    assert applied.problem == "duplicate path output by different datums (/out from aaa and /out from bbb)"


@pytest.mark.parametrize(
    ("old", "new"), [("/a/b", "/a"), ("/a", "/a/b"), ("/a", "/a/b/c/d"), ("/a/b/c", "/a")]
)
def test_a_file_in_the_way_of_a_directory_is_named(world: World, old: str, new: str) -> None:
    base = world.files({old: b"1", "/a-": b"2"})

    def add(delta: DeltaWriter) -> None:
        delta.add(new, "t", b"1")

    both = world.apply(base, add)
    at_once = world.apply(EMPTY, lambda delta: delta.add(old, "t", b"1"), add)
    moved = world.apply(base, lambda delta: delta.delete(old), add)

    assert both.problem == at_once.problem == "file / directory path collision (/a)"
    assert moved.problem is None


def test_a_long_stream_becomes_several_deltas_that_mean_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"/d{n % 7}/f{n}": b"%d" % n for n in range(400)}
    monkeypatch.setattr(deltas_module, "_SPILL_ROWS", 50)
    monkeypatch.setattr(deltas_module, "_SEARCHED_ROWS", 20)
    writer = world.store.writer()
    delta = DeltaWriter(world.trees, writer)
    for path, data in contents.items():
        delta.add(path, "default", data)
    delta.delete("/d3/")
    delta.add("/d3/again", "default", b"x")
    ids = delta.finish()
    applied = apply_deltas(world.trees, writer, EMPTY, ids)
    world.index.record_all(writer.seal())
    remaining = {path: data for path, data in contents.items() if not path.startswith("/d3/")}

    assert len(ids) >= 8
    assert applied.tree == world.files({**remaining, "/d3/again": b"x"})


def test_a_file_that_comes_in_many_small_pieces_by_turns_is_whole(world: World) -> None:
    pieces = {
        "/one": [noise(70_000, n) for n in range(80)],
        "/two": [noise(90_000, n + 99) for n in range(80)],
    }

    def say(delta: DeltaWriter) -> None:
        for first, second in zip(*pieces.values(), strict=True):
            delta.add("/one", "default", first)
            delta.add("/two", "default", second)

    tree = world.apply(EMPTY, say).tree

    assert tree == world.files({path: b"".join(data) for path, data in pieces.items()})


def test_the_last_of_deletes_within_deletes_counts(world: World) -> None:
    """A file deleted and written again, then its directory deleted: the later, outer delete wins."""
    base = world.files({"/a/x": b"old", "/a/y": b"old", "/b": b"kept"})

    def rewrite(delta: DeltaWriter) -> None:
        delta.delete("/a/x")
        delta.add("/a/x", "default", b"new")

    swept = world.apply(base, rewrite, lambda delta: delta.delete("/a/"))
    rewritten = world.apply(base, lambda delta: delta.delete("/a/"), rewrite)

    assert swept.tree == world.files({"/b": b"kept"})
    assert rewritten.tree == world.files({"/a/x": b"new", "/b": b"kept"})


@pytest.mark.parametrize("tag", ["", "default"])
def test_a_long_file_written_after_a_delete_replaces(world: World, tag: str) -> None:
    pieces = [noise(1 << 20, seed) for seed in range(18)]

    def say(delta: DeltaWriter) -> None:
        delta.delete("/f", tag)
        for piece in pieces:
            delta.add("/f", "default", piece)

    applied = world.apply(world.files({"/f": b"old"}), say)

    assert applied.tree == world.files({"/f": b"".join(pieces)})


def test_a_long_file_goes_on_where_it_was_left(world: World) -> None:
    pieces = [noise(1 << 20, seed) for seed in range(20)]

    def say(delta: DeltaWriter) -> None:
        for piece in pieces[:2]:
            delta.add("/f", "default", piece)
        delta._flush()
        for piece in pieces[2:]:
            delta.add("/f", "default", piece)
            delta.add("/other", "default", b"x")

    assert world.apply(EMPTY, say).tree == world.files({"/f": b"".join(pieces), "/other": b"x" * 18})


def test_a_file_cannot_get_more_chunks_than_the_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is appended to itself again and again would double its chunk list each time."""
    monkeypatch.setattr(file_values.limits, "FILE_CHUNKS", limits.Limit(8, "chunks", "a small limit"))
    writer = world.store.writer()
    value = file_values.encode(writer, chunk_lists.cut(writer, [noise(5 << 20)]))
    delta = DeltaWriter(world.trees, writer)

    delta.copy("/a", "default", value, append=True)
    with pytest.raises(InvalidArgument, match="/a"):
        delta.copy("/a", "default", file_values.concat(writer, value, value), append=True)


def test_layers_that_make_a_file_too_long_are_a_problem_of_their_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_values.limits, "FILE_CHUNKS", limits.Limit(8, "chunks", "a small limit"))
    writer = world.store.writer()
    value = file_values.encode(writer, chunk_lists.cut(writer, [noise(5 << 20)]))
    layers = []
    for _ in range(3):
        delta = DeltaWriter(world.trees, writer)
        delta.copy("/a", "default", value, append=True)
        layers += delta.finish()

    applied = apply_deltas(world.trees.through(writer), writer, EMPTY, layers)

    assert applied.problem is not None
