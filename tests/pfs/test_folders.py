"""Pages of folders, what differs between two commits, and the versions of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pfs_world import new_store

from trunkline import errors
from trunkline.model.names import CommitName, RepoName
from trunkline.pfs import files, folders
from trunkline.pfs.write_streams import CommitStream
from trunkline.storage import file_values, folder_index
from trunkline.storage.files import file_trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trunkline.pfs.repository import VersionedStore

REPO = RepoName("default", "data")
MASTER = CommitName(REPO, branch="master")
#: Files of a folder with several levels of nodes.
MANY = 20_000


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VersionedStore]:
    with new_store(request.param, tmp_path_factory.mktemp("folders"), REPO) as versions:
        yield versions


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VersionedStore]:
    with new_store("sqlite", tmp_path_factory.mktemp("folders"), REPO) as versions:
        yield versions


def commit(
    versions: VersionedStore,
    contents: Mapping[str, bytes],
    branch: str = "master",
    delete: Iterable[str] = ("/",),
) -> CommitName:
    """Write files (all others are deleted by default) as a commit of its own."""
    stream = CommitStream(versions, CommitName(REPO, branch=branch))
    for path in delete:
        stream.delete(path, "")
    for path, content in contents.items():
        stream.add(path, "", content)
    stream.finish()
    return CommitName(REPO, stream.commit_id)


def many(versions: VersionedStore, paths: Iterable[str], branch: str) -> CommitName:
    """Write files with one and the same content quickly."""
    seed = commit(versions, {"/seed": b"content"}, branch)
    value = files.snapshot(versions, seed).inspect("/seed").value
    chunks = file_values.list_of(versions.chunks, value)
    stream = CommitStream(versions, CommitName(REPO, branch=branch))
    stream.delete("/seed", "")
    for path in paths:
        stream.put(path, "", chunks, size=0, append=True)
    stream.finish()
    return CommitName(REPO, stream.commit_id)


class Reads:
    """The store with empty caches, and how many chunks it reads."""

    def __init__(self, versions: VersionedStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        chunks = versions.chunks
        read, read_many = chunks.read, chunks.read_many

        def counted(id):
            self.number += 1
            return read(id)

        def counted_many(ids):
            for piece in read_many(ids):
                self.number += 1
                yield piece

        monkeypatch.setattr(chunks, "read", counted)
        monkeypatch.setattr(chunks, "read_many", counted_many)
        self.versions = replace(versions, trees=file_trees(chunks))


def names(page: folders.FolderPage) -> list[str]:
    return [child.name + "/" * child.entry.is_dir for child in page.children]


def naive_children(contents: Mapping[str, bytes]) -> dict[str, tuple[int, int]]:
    """Return bytes and files of what is right below the root, by name with the slash of folders."""
    sums: dict[str, tuple[int, int]] = {}
    for path, content in contents.items():
        name, slash, _ = path[1:].partition("/")
        size, number = sums.get(name + slash, (0, 0))
        sums[name + slash] = size + len(content), number + 1
    return dict(sorted(sums.items()))


# --- pages ---------------------------------------------------------------------------------------------------


def test_a_page_has_sums_of_folders_and_of_the_whole(store: VersionedStore) -> None:
    name = commit(store, {"/a": b"1", "/dir/x": b"22", "/dir/sub/y": b"333", "/z": b""})

    page = folders.list_folder(store, name, "/")
    below = folders.list_folder(store, MASTER, "/dir")

    assert [(child.name, child.entry.is_dir, child.entry.size, child.files) for child in page.children] == [
        ("a", False, 1, 1),
        ("dir", True, 5, 2),
        ("z", False, 0, 1),
    ]
    assert page.folder is not None
    assert (page.total, page.folder.entry.size, page.folder.files) == (3, 6, 4)
    assert names(below) == ["sub/", "x"]
    assert below.snapshot.commit_name == name


def test_a_folder_that_is_not_there_is_not_found_and_an_empty_commit_is_empty(store: VersionedStore) -> None:
    empty = commit(store, {}, "empty")

    page = folders.list_folder(store, empty, "/")

    assert (page.total, page.children, page.folder) == (0, [], None)
    with pytest.raises(errors.NotFound):
        folders.list_folder(store, empty, "/none")
    with pytest.raises(errors.InvalidArgument):
        folders.list_folder(store, empty, "/", number=1_001)
    with pytest.raises(errors.InvalidArgument):
        folders.list_folder(store, empty, "/", offset=-1)


paths = st.lists(st.sampled_from(["a", "a-b", "a0", "b", "b1", "c", "ab", "é"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
contents = st.dictionaries(paths, st.binary(max_size=3), max_size=40).map(
    lambda drawn: {
        path: content
        for path, content in drawn.items()
        if not any(other.startswith(f"{path}/") for other in drawn)
    }
)
module_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@module_fixtures
@given(contents, st.integers(0, 10), st.sampled_from(["a", "a-", "a/", "b", "b0", "zz", "é"]))
def test_pages_by_rank_and_by_name_are_parts_of_the_list(
    versions: VersionedStore, contents: dict[str, bytes], offset: int, first: str
) -> None:
    name = commit(versions, contents)
    expected = naive_children(contents)
    order = sorted(expected, key=str.encode)

    page = folders.list_folder(versions, name, "/", offset=offset, number=3)
    by_name = folders.list_folder(versions, name, "/", from_name=first, number=3)

    assert names(page) == order[offset : offset + 3]
    assert [(child.entry.size, child.files) for child in page.children] == [
        expected[key] for key in order[offset : offset + 3]
    ]
    rank = sum(key.encode() < first.partition("/")[0].encode() for key in order)
    assert page.total == len(order)
    assert (by_name.offset if order else rank, names(by_name)) == (rank, order[rank : rank + 3])


def test_a_page_of_a_large_folder_reads_little_and_its_index_is_made_once(
    versions: VersionedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_index, "CHEAP_LEVEL", 1)
    name = many(versions, (f"/large/f{number:06}" for number in range(MANY)), "large")
    reads = Reads(versions, monkeypatch)

    first = folders.list_folder(reads.versions, name, "/large/")
    first_reads = reads.number
    counted = folders.list_folder(reads.versions, name, "/large/", count=True)
    reads.versions.trees.reader.cache.leaves._values.clear()
    reads.number = 0
    end = folders.list_folder(reads.versions, name, "/large/", offset=MANY - 3)
    middle = folders.list_folder(reads.versions, name, "/large/", from_name="f0100", number=2)

    assert (first.total, len(first.children), names(first)[-1]) == (None, 200, "f000199")
    assert first_reads < 40
    assert counted.total == end.total == MANY
    assert names(end) == [f"f{number:06}" for number in range(MANY - 3, MANY)]
    assert (middle.offset, names(middle)) == (10_000, ["f010000", "f010001"])
    assert reads.number < 60


# --- comparisons ---------------------------------------------------------------------------------------------


def naive_changes(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, list[int]]:
    """Return added, removed, changed by what is right below the root."""
    changes: dict[str, list[int]] = {}
    for path in old.keys() | new.keys():
        if old.get(path) == new.get(path):
            continue
        name, slash, _ = path[1:].partition("/")
        counts = changes.setdefault(name + slash, [0, 0, 0])
        counts[0 if path not in old else 1 if path not in new else 2] += 1
    return changes


def key_of(change: folders.Change) -> str:
    return change.name + "/" * change.is_folder


@module_fixtures
@given(contents, contents, st.integers(1, 4))
def test_pages_of_a_comparison_have_what_differs_with_counts(
    versions: VersionedStore, old: dict[str, bytes], new: dict[str, bytes], number: int
) -> None:
    before, after = commit(versions, old, "old"), commit(versions, new, "new")
    expected = naive_changes(old, new)

    whole = folders.compare_folders(versions, before, after, "/")
    pages = [folders.compare_folders(versions, before, after, "/", number=number)]
    while pages[-1].next_name:
        pages.append(
            folders.compare_folders(versions, before, after, "/", number=number, after=pages[-1].next_name)
        )

    assert [key_of(change) for change in whole.changes] == sorted(expected, key=str.encode)
    assert [key_of(change) for page in pages for change in page.changes] == [
        key_of(change) for change in whole.changes
    ]
    counts = {key_of(change): change.counts for page in pages for change in page.changes}
    assert {key: [c.added, c.removed, c.changed] for key, c in counts.items() if c is not None} == expected
    assert whole.counts is not None
    assert [whole.counts.added, whole.counts.removed, whole.counts.changed] == [
        sum(each[column] for each in expected.values()) for column in range(3)
    ]


def test_a_change_in_a_large_folder_is_found_without_reading_the_folder(
    versions: VersionedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = many(versions, (f"/big/f{number:06}" for number in range(MANY)), "big")
    after = commit(versions, {"/big/f010000": b"other", "/new": b"x"}, "big", delete=["/big/f010000"])
    reads = Reads(versions, monkeypatch)

    root = folders.compare_folders(reads.versions, before, after, "/")
    below = folders.compare_folders(reads.versions, None, after, "/big/")

    assert [(key_of(c), c.counts) for c in root.changes] == [
        ("big/", folders.Counts(0, 0, 1, 5, 7)),
        ("new", folders.Counts(1, 0, 0, 1, 0)),
    ]
    assert [key_of(change) for change in below.changes] == ["f010000"]
    assert below.old is not None
    assert below.old.commit_name == before
    assert reads.number < 60


def test_more_changes_than_are_counted_are_shown_without_their_number(
    versions: VersionedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "COUNTED", 1_000)
    before = many(versions, (f"/d/f{number:06}" for number in range(1_000)), "wide")
    after = many(
        versions,
        (f"/{folder}/g{number:06}" for folder in ("d", "e") for number in range(1_200)),
        "wide",
    )

    root = folders.compare_folders(versions, before, after, "/", number=1)
    page = folders.compare_folders(versions, before, after, "/d/", number=500)

    assert (root.counts, root.next_name) == (None, "d/")
    assert [(key_of(c), c.counts) for c in root.changes] == [("d/", None)]
    assert (len(page.changes), page.counts, page.next_name) == (500, None, "f000499")
    new_folder = folders.compare_folders(versions, before, after, "/", after="d/").changes
    assert [(key_of(c), c.counts) for c in new_folder] == [("e/", folders.Counts(1_200, 0, 0, 8_400, 0))]


# --- versions of a file --------------------------------------------------------------------------------------


def test_versions_are_the_commits_that_changed_a_file(store: VersionedStore) -> None:
    commits = [
        commit(store, changed, "history", delete)
        for changed, delete in (
            ({"/other": b"0"}, []),
            ({"/x": b"1"}, []),
            ({"/other": b"1"}, []),
            ({"/x": b"22"}, []),
            ({}, ["/x"]),
        )
    ]

    newest, token = folders.file_versions(store, CommitName(REPO, branch="history"), "/x", number=2)
    rest, end = folders.file_versions(store, CommitName(REPO, branch="history"), "/x", number=2, after=token)

    assert [(step.row.set_id, step.now and step.now.size) for step in newest + rest] == [
        (commits[4].id, None),
        (commits[3].id, 3),
        (commits[1].id, 1),
    ]
    assert token == commits[2].id
    assert end == ""
