"""Messages about files that are encoded by hand, beside the generated classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.model import names
from trunkline.pfs.reading import FileEntry
from trunkline.rpc import convert, file_infos
from trunkline.rpc.file_infos import FileInfos
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = st.text(st.characters(codec="utf-8"), max_size=300)
ENTRIES = st.builds(
    FileEntry,
    path=TEXT.map("/".__add__) | st.just("/" + "long/" * 4000),
    is_dir=st.booleans(),
    size=st.integers(0, (1 << 63) - 1) | st.integers(0, 300),
    hash=st.binary(min_size=32, max_size=32),
    tag=TEXT,
)


def snapshot(finished: float | None, name: str) -> Any:
    """Return what a snapshot says about its commit."""
    repo = names.RepoName("default", name, "user")
    return SimpleNamespace(commit_name=names.CommitName(repo, "0" * 32), finished=finished)


def message(of: Any, entry: FileEntry) -> pfs_pb2.FileInfo:
    """Return the message about an entry."""
    file = pfs_pb2.File(
        commit=convert.commit_message(of.commit_name.repo, of.commit_name.id),
        path=entry.path,
        datum=entry.tag,
    )
    info = pfs_pb2.FileInfo(
        file=file,
        file_type=pfs_pb2.DIR if entry.is_dir else pfs_pb2.FILE,
        size_bytes=entry.size,
        hash=entry.hash,
    )
    if of.finished is not None:
        convert.set_time(info.committed, of.finished)
    return info


@given(
    st.none() | st.integers(0, 4_000_000_000_000_000).map(lambda time: time / 1e6),
    st.sampled_from(["a", "b" * 200]),
    st.lists(ENTRIES, max_size=5),
)
def test_file_infos_are_what_the_generated_classes_encode(
    finished: float | None, name: str, entries: Sequence[FileEntry]
) -> None:
    commit = snapshot(finished, name)

    encoded = FileInfos(commit).encoded(entries)

    assert encoded == [message(commit, entry).SerializeToString() for entry in entries]


@given(st.none() | ENTRIES, st.none() | ENTRIES)
def test_differences_are_what_the_generated_classes_encode(
    new: FileEntry | None, old: FileEntry | None
) -> None:
    commit = snapshot(None, "data")
    expected = pfs_pb2.DiffFileResponse(
        new_file=message(commit, new) if new else None, old_file=message(commit, old) if old else None
    )
    infos = [FileInfos(commit).encoded([entry])[0] if entry else None for entry in (new, old)]

    assert file_infos.difference(*infos) == expected.SerializeToString()
