"""Reading files over ``pfs_v2.API``.

Replies are encoded in a thread (``_ahead``) and sent unchanged: frames of file content are a hand-encoded
``BytesValue`` around the chunk, and file infos are encoded and handed over some hundred at a time.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.formats.protowire import bytes_value
from trunkline.pfs import files, reading, urls
from trunkline.rpc import convert, file_infos
from trunkline.rpc.file_infos import FileInfos
from trunkline.rpc.servicer import ServicerBase, in_batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Iterator

    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.reading import FileEntry
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Outbound
    from trunkline.rpc.call import Call
    from trunkline.rpc.gen import pfs_pb2

#: Bytes up to which small pieces are joined into one frame; chunks are sent as they are, up to 2 MiB.
FRAME_BYTES = 1 << 20
#: File infos that are encoded and handed over together; each is as long as its path and 200 bytes.
INFOS = 1024


class ReadCalls(ServicerBase):
    """Lists files and sends their content."""

    raw_responses = frozenset(
        {"GetFile", "GetFileTAR", "InspectFile", "ListFile", "WalkFile", "GlobFile", "DiffFile"}
    )
    _outbound: Outbound

    # --- content ----------------------------------------------------------------------------------------

    async def GetFile(self, request: pfs_pb2.GetFileRequest, call: Call) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(self._content(self._store(call), request))) as frames:
            async for frame in frames:
                yield frame

    async def GetFileTAR(self, request: pfs_pb2.GetFileRequest, call: Call) -> AsyncIterator[bytes]:
        async with aclosing(self._ahead(self._archive(self._store(call), request))) as frames:
            async for frame in frames:
                yield frame

    def _content(self, store: VersionedStore, request: pfs_pb2.GetFileRequest) -> Generator[bytes]:
        """Yield the frames of one file's content."""
        snapshot = _snapshot(store, request.file.commit)
        if request.url:
            self._send(snapshot, request)
            return
        for piece in reading.content(snapshot, request.file.path, request.offset):
            frame = bytes_value([piece])
            del piece  # not to be held as long as the client lets the frame wait
            yield frame

    def _archive(self, store: VersionedStore, request: pfs_pb2.GetFileRequest) -> Generator[bytes]:
        """Yield the frames of an archive."""
        if request.offset:
            raise errors.InvalidArgument("an archive cannot be read from an offset; use GetFile for one file")
        snapshot = _snapshot(store, request.file.commit)
        if request.url:
            self._send(snapshot, request)
            return
        bounds = request.path_range
        yield from _in_frames(reading.archive(snapshot, request.file.path, bounds.lower, bounds.upper))

    def _send(self, snapshot: Snapshot, request: pfs_pb2.GetFileRequest) -> None:
        """Send files to the URL of a request instead of the client."""
        bounds = request.path_range
        urls.send(snapshot, self._outbound, request.file.path, request.url, bounds.lower, bounds.upper)

    # --- file infos -------------------------------------------------------------------------------------

    async def InspectFile(self, request: pfs_pb2.InspectFileRequest, call: Call) -> bytes:
        def look() -> bytes:
            snapshot = _snapshot(self._store(call), request.file.commit)
            return FileInfos(snapshot).encoded([snapshot.inspect(request.file.path)])[0]

        return await self._blocking(look)

    async def ListFile(self, request: pfs_pb2.ListFileRequest, call: Call) -> AsyncIterator[list[bytes]]:
        async with aclosing(self._ahead(self._list(self._store(call), request))) as batches:
            async for batch in batches:
                yield batch

    async def WalkFile(self, request: pfs_pb2.WalkFileRequest, call: Call) -> AsyncIterator[list[bytes]]:
        async with aclosing(self._ahead(self._walk_files(self._store(call), request))) as batches:
            async for batch in batches:
                yield batch

    async def GlobFile(self, request: pfs_pb2.GlobFileRequest, call: Call) -> AsyncIterator[list[bytes]]:
        async with aclosing(self._ahead(self._glob(self._store(call), request))) as batches:
            async for batch in batches:
                yield batch

    async def DiffFile(self, request: pfs_pb2.DiffFileRequest, call: Call) -> AsyncIterator[list[bytes]]:
        async with aclosing(self._ahead(in_batches(self._diff(self._store(call), request)))) as batches:
            async for batch in batches:
                yield batch

    def _list(self, store: VersionedStore, request: pfs_pb2.ListFileRequest) -> Generator[list[bytes]]:
        snapshot = _snapshot(store, request.file.commit)
        entries = reading.list_directory(
            snapshot,
            request.file.path,
            after=request.pagination_marker.path,
            reverse=request.reverse,
            number=request.number,
        )
        return _infos(snapshot, entries)

    def _walk_files(self, store: VersionedStore, request: pfs_pb2.WalkFileRequest) -> Generator[list[bytes]]:
        snapshot = _snapshot(store, request.file.commit)
        entries = reading.walk(
            snapshot,
            request.file.path,
            after=request.pagination_marker.path,
            reverse=request.reverse,
            number=request.number,
        )
        return _infos(snapshot, entries)

    def _glob(self, store: VersionedStore, request: pfs_pb2.GlobFileRequest) -> Generator[list[bytes]]:
        snapshot = _snapshot(store, request.commit)
        bounds = request.path_range
        return _infos(snapshot, reading.glob(snapshot, request.pattern, bounds.lower, bounds.upper))

    def _diff(self, store: VersionedStore, request: pfs_pb2.DiffFileRequest) -> Iterator[bytes]:
        difference = reading.diff(
            store,
            convert.commit_name(request.new_file.commit),
            request.new_file.path,
            convert.optional_commit(request.old_file.commit),
            request.old_file.path,
        )
        new = FileInfos(difference.new)
        old = FileInfos(difference.old or difference.new)
        for after, before in difference.pairs:
            yield file_infos.difference(
                new.encoded([after])[0] if after is not None else None,
                old.encoded([before])[0] if before is not None else None,
            )


def _snapshot(store: VersionedStore, message: pfs_pb2.Commit) -> Snapshot:
    return files.snapshot(store, convert.commit_name(message))


def _infos(snapshot: Snapshot, entries: Iterable[FileEntry]) -> Generator[list[bytes]]:
    """Yield the encoded messages about files and directories, many at a time."""
    infos = FileInfos(snapshot)
    return (infos.encoded(batch) for batch in in_batches(entries, INFOS))


def _in_frames(pieces: Iterable[bytes]) -> Generator[bytes]:
    """Join pieces into frames."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= FRAME_BYTES:
            yield bytes_value(gathered)
            gathered, size = [], 0
    if gathered:
        yield bytes_value(gathered)
