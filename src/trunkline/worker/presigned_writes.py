"""Puts large outputs into the object store as packs, so that their bytes do not pass through the server.

Files are cut and named as the server would (``trunkline.chunking``), the server is asked which chunks the
store lacks, and those are compressed into packs (docs/design/format.md) that are put under signed URLs.
What is handed in afterwards are chunk lists and the tables of the packs. A pack is gathered in an unlinked
file beside the outputs, because the worker's memory counts as the pipeline's.

What goes wrong in passing is tried again; what does not pass is ``StoreUnreachable``, and the caller sends
the bytes to the server. Packs that were put for nothing are swept by the server.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import struct
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, NamedTuple

import zstandard
from blake3 import blake3

from trunkline.chunking import REF, WINDOW_BYTES, chunk_names
from trunkline.errors import FailedPrecondition
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker.circuit_breaker import StoreUnreachable
from trunkline.worker.presigned_reads import PASSING, PAUSE, TRIES, Connections, host_of, said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

#: Bytes of a pack before its hash, as the server's own.
PACK_BYTES = 64 << 20
#: Packs on their way while the next is cut.
UPLOADS = 2
#: Chunks that are asked for together: 64 MB or so, read a second time soon enough to be in the system's cache.
_ASKED = 64
#: A row of a pack's table: id, offset, stored bytes, bytes, codec.
_ENTRY = struct.Struct("<32sIIIB")
_RAW, _ZSTD = 0, 1
#: As the server does: level 1, and raw when it saves less than 3 %.
_LEVEL = 1
_WORTHWHILE = 0.97


class Output(NamedTuple):
    """A file to be stored."""

    datum: int
    #: Below /pfs/out, with leading slash.
    path: str
    #: Where its bytes are.
    file: str


class Stored(NamedTuple):
    """What is to be handed in."""

    packs: list[pb.StoredPack]
    files: list[pb.StoredFile]


def store(
    offer: Callable[[bytes], pb.OfferResponse],
    outputs: Sequence[Output],
    folder: str,
    check: Callable[[], None],
) -> Stored:
    """Store files; when it returns, every chunk of theirs is in the store.

    Args:
        offer: asks the server about chunk ids.
        outputs: the files; they must not change meanwhile.
        folder: on a disk with room for three packs.
        check: called now and then; what it raises ends the work.

    Raises:
        StoreUnreachable: the store does not take them.
        OSError: a file cannot be read, or the disk is full.
        TrunklineError: what the server answered.
    """
    window = bytearray(WINDOW_BYTES)
    with ThreadPoolExecutor(UPLOADS, "packs") as uploads:
        sending = _Sending(uploads, offer, folder, check)
        with contextlib.closing(sending):
            files = [
                pb.StoredFile(datum=output.datum, path=output.path, chunks=sending.file(output.file, window))
                for output in outputs
            ]
            sending.finish()
    return Stored(sending.packs, files)


class _Sending:
    def __init__(
        self,
        uploads: Executor,
        offer: Callable[[bytes], pb.OfferResponse],
        folder: str,
        check: Callable[[], None],
    ) -> None:
        self._uploads = uploads
        #: Packs on their way.
        self._coming: deque[Future[None]] = deque()
        self._offer = offer
        self._folder = folder
        self._check = check
        self.packs: list[pb.StoredPack] = []
        #: Chunks that the store has or that are in a pack here.
        self._settled: set[bytes] = set()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._spool: IO[bytes] | None = None
        #: What the server offered for the open pack.
        self._pack = pb.OfferResponse()
        self._columns = bytearray()
        self._size = 0
        self._hash = blake3()

    def file(self, path: str, window: bytearray) -> bytes:
        """Store what the store lacks of a file; return its chunk list."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            chunks: list[bytes] = []
            batch: list[tuple[bytes, int, int]] = []
            position = 0
            for id, size in chunk_names(lambda view: os.readv(descriptor, [view]), window):
                chunks.append(REF.pack(id, size))
                if id not in self._settled:
                    self._settled.add(id)
                    batch.append((id, position, size))
                position += size
                if len(batch) == _ASKED:
                    self._ask(descriptor, batch)
                    batch = []
            self._ask(descriptor, batch)
        finally:
            os.close(descriptor)
        return b"".join(chunks)

    def _ask(self, descriptor: int, batch: Sequence[tuple[bytes, int, int]]) -> None:
        if not batch:
            return
        self._check()
        answer = self._offer(b"".join(id for id, _, _ in batch))
        if not answer.missing:
            return
        if not answer.url:
            raise StoreUnreachable("the server signs no URLs any more")
        if not self._pack.url:
            self._pack = answer
        for number in answer.missing:
            id, position, size = batch[number]
            data = os.pread(descriptor, size, position)
            if len(data) != size:
                raise FailedPrecondition(
                    "an output became shorter while it was stored; nothing may write to it"
                )
            self._append(id, data)
        if self._size >= PACK_BYTES:
            self._flush()

    def _append(self, id: bytes, data: bytes) -> None:
        stored, codec = self._compressor.compress(data), _ZSTD
        if len(stored) > len(data) * _WORTHWHILE:
            stored, codec = data, _RAW
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed when it is put
        self._spool.write(stored)
        self._hash.update(stored)
        self._columns += _ENTRY.pack(id, self._size, len(stored), len(data), codec)
        self._size += len(stored)

    def _flush(self) -> None:
        """Send the open pack on its way; wait when too many are."""
        if self._spool is None:
            return
        self._spool.write(self._hash.digest())
        size = self._size + 32
        self._coming.append(self._uploads.submit(_put_and_close, self._pack.url, self._spool, size))
        self.packs.append(
            pb.StoredPack(
                pack=self._pack.pack, size=size, columns=bytes(self._columns), grant=self._pack.grant
            )
        )
        self._spool, self._pack = None, pb.OfferResponse()
        self._columns, self._size, self._hash = bytearray(), 0, blake3()
        while len(self._coming) > UPLOADS:
            self._coming.popleft().result()

    def finish(self) -> None:
        """Return when every pack is in the store."""
        self._flush()
        while self._coming:
            self._check()
            self._coming.popleft().result()

    def close(self) -> None:
        """Let the open pack go."""
        if self._spool is not None:
            self._spool.close()


def _put_and_close(url: str, spool: IO[bytes], size: int) -> None:
    connections = Connections()  # a thread's own; one connection for a whole pack costs nothing
    try:
        with spool:
            put(connections, url, spool, size)
    finally:
        connections.close()


def put(connections: Connections, url: str, body: IO[bytes], size: int) -> None:
    """Put the first ``size`` bytes that a file holds.

    Raises:
        StoreUnreachable: the store does not take them.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        body.seek(0)
        try:
            # Create only, although the key is fresh: a try whose answer was lost may have been stored.
            headers = {"Content-Length": str(size), "If-None-Match": "*"}
            answer = connections.request("PUT", url, headers, body)
            answer.read()
        except (ConnectionRefusedError, TimeoutError) as error:
            connections.drop(url)
            raise StoreUnreachable(f"{host_of(url)} does not answer ({said(error)})") from error
        except (OSError, http.client.HTTPException) as error:
            connections.drop(url)
            if attempt + 1 == TRIES:
                raise StoreUnreachable(f"{host_of(url)} breaks off ({said(error)})") from error
            continue
        if answer.status in (200, 201) or (answer.status == 412 and attempt):
            return
        if answer.status not in PASSING or attempt + 1 == TRIES:
            raise StoreUnreachable(f"{host_of(url)} refuses ({answer.status} {answer.reason})")
