"""Writing files over ``pfs_v2.API``: one stream of changes, fed to the store in batches (``pfs.feed``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.model import paths
from trunkline.pfs import files, urls
from trunkline.pfs.feed import Feed
from trunkline.pfs.write_streams import Changes, CommitStream
from trunkline.rpc import convert, modify_decoder
from trunkline.rpc.call import COMMIT_HEADER
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Outbound
    from trunkline.rpc.call import Call


class WriteCalls(ServicerBase):
    """Changes files of commits."""

    raw_requests = frozenset({"ModifyFile"})
    _outbound: Outbound

    async def ModifyFile(self, requests: AsyncIterator[bytes], call: Call) -> Empty:
        def begin(target: pfs_pb2.Commit) -> CommitStream:
            return CommitStream(self._store(call), convert.commit_name(target))

        applier = Applier(self._store(call), self._outbound, begin)
        async with Feed(self._executor, applier, self._versions.budget) as feed:
            await feed.receive(requests)
            await feed.finish(lambda: _commit_stream(applier).finish())
        call.trailing.append((COMMIT_HEADER, _commit_stream(applier).commit_id))
        return EMPTY_REPLY


def _commit_stream(applier: Applier) -> CommitStream:
    """Return the changes of a whole stream.

    Raises:
        InvalidArgument: it never said what they are for.
    """
    if not isinstance(applier.changes, CommitStream):
        raise errors.InvalidArgument(
            "the stream of changes names no commit; its first message must be set_commit"
        )
    return applier.changes


class Applier:
    """Applies frames to changes. Blocks; used by one thread at a time.

    Args:
        versions: the store.
        outbound: fetches what URLs have.
        begin: makes the changes once the stream has said what they are for; None when the stream need not.
        changes: where to apply the frames when it need not.
    """

    def __init__(
        self,
        versions: VersionedStore,
        outbound: Outbound,
        begin: Callable[[pfs_pb2.Commit], Changes] | None,
        changes: Changes | None = None,
    ) -> None:
        self._versions = versions
        self._outbound = outbound
        self._begin = begin
        self.changes = changes
        # The last path that was checked, as written and in canonical form: pieces of a file come in a row.
        self._written = ""
        self._path = ""

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order.

        Raises:
            TrunklineError: a frame is wrong, or its change cannot be made; those before it are applied.
        """
        for frame in batch:
            try:
                operation = modify_decoder.decode(frame)
            except DecodeError as error:
                raise errors.InvalidArgument(
                    "the stream of changes holds bytes that are not a ModifyFileRequest; use a client of the 2.12 API"
                ) from error
            if type(operation) is tuple:
                path, datum, data = operation
                if path != self._written:
                    self._path = paths.canonical(path)
                    self._written = path
                (self.changes or self._opened()).add(self._path, datum, data)
            else:
                self._apply_other(operation)

    def drain(self) -> None:
        """Hold as little as possible until the next frame."""
        if self.changes is not None:
            self.changes.drain()

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""
        if self.changes is not None:
            self.changes.abort()

    def _opened(self) -> Changes:
        if self.changes is None:
            raise errors.InvalidArgument(
                "the stream of changes must name its commit first; send set_commit before any change"
            )
        return self.changes

    def _add_from_url(self, operation: pfs_pb2.AddFile) -> None:
        changes, source = self._opened(), operation.url
        if source.recursive:
            folder = paths.clean(operation.path)
            urls.add_all(
                changes,
                self._outbound,
                self._versions.budget,
                folder,
                operation.datum,
                source.url,
                source.concurrency,
            )
        else:
            urls.add(changes, self._outbound, paths.canonical(operation.path), operation.datum, source.url)

    def _apply_other(self, operation: modify_decoder.Operation) -> None:
        match operation:
            case pfs_pb2.Commit():
                if self._begin is None or self.changes is not None:
                    raise errors.InvalidArgument("set_commit may only be the first message of ModifyFile")
                self.changes = self._begin(operation)
            case pfs_pb2.DeleteFile():
                self._opened().delete(operation.path, operation.datum)
            case pfs_pb2.CopyFile():
                source = files.snapshot(self._versions, convert.commit_name(operation.src.commit))
                self._opened().copy(
                    source, operation.src.path, operation.dst, operation.datum, append=operation.append
                )
            case pfs_pb2.AddFile():
                self._add_from_url(operation)
            case _:
                raise errors.InvalidArgument(
                    "the stream of changes holds an empty message; each must add, delete or copy a file"
                )
