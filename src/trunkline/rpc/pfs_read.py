"""Reading files over ``pfs_v2.API``.

Replies are made as bytes in a thread (``_ahead``) and handed to the wire as they are: frames of file content
are a ``BytesValue`` made by hand around the chunk, and file infos are made by the hundred.
"""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import commits as rows
from trunkline.model import paths
from trunkline.model.globs import compile_glob
from trunkline.pfs import files
from trunkline.rpc import convert, tar
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.servicer import ServicerBase, in_batches
from trunkline.storage import files as storage_files
from trunkline.storage.segments import EMPTY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Iterator

    from trunkline.pfs.resolve import CommitName
    from trunkline.storage.files import FileEntry

#: Bytes of small pieces that make a frame of content; chunks are sent as they are, up to 2 MiB.
FRAME_BYTES = 1 << 20
#: Files that one request may ask for with ``number``; as in Pachyderm.
MAX_NUMBER = 100_000

_BYTES_VALUE = b"\x0a"  # field 1, length-delimited


class ReadCalls(ServicerBase):
    """Tells about files and sends their content."""

    raw_responses = frozenset({"GetFile", "GetFileTAR", "ListFile", "WalkFile", "GlobFile", "DiffFile"})

    # --- content ----------------------------------------------------------------------------------------

    async def GetFile(self, request: pfs_pb2.GetFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(self._content(request))) as frames:
            async for frame in frames:
                yield frame

    async def GetFileTAR(self, request: pfs_pb2.GetFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(self._archive(request))) as frames:
            async for frame in frames:
                yield frame

    def _content(self, request: pfs_pb2.GetFileRequest) -> Generator[bytes]:
        """Yield the frames of one file's content."""
        _no_url(request)
        if request.offset < 0:
            raise errors.InvalidArgument(f"offset {request.offset} is negative; count bytes from 0")
        found = self._snapshot(request.file.commit).one_file(request.file.path)
        for piece in storage_files.read(self._versions.chunks, found.value, request.offset):
            yield _frame([piece])

    def _archive(self, request: pfs_pb2.GetFileRequest) -> Generator[bytes]:
        """Yield the frames of an archive."""
        _no_url(request)
        if request.offset:
            raise errors.InvalidArgument("an archive cannot be read from an offset; use GetFile for one file")
        view = self._snapshot(request.file.commit)
        lower, upper = request.path_range.lower, request.path_range.upper
        entries = (
            entry
            for entry in view.matching_with_content(request.file.path)
            if entry.path != "/" and entry.path >= lower and (not upper or entry.path < upper)
        )
        yield from _in_frames(tar.archive(self._versions.chunks, entries))

    # --- file infos -------------------------------------------------------------------------------------

    async def InspectFile(self, request: pfs_pb2.InspectFileRequest, _context: Any) -> pfs_pb2.FileInfo:
        def look() -> pfs_pb2.FileInfo:
            view = self._snapshot(request.file.commit)
            return view.info(view.snapshot.inspect(request.file.path))

        return await self._blocking(look)

    async def ListFile(self, request: pfs_pb2.ListFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(in_batches(self._list(request)))) as batches:
            async for batch in batches:
                for info in batch:
                    yield info

    async def WalkFile(self, request: pfs_pb2.WalkFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(in_batches(self._walk_files(request)))) as batches:
            async for batch in batches:
                for info in batch:
                    yield info

    async def GlobFile(self, request: pfs_pb2.GlobFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(in_batches(self._glob(request)))) as batches:
            async for batch in batches:
                for info in batch:
                    yield info

    async def DiffFile(self, request: pfs_pb2.DiffFileRequest, _context: Any) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(in_batches(self._diff(request)))) as batches:
            async for batch in batches:
                for pair in batch:
                    yield pair

    def _list(self, request: pfs_pb2.ListFileRequest) -> Iterator[bytes]:
        number = _number(request)
        view = self._snapshot(request.file.commit)
        trees, tree = self._versions.trees, view.snapshot.tree
        entry = storage_files.inspect(trees, tree, _canonical(request.file.path))
        if entry is None:
            return
        found: Iterable[FileEntry] = (entry,)
        if entry.is_dir:
            after = _canonical(request.pagination_marker.path) if request.pagination_marker.path else None
            found = storage_files.listing(trees, tree, entry.path, after, reverse=request.reverse)
        yield from view.encoded(islice(found, number))

    def _walk_files(self, request: pfs_pb2.WalkFileRequest) -> Iterator[bytes]:
        number = _number(request)
        view = self._snapshot(request.file.commit)
        path = _canonical(request.file.path)
        found = storage_files.walk(self._versions.trees, view.snapshot.tree, path)
        first = next(found, None)
        if first is None:
            if path == "/":
                return
            raise view.snapshot.not_found(path)
        found = chain((first,), found)
        if request.pagination_marker.path:
            marker = _canonical(request.pagination_marker.path)
            found = (e for e in found if (e.path < marker if request.reverse else e.path > marker))
        if request.reverse:
            yield from view.encoded(reversed(deque(found, maxlen=number)))
        else:
            yield from view.encoded(islice(found, number))

    def _glob(self, request: pfs_pb2.GlobFileRequest) -> Iterator[bytes]:
        view = self._snapshot(request.commit)
        bounds = request.path_range
        yield from view.encoded(
            storage_files.glob(
                self._versions.trees,
                view.snapshot.tree,
                compile_glob(request.pattern),
                bounds.lower,
                bounds.upper,
            )
        )

    def _diff(self, request: pfs_pb2.DiffFileRequest) -> Iterator[bytes]:
        new = self._snapshot(request.new_file.commit)
        old = self._old_side(request, new)
        trees, new_path = self._versions.trees, paths.clean(request.new_file.path)
        old_tree = old.snapshot.tree if old is not None else EMPTY
        old_path = paths.clean(request.old_file.path) if request.old_file.path else new_path
        if old_path == new_path:
            pairs = storage_files.diff(trees, old_tree, new.snapshot.tree, new_path)
        else:
            pairs = chain(
                storage_files.diff(trees, EMPTY, new.snapshot.tree, new_path),
                storage_files.diff(trees, old_tree, EMPTY, old_path),
            )
        for after, before in pairs:
            reply = pfs_pb2.DiffFileResponse()
            if after is not None:
                reply.new_file.CopyFrom(new.info(after))
            if before is not None and old is not None:
                reply.old_file.CopyFrom(old.info(before))
            yield reply.SerializeToString()

    def _old_side(self, request: pfs_pb2.DiffFileRequest, new: View) -> View | None:
        """Return what to compare with: the commit that is named, else the parent; None for nothing."""
        if convert.optional_commit(request.old_file.commit) is not None:
            return self._snapshot(request.old_file.commit)
        row, repo = new.snapshot.row, new.snapshot.repo
        if row is None or repo is None or row.parent_id is None:
            return None
        parent = self._versions.read(rows.find_by_id, row.parent_id)
        if parent is None:
            return None
        message = convert.commit_message(repo, parent.set_id)
        return self._snapshot(message)

    def _snapshot(self, message: pfs_pb2.Commit) -> View:
        name = convert.commit_name(message)
        return View.of(name, files.snapshot(self._versions, name))


