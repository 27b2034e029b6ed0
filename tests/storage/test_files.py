"""Reading file trees: the same answers as going through all files, at the cost of what is asked for."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from storage_world import TINY, CountingSource, World, noise

from trunkline.errors import DataLoss
from trunkline.model.globs import compile_glob
from trunkline.storage import file_values, files
from trunkline.storage.file_globs import components, glob
from trunkline.storage.files import FileEntry
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator

names = st.sampled_from(["a", "a-b", "b", "b0", "c.txt", "d.png", "é"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=4).map(lambda p: "/" + "/".join(p)), st.binary(max_size=9)
)
GLOBS = [
    "/",
    "/*",
    "/a",
    "/a/",
    "/*/*",
    "/a*",
    "/**",
    "/**.txt",
    "/*/c.txt",
    "/b/**",
    "/(*)/(*)",
    "/{a,b}/*",
    "/[ab]*/d.png",
    "/é/*",
]
bounds = st.sampled_from(["", "/", "/a", "/a-b", "/a/", "/a/b", "/b0", "/c", "/zz"])


@pytest.fixture(scope="module")
def tiny() -> Iterator[World]:
    world = World(kind=TINY)
    yield world
    world.store.close()


def without_conflicts(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {p: d for p, d in contents.items() if not any(other.startswith(p + "/") for other in contents)}


def folders_of(contents: dict[str, bytes]) -> set[str]:
    folders = set()
    for path in contents:
        while path != "/":
            path = posixpath.dirname(path)
            folders.add(path if path == "/" else path + "/")
    return folders


def everything(contents: dict[str, bytes]) -> list[str]:
    return sorted([*contents, *folders_of(contents)])


@given(trees)
def test_a_walk_gives_everything_in_path_order(tiny: World, contents: dict[str, bytes]) -> None:
    contents = without_conflicts(contents)
    tree = tiny.files(contents)

    entries = list(files.walk(tiny.trees, tree))

    assert [entry.path for entry in entries] == everything(contents)
    for entry in entries:
        inside = {
            p: d
            for p, d in contents.items()
            if p == entry.path or (entry.is_dir and p.startswith(entry.path))
        }
        assert entry.size == sum(map(len, inside.values()))
        assert entry.is_dir == entry.path.endswith("/")
        assert files.inspect(tiny.trees, tree, entry.path) == entry
    for folder in folders_of(contents):
        below = [path for path in everything(contents) if path.startswith(folder)]
        assert [entry.path for entry in files.walk(tiny.trees, tree, folder)] == below


@given(trees, st.data())
def test_a_listing_gives_the_children_and_goes_on_anywhere(
    tiny: World, contents: dict[str, bytes], data: st.DataObject
) -> None:
    contents = without_conflicts(contents)
    tree = tiny.files(contents)
    folder = data.draw(st.sampled_from([*sorted(folders_of(contents)), "/none/"]))
    children = [
        p for p in everything(contents) if posixpath.dirname(p.rstrip("/")) == (folder.rstrip("/") or "/")
    ]
    children = [path for path in children if path != "/"]

    def listed(after: str | None = None, *, reverse: bool = False) -> list[str]:
        return [e.path for e in files.listing(tiny.trees, tree, folder, after, reverse=reverse)]

    assert listed() == children
    assert listed(reverse=True) == children[::-1]
    for number, child in enumerate(children):
        assert listed(child) == children[number + 1 :]
        assert listed(child, reverse=True) == children[:number][::-1]
    for entry in files.listing(tiny.trees, tree, folder.rstrip("/") or "/"):
        assert entry == files.inspect(tiny.trees, tree, entry.path)


@given(trees, st.sampled_from(GLOBS), bounds, bounds)
def test_a_glob_gives_what_matches(
    tiny: World, contents: dict[str, bytes], pattern: str, lower: str, upper: str
) -> None:
    contents = without_conflicts(contents)
    tree = tiny.files(contents)
    compiled = compile_glob(pattern)

    matches = list(glob(tiny.trees, tree, compiled, lower, upper))

    assert [entry.path for entry in matches] == [
        path
        for path in everything(contents)
        if compiled.matches(path.rstrip("/") or "/") and path >= lower and (not upper or path < upper)
    ]
    assert matches == [files.inspect(tiny.trees, tree, entry.path) for entry in matches]


@given(trees, trees, st.sampled_from(["/", "/a/", "/a", "/b", "/a/b/"]))
def test_a_diff_gives_changed_files_and_the_directories_around_them(
    tiny: World, before: dict[str, bytes], after: dict[str, bytes], path: str
) -> None:
    before, after = without_conflicts(before), without_conflicts(after)
    old, new = tiny.files(before), tiny.files(after)
    expected = []
    for name in sorted({*everything(before), *everything(after)}):
        now, then = (files.inspect(tiny.trees, tree, name) for tree in (new, old))
        pair = now if now and now.path == name else None, then if then and then.path == name else None
        if pair[0] != pair[1] and (name == path or name.startswith(path.rstrip("/") + "/")):
            expected.append(pair)

    assert list(files.diff(tiny.trees, old, new, path)) == expected


def test_a_file_is_found_before_a_directory_of_its_name(world: World) -> None:
    tree = world.files({"/a": b"file", "/b/c": b""})

    assert files.inspect(world.trees, tree, "/a") == FileEntry(
        "/a", False, 4, blake3(b"file").digest(), "default", b"\1" + blake3(b"file").digest() + b"\4\0\0\0"
    )
    assert files.inspect(world.trees, tree, "/a/") is None
    assert files.inspect(world.trees, tree, "/b").path == "/b/"  # type: ignore[union-attr]
    assert files.inspect(world.trees, tree, "/c") is None
    assert files.inspect(world.trees, world.files({}), "/") is None


def test_a_directory_hash_depends_on_paths_and_contents_only(world: World) -> None:
    def hash_of(contents: dict[str, bytes]) -> bytes:
        entry = files.inspect(world.trees, world.files(contents), "/a/")
        assert entry is not None
        return entry.hash

    first = hash_of({"/a/x": b"1", "/a/y": b"2"})

    assert hash_of({"/a/y": b"2", "/a/x": b"1", "/b": b"3"}) == first
    assert hash_of({"/a/x": b"2", "/a/y": b"1"}) != first
    assert hash_of({"/a/x": b"1", "/a/z": b"2"}) != first
    assert hash_of({"/a/x": b"1"}) != first


@given(st.integers(0, 3_200_000), st.none() | st.integers(0, 3_200_000))
def test_any_range_of_a_file_can_be_read(
    big_file: tuple[World, bytes, bytes], offset: int, length: int | None
) -> None:
    world, content, value = big_file

    pieces = list(files.read(world.store, value, offset, length))

    assert b"".join(pieces) == content[offset:][:length]
    assert all(pieces)


@pytest.fixture(scope="module")
def big_file() -> tuple[World, bytes, bytes]:
    world = World()
    content = noise(3_000_000)
    entry = files.inspect(world.trees, world.files({"/f": content}), "/f")
    assert entry is not None
    return world, content, entry.value


def test_reading_a_range_gets_only_its_chunks() -> None:
    world = World()
    tree = world.files({"/f": noise(9_000_000)})
    entry = files.inspect(world.trees, tree, "/f")
    assert entry is not None
    source = CountingSource(world.store)

    assert len(b"".join(files.read(source, entry.value, 4_000_000, 10))) == 10
    assert source.reads.total() == 1


def test_many_files_are_read_one_after_the_other(world: World) -> None:
    contents = [b"", noise(10, 1), noise(2_000_000, 2), b"", noise(10, 1), noise(700_000, 3)]
    tree = world.files({f"/f{number}": data for number, data in enumerate(contents)})
    read = [b""] * len(contents)

    values = [entry.value for entry in files.listing(world.trees, tree, "/")]
    for number, piece in files.read_all(world.store, values):
        read[number] += piece

    assert read == contents


def test_listing_and_globbing_a_root_do_not_read_what_is_below() -> None:
    """Twenty directories of 2,000 files: their sums stand in the items that name them."""
    world = World()
    tree = world.files(
        {f"/d{n // 2000:02d}/f{n:06d}": b"%d" % (n % 10) for n in range(40_000)} | {"/top": b"1"}
    )
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)

    globbed = list(glob(cold, tree, compile_glob("/d0*")))
    listed = list(files.listing(cold, tree, "/"))

    assert [entry.path for entry in listed] == [f"/d{n:02d}/" for n in range(20)] + ["/top"]
    assert globbed == listed[:10]
    assert source.reads.total() <= 3


def test_a_glob_reads_only_the_ranges_of_names_that_can_match() -> None:
    world = World()
    tree = world.files({f"/d{n // 500:02d}/f{n % 500:03d}": b"%d" % (n % 10) for n in range(20_000)})
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)

    matches = list(glob(cold, tree, compile_glob("/d1*/f00*")))

    assert [entry.path for entry in matches] == [f"/d{d}/f00{n}" for d in range(10, 20) for n in range(10)]
    assert source.reads.total() <= 2 + 10 * 3


@pytest.mark.parametrize(
    ("pattern", "parts", "rest"),
    [
        ("/*", ["*"], None),
        ("/a/*.x", ["a", "*.x"], None),
        ("/**", [], "**"),
        ("/a/b**c/d", ["a"], "b**c/d"),
        ("/{a,b/c}", [], "{a,b/c}"),
        ("/(*)/x", ["(*)", "x"], None),
        ("/a\\*/b", ["a\\*", "b"], None),
        ("/a\\/b", ["a", "b"], None),
        ("/a//b", ["a", "b"], None),
        ("/[a]/b", ["[a]", "b"], None),
        ("/!(a)/b", ["!(a)", "b"], None),
    ],
)
def test_the_components_of_a_glob(pattern: str, parts: list[str], rest: str | None) -> None:
    assert components(pattern) == (parts, rest)


def test_a_path_that_is_not_text_is_data_loss(world: World) -> None:
    value = file_values.inline(b"")
    tree = world.build({b"/a\xff/b\0t": value, b"/c\xff\0t": value})

    with pytest.raises(DataLoss):
        list(files.listing(world.trees, tree, "/"))
    with pytest.raises(DataLoss):
        list(files.diff(world.trees, EMPTY, tree))
