"""The input files of an assignment, as a worker fetches them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.pps.workers.presigned import LARGE_BYTES
from trunkline.storage import file_values
from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_rows import RowItem
    from trunkline.pps.workers.assignments import Assignment
    from trunkline.pps.workers.presigned import ChunkPlace, PresignedReads
    from trunkline.storage.files import FileEntry
    from trunkline.storage.sums import TreeId


#: Files whose chunks are looked up and read together, and bytes from which on no more are added.
_FILES = 256
_BYTES = 4 << 20


#: Bytes and files of the first datums that are sent with their assignment: less than what a further call costs.
SENT_BYTES, SENT_FILES = 64 << 10, 256


class FilePiece(NamedTuple):
    """A piece of an input file: bytes, or the places of its chunks. The pieces of a file follow each other."""

    #: Position of the item in the assignment.
    item: int
    #: Path of the file in the repo.
    path: str
    data: bytes
    places: Sequence[ChunkPlace]
    #: No more pieces of this file follow.
    last: bool


def pieces(
    versions: VersionedStore,
    assignment: Assignment,
    items: Iterable[int],
    reads: PresignedReads | None,
    only: str = "",
) -> Iterator[FilePiece]:
    """Yield the files of items in the order asked for, each item's files in path order. Blocks between pieces.

    Args:
        versions: the store.
        assignment: whose items.
        items: positions of the items.
        reads: gives out places of large files; None when all bytes go through the server.
        only: a path; other files are left out, and lazy files have their content.

    Raises:
        InvalidArgument: there is no such item.
        DataLoss: a file cannot be read.
    """
    together: list[tuple[int, FileEntry]] = []
    size = 0
    for position in items:
        if position >= len(assignment.items):
            raise errors.InvalidArgument(
                f"the assignment has {len(assignment.items)} items; item {position} cannot be fetched"
            )
        item = assignment.items[position]
        source = assignment.source(item)
        for entry in _files(versions, source.tree, item):
            if only and entry.path != only:
                continue
            if source.leaf.empty_files or (source.lazy and not only):
                yield FilePiece(position, entry.path, b"", (), last=True)
                continue
            large = reads is not None and entry.size >= LARGE_BYTES
            if not large:
                together.append((position, entry))
                size += entry.size
            if large or len(together) >= _FILES or size >= _BYTES:
                yield from _small_files(versions, together)
                together, size = [], 0
            if large and reads is not None:
                yield from _large_file(versions, position, entry, reads)
    yield from _small_files(versions, together)


class SentFiles(NamedTuple):
    """Input files that a worker gets with its assignment."""

    #: Positions of items, ascending; ``pieces`` has all of their files.
    items: Sequence[int] = ()
    pieces: Sequence[FilePiece] = ()


def sent_files(versions: VersionedStore, assignment: Assignment) -> SentFiles:
    """Return the files of an assignment's first items, if they are small and near. Blocks.

    What cannot be read is left out: the worker fetches it, and its datum gets the error.
    """
    if assignment.direct:
        return SentFiles()  # a bucket: reading it takes longer than a call
    items: list[int] = []
    size = 0
    for position, item in enumerate(assignment.items[:SENT_FILES]):
        leaf = assignment.source(item).leaf
        size += item.size
        if size > SENT_BYTES or leaf.lazy or leaf.empty_files:
            break
        items.append(position)
    try:
        read = list(islice(pieces(versions, assignment, items, None), SENT_FILES + 1))
    except errors.TrunklineError:
        return SentFiles()
    if len(read) > SENT_FILES:  # there may be more of the last one
        cut = read[-1].item
        items, read = [item for item in items if item < cut], [piece for piece in read if piece.item < cut]
    return SentFiles(items, read)


def _files(versions: VersionedStore, tree: TreeId, item: RowItem) -> Iterator[FileEntry]:
    if item.path.endswith("/"):
        for entry in storage_files.walk(versions.trees, tree, item.path):
            if not entry.is_dir:
                yield entry
        return
    file = storage_files.inspect(versions.trees, tree, item.path)
    if file is not None and not file.is_dir:
        yield file


def _small_files(versions: VersionedStore, files: Sequence[tuple[int, FileEntry]]) -> Iterator[FilePiece]:
    """Yield files that are read together: items and entries."""
    contents = storage_files.read_all(versions.chunks, (entry.value for _, entry in files))
    for item, entry in files:
        pending = file_values.count_of(entry.value)
        if not pending:
            yield FilePiece(item, entry.path, b"", (), last=True)
        while pending:
            pending -= 1
            yield FilePiece(item, entry.path, next(contents)[1], (), last=not pending)


def _large_file(
    versions: VersionedStore, item: int, entry: FileEntry, reads: PresignedReads
) -> Iterator[FilePiece]:
    held: FilePiece | None = None
    for run in reads.pieces(entry.value):
        parts: Iterable[tuple[bytes, Sequence[ChunkPlace]]] = (
            [(b"", run.places)]
            if run.places
            else ((data, ()) for data in versions.chunks.read_many(run.others))
        )
        for data, places in parts:
            if held is not None:
                yield held
            held = FilePiece(item, entry.path, data, places, last=False)
    if held is not None:
        yield held._replace(last=True)