@dataclass(frozen=True, slots=True)
class View:
    """A commit's files with what every message about them repeats."""

    snapshot: files.Snapshot
    commit: pfs_pb2.Commit
    committed: float | None

    @staticmethod
    def of(name: CommitName, snapshot: files.Snapshot) -> View:
        """Return the view of a snapshot that was asked for by ``name``."""
        if snapshot.row is None or snapshot.repo is None:  # a file set
            return View(snapshot, convert.commit_message(name.repo, name.id), None)
        commit = convert.commit_message(snapshot.repo, snapshot.row.set_id)
        return View(snapshot, commit, snapshot.row.finished)

    def info(self, entry: FileEntry) -> pfs_pb2.FileInfo:
        """Return what is known about a file or directory."""
        message = pfs_pb2.FileInfo(
            file=pfs_pb2.File(commit=self.commit, path=entry.path, datum=entry.tag),
            file_type=pfs_pb2.DIR if entry.is_dir else pfs_pb2.FILE,
            size_bytes=entry.size,
            hash=entry.hash,
        )
        if self.committed is not None:
            convert.set_time(message.committed, self.committed)
        return message

    def encoded(self, entries: Iterable[FileEntry]) -> Iterator[bytes]:
        """Yield the messages of files and directories, ready for the wire."""
        for entry in entries:
            yield self.info(entry).SerializeToString()

    def one_file(self, path: str) -> FileEntry:
        """Return the one file that a path or glob means.

        Raises:
            NotFound: there is none.
            InvalidArgument: it means a directory, or more than one file.
        """
        found = list(islice(self._matching(path), 2))
        if not found:
            raise self.snapshot.not_found(path)
        if len(found) > 1 or found[0].is_dir:
            what = "matches more than one file" if len(found) > 1 else "is a directory"
            raise errors.InvalidArgument(
                f'"{path}" {what} in {self.snapshot.name}; read it as an archive with GetFileTAR (pachctl get file -r)'
            )
        return found[0]

    def matching_with_content(self, path: str) -> Iterator[FileEntry]:
        """Yield what a path or glob means and everything below it, each once.

        Raises:
            NotFound: there is nothing.
        """
        trees, tree = self.snapshot.versions.trees, self.snapshot.tree
        inside: str | None = None
        empty = True
        for entry in self._matching(path):
            empty = False
            if inside is not None and entry.path.startswith(inside):
                continue  # came with its directory
            if entry.is_dir:
                inside = entry.path
                yield from storage_files.walk(trees, tree, entry.path)
            else:
                yield entry
        if empty:
            raise self.snapshot.not_found(path)

    def _matching(self, path: str) -> Iterator[FileEntry]:
        """Yield the file or directory of that very name, else all that the path matches as a glob."""
        trees, tree = self.snapshot.versions.trees, self.snapshot.tree
        exact = storage_files.inspect(trees, tree, _canonical(path))
        if exact is not None:
            yield exact
            return
        glob = compile_glob(path or "/")
        if not glob.is_literal:
            yield from storage_files.glob(trees, tree, glob)


