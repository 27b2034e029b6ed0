"""Uploads large outputs to the object store as packs, so that their bytes do not pass through the server.

Files are split into chunks as on the server (``trunkline.formats.chunking``), the server reports which chunks the
store lacks, and those are compressed into packs (``trunkline.formats.pack_format``) and uploaded to presigned URLs.
Afterwards the worker reports chunk lists and the names of the packs. A pack is built in an unlinked file beside the
outputs, because the worker's memory counts against the pipeline's limit. Each chunk is decoded and compared with its
id before it goes into that file, and the upload carries the MD5 of the pack, which the store compares.

Transient errors are retried; any other error is ``StoreUnreachable``, and the caller sends the bytes to the server.
A pack that is uploaded but never reported stays in the store as an unreferenced object.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, NamedTuple

from blake3 import blake3

from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.formats.chunking import REF, WINDOW_BYTES, chunk_names
from trunkline.formats.codecs import decode, encode
from trunkline.formats.pack_format import PackLayout
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import outputs as output_files
from trunkline.worker.circuit_breaker import StoreUnreachable
from trunkline.worker.presigned_reads import PASSING, PAUSE, TRIES, error_text, host_of
from trunkline.worker.store_connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

#: Packs that are uploaded while the next is filled.
UPLOADS = 2
#: Chunks in one Offer call: some 64 MB, which are still in the page cache when they are read again.
_ASKED = 64


class Output(NamedTuple):
    """A file to be stored."""

    datum: int
    #: Below /pfs/out, with leading slash.
    path: str
    #: Path of its bytes.
    file: str


class Stored(NamedTuple):
    """The result of an upload, to be reported."""

    packs: list[pb.StoredPack]
    files: list[pb.StoredFile]


def store(
    offer: Callable[[bytes], pb.OfferResponse],
    outputs: Sequence[Output],
    folder: str,
    check: Callable[[], None],
) -> Stored:
    """Upload files; on return all their chunks are in the store.

    Args:
        offer: asks the server which of these chunk ids are missing.
        outputs: the files; they must not change meanwhile.
        folder: on a disk with room for three packs.
        check: called regularly; an exception of it ends the upload.

    Raises:
        StoreUnreachable: the store does not accept them.
        OSError: a file cannot be read, or the disk is full.
        TrunklineError: the server's error.
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
        #: Uploads in progress.
        self._coming: deque[Future[None]] = deque()
        self._offer = offer
        self._folder = folder
        self._check = check
        self.packs: list[pb.StoredPack] = []
        #: Chunks that the store has or that are in a pack here.
        self._settled: set[bytes] = set()
        self._spool: IO[bytes] | None = None
        #: What the server offered for the open pack.
        self._pack = pb.OfferResponse()
        self._layout = PackLayout("")
        self._md5 = _md5()

    def file(self, path: str, window: bytearray) -> bytes:
        """Upload the missing chunks of a file; return its chunk list."""
        descriptor = output_files.open_file(path)
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
            raise StoreUnreachable("the server no longer signs URLs")
        if not self._pack.url:
            self._pack, self._layout = answer, PackLayout(answer.pack)
        for number in answer.missing:
            id, position, size = batch[number]
            data = os.pread(descriptor, size, position)
            if len(data) != size:
                raise FailedPrecondition(
                    "an output became shorter while it was uploaded; end all processes that write to it"
                )
            self._append(id, data)
        if self._layout.is_full:
            self._flush()

    def _append(self, id: bytes, data: bytes) -> None:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed after its upload
            self._md5 = _md5()
        [codec], [stored] = encode([data])
        if decode(id, codec, len(data), stored) is None:
            if blake3(data).digest() != id:
                raise FailedPrecondition(
                    "an output changed while it was uploaded; end all processes that write to it"
                )
            raise DataLoss(
                f"chunk {id.hex()} does not match after it was compressed, so the memory or a processor of the worker's"
                " machine damaged it; test the machine, then run the datum again"
            )
        _, part = self._layout.add([id], [data], [codec], [stored])
        self._write(part)

    def _write(self, part: bytes | memoryview) -> None:
        assert self._spool is not None
        self._spool.write(part)
        self._md5.update(part)

    def _flush(self) -> None:
        """Start the upload of the open pack; wait while too many uploads are in progress."""
        if self._spool is None:
            return
        layout = self._layout
        self._write(layout.end())
        md5 = self._md5.digest()
        self._coming.append(
            self._uploads.submit(_put_and_close, self._pack.url, self._spool, layout.size, md5)
        )
        self.packs.append(pb.StoredPack(pack=layout.key, size=layout.size, grant=self._pack.grant))
        self._spool, self._pack = None, pb.OfferResponse()
        while len(self._coming) > UPLOADS:
            self._coming.popleft().result()

    def finish(self) -> None:
        """Wait until every pack is in the store."""
        self._flush()
        while self._coming:
            self._check()
            self._coming.popleft().result()

    def close(self) -> None:
        """Discard the open pack."""
        if self._spool is not None:
            self._spool.close()


def _md5() -> hashlib._Hash:
    """Return a hash of the one kind that all stores compare on a presigned PUT. It protects against accidents."""
    return hashlib.md5(usedforsecurity=False)


def _put_and_close(url: str, spool: IO[bytes], size: int, md5: bytes) -> None:
    connections = Connections()  # one per thread; the cost of a connection per pack is negligible
    try:
        with spool:
            put(connections, url, spool, size, md5)
    finally:
        connections.close()


def put(connections: Connections, url: str, body: IO[bytes], size: int, md5: bytes) -> None:
    """Upload the first bytes of a file.

    Args:
        connections: connections to reuse.
        url: presigned URL of a new object.
        body: the file.
        size: number of bytes.
        md5: their MD5, which the store compares.

    Raises:
        StoreUnreachable: the store does not accept them.
    """
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        body.seek(0)
        try:
            # Create only, although the key is fresh: a try whose answer was lost may have been stored.
            headers = {
                "Content-Length": str(size),
                "Content-MD5": base64.b64encode(md5).decode(),
                "If-None-Match": "*",
            }
            answer = connections.request("PUT", url, headers, body)
            damaged = b"BadDigest" in answer.read()
        except (ConnectionRefusedError, TimeoutError) as error:
            connections.drop(url)
            raise StoreUnreachable(f"{host_of(url)} does not answer ({error_text(error)})") from error
        except (OSError, http.client.HTTPException) as error:
            connections.drop(url)
            if attempt + 1 == TRIES:
                raise StoreUnreachable(f"{host_of(url)} breaks off ({error_text(error)})") from error
            continue
        if answer.status in (200, 201) or (answer.status == 412 and attempt):
            return
        if not (answer.status in PASSING or damaged) or attempt + 1 == TRIES:
            raise StoreUnreachable(f"{host_of(url)} refuses ({answer.status} {answer.reason})")
