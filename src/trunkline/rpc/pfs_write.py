"""Writing files over ``pfs_v2.API``: one stream of changes, fed to the store in batches.

The event loop's thread does nothing with a frame but put it on a list. A batch of frames goes to the
executor, one batch at a time per stream so that their order is kept, and is decoded and applied there while
the next one is gathered; so a stream holds at most two batches. The last batch and what ends the stream go
over together. A stream that pauses sends what it has, so that its errors come at once, and an error of a batch
ends the call without waiting for more frames.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.model import paths
from trunkline.pfs import files
from trunkline.pfs.write_streams import Changes, CommitStream
from trunkline.rpc import convert, modify_decoder
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Executor, Future

    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes of frames that make a batch. Two batches with the largest frames (20 MiB) stay under 48 MiB.
BATCH_BYTES = 1 << 20
#: Frames that make a batch: handing one over costs as much as some twenty small files.
BATCH_FRAMES = 1024
#: Seconds after which frames that are too few for a batch are applied all the same.
PAUSE = 0.01


class WriteCalls(ServicerBase):
    """Changes files of commits."""

    raw_requests = frozenset({"ModifyFile"})

    async def ModifyFile(self, requests: AsyncIterator[bytes], _context: Any) -> Empty:
        def begin(target: pfs_pb2.Commit) -> CommitStream:
            return CommitStream(self._versions, convert.commit_name(target))

        applier = Applier(self._versions, begin)
        async with Feed(self._executor, applier) as feed:
            await feed.receive(requests)
            await feed.finish(lambda: _commit_stream(applier).finish())
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
        begin: makes the changes once the stream has said what they are for; None when the stream need not.
        changes: where to apply the frames when it need not.
    """

    def __init__(
        self,
        versions: VersionedStore,
        begin: Callable[[pfs_pb2.Commit], Changes] | None,
        changes: Changes | None = None,
    ) -> None:
        self._versions = versions
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
                    "the stream of changes holds bytes that are no ModifyFileRequest; use a client of the 2.12 API"
                ) from error
            if type(operation) is tuple:
                path, datum, data = operation
                if path != self._written:
                    self._path = paths.canonical(path)
                    self._written = path
                (self.changes or self._opened()).add(self._path, datum, data)
            else:
                self._apply_other(operation)

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
            case pfs_pb2.AddFile.UrlSource():
                raise errors.Unimplemented(
                    f'adding files from a URL ("{operation.url}") is not built yet; download it and put the file'
                )
            case _:
                raise errors.InvalidArgument(
                    "the stream of changes holds an empty message; each must add, delete or copy a file"
                )


class Applies(Protocol):
    """What a feed feeds. Blocks; used by one thread at a time."""

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order, or raise."""

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""


class Feed:
    """Feeds the frames of one call to its applier. Belongs to the event loop's thread.

    A context: on leaving it, what the applier holds is dropped unless ``finish`` went well.
    """

    def __init__(self, executor: Executor, applier: Applies) -> None:
        self._executor = executor
        self._applier = applier
        self._frames: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        #: The last thing given to the executor. Not the loop's future of it: that one is done as soon as the
        #: call is cancelled, while the thread is still at work.
        self._running: Future[Any] | None = None
        self._job: asyncio.Future[Any] | None = None
        #: The error of a batch, so that nobody waits for further frames.
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._finished = False

    async def __aenter__(self) -> Feed:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._finished and self._running is not None:
            # Not awaited: the call may be cancelled, and nobody waits for the clearing up.
            self._running.add_done_callback(self._clear_up)

    async def receive(self, requests: AsyncIterator[bytes]) -> None:
        """Take frames until the client has sent all, and apply all but the last batch, which ``finish`` does.

        Raises:
            TrunklineError: what the applier raised, as soon as it did.
        """
        reading = asyncio.ensure_future(self._read(requests))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if self._failed.done():
            raise self._failed.result()
        reading.result()

    async def finish(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply the last batch and run the last step; if both succeed there is nothing to drop any more.

        Raises:
            TrunklineError: what the applier or the step raised.
        """
        batch = self._gathered()
        await self._idle()

        def last() -> T:
            if batch:
                self._applier.apply(batch)
            return fn(*args, **kwargs)

        value = await self._start(last)
        self._finished = True
        return value

    def _clear_up(self, _: Future[Any]) -> None:
        # A server that stops takes no more work; what stays behind is bytes that nothing names.
        with contextlib.suppress(RuntimeError):
            self._executor.submit(self._applier.abort)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        async for frame in requests:
            self._frames.append(frame)
            self._size += len(frame)
            if self._size >= BATCH_BYTES or len(self._frames) >= BATCH_FRAMES:
                await self._idle()
                self._apply()
            elif self._timer is None:
                self._timer = loop.call_later(PAUSE, self._paused)

    async def _idle(self) -> None:
        """Wait until no batch is being applied."""
        if self._job is not None:
            await self._job

    def _apply(self) -> None:
        """Give the gathered frames to the executor."""
        self._job = self._start(self._applier.apply, self._gathered())
        self._job.add_done_callback(self._applied)

    def _gathered(self) -> list[bytes]:
        """Take the gathered frames."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._frames, self._size = self._frames, [], 0
        return batch

    def _start(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        self._running = running = self._executor.submit(fn, *args, **kwargs)
        return asyncio.wrap_future(running)

    def _applied(self, job: asyncio.Future[Any]) -> None:
        if not job.cancelled() and (error := job.exception()) is not None and not self._failed.done():
            self._failed.set_result(error)

    def _paused(self) -> None:
        """Apply what there is, as soon as the batch before is done."""
        self._timer = None
        if not self._frames:
            return
        if self._job is None or self._job.done():
            self._apply()
        else:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._paused)