def _canonical(path: str) -> str:
    """Return a path in canonical form, with its trailing slash if it has one."""
    cleaned = paths.clean(path)
    return f"{cleaned}/" if path.endswith("/") and cleaned != "/" else cleaned


def _number(request: pfs_pb2.ListFileRequest | pfs_pb2.WalkFileRequest) -> int | None:
    """Return how many files are wanted at most, None for all."""
    if not 0 <= request.number <= MAX_NUMBER:
        raise errors.InvalidArgument(
            f"number {request.number} is out of bounds; ask for at most {MAX_NUMBER:,} files, or 0 for all"
        )
    if request.reverse and not request.number:
        raise errors.InvalidArgument("reverse needs a number; say how many files to return from the end")
    return request.number or None


def _no_url(request: pfs_pb2.GetFileRequest) -> None:
    if request.url:
        raise errors.Unimplemented(
            f'sending files to a URL ("{request.url}") is not built yet; read them and upload them yourself'
        )


def _in_frames(pieces: Iterable[bytes]) -> Generator[bytes]:
    """Gather pieces into frames."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= FRAME_BYTES:
            yield _frame(gathered)
            gathered, size = [], 0
    if gathered:
        yield _frame(gathered)


def _frame(parts: list[bytes]) -> bytes:
    """Return a ``BytesValue`` of the parts."""
    left = sum(map(len, parts))
    length = bytearray()
    while left >= 0x80:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return b"".join((_BYTES_VALUE, length, *parts))
