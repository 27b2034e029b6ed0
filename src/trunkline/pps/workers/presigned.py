"""Presigned transfers: workers read chunks from and upload packs to the object store without the server.

Reading: a worker gets the places of a large file's chunks and signed URLs of their packs. Writing: it gets
a fresh key, a URL signed for PUT, and a grant: an HMAC of the key, the claim and an expiry time under a
secret of the database (docs/design/decisions/0010-signed-grants.md), so that a restarted server still accepts
the pack. A reported pack is checked before it is recorded: the grant is this claim's, the object has the
reported length, its table matches the hash in its trailer, and one randomly chosen chunk matches its id. (Every
reader checks every chunk; one is enough to notice a worker or a connection that corrupts bytes.)

Workers may always use Fetch and Complete with bytes instead.
"""

from __future__ import annotations

import functools
import hmac
import random
import struct
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.formats.chunking import MAX_BYTES
from trunkline.formats.pack_format import ROW_BYTES, new_key, read_table, table_rows
from trunkline.pfs import chunk_uploads
from trunkline.pps.installation_secrets import InstallationSecret
from trunkline.storage import file_values
from trunkline.storage.chunks import ChunkId, Location, PackRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import ObjectStore

#: Bytes from which on a file is read from the store: below, asking the store costs more than the bytes.
LARGE_BYTES = 1 << 20
#: Seconds that a URL is good for: long enough for one transfer, and no longer than the shortest-lived
#: credentials that sign them usually are.
URL_SECONDS = 3600.0
#: Seconds that a grant is good for: a pack whose upload ended with its URL has as long again to be reported.
GRANT_SECONDS = 2 * URL_SECONDS
#: Chunks in one piece; a worker joins neighbours within a piece, so this is also the longest range, 1 GB at most.
_PIECE_CHUNKS = 512
#: The largest pack that is accepted: well below the largest offset of the index.
MAX_PACK_BYTES = 1 << 30
#: The most chunks that a pack may have. Workers store large files, in chunks of half a mebibyte or more but for the
#: last of a file.
MAX_PACK_CHUNKS = 1 << 16
#: The row of ``setting`` that holds the secret of grants.
_SECRET = "grant_secret"
#: A grant: its expiry in seconds since the epoch, then the HMAC-SHA256.
_GRANT = struct.Struct("<Q32s")


def can_sign(objects: ObjectStore) -> bool:
    """Return whether the store signs URLs now."""
    return objects.sign("packs/00/none", "GET", URL_SECONDS) is not None


class ChunkPlace(NamedTuple):
    """Where a worker finds a chunk in the object store."""

    id: ChunkId
    #: Number of its pack: the position of the pack's URL among all URLs of the stream.
    pack: int
    offset: int
    #: Bytes in the pack, then of the chunk.
    stored: int
    length: int
    codec: int


class ChunkRun(NamedTuple):
    """Consecutive chunks of a file, all of one kind."""

    #: Those that the worker can read from the store,
    places: list[ChunkPlace]
    #: or those that must go through the server.
    others: list[ChunkId]


class PresignedReads:
    """The places and URLs that one Fetch stream gives out. Used by one thread at a time."""

    def __init__(self, versions: VersionedStore) -> None:
        self._chunks = versions.chunks
        #: Pack -> its number on the stream; None when its URL cannot be signed.
        self._packs: dict[str, int | None] = {}
        self._count = 0
        self._fresh: list[str] = []

    def take_urls(self) -> list[str]:
        """Return the URLs signed since the last call; they must be sent before the places that count them."""
        urls, self._fresh = self._fresh, []
        return urls

    def pieces(self, value: bytes) -> Iterator[ChunkRun]:
        """Yield a file's chunks in order, by its value."""
        ids = [id for id, _ in file_values.chunks_of(self._chunks, value)]
        for start in range(0, len(ids), _PIECE_CHUNKS):
            batch = ids[start : start + _PIECE_CHUNKS]
            locations = self._chunks.places(batch)
            run = ChunkRun([], [])
            for id in batch:
                place = self._place(id, locations.get(id))
                if run.others if place is not None else run.places:
                    yield run
                    run = ChunkRun([], [])
                if place is not None:
                    run.places.append(place)
                else:
                    run.others.append(id)
            yield run

    def _place(self, id: ChunkId, location: Location | None) -> ChunkPlace | None:
        if location is None or location.inline is not None:
            return None  # reading a missing chunk raises the error
        if location.pack not in self._packs:
            url = self._chunks.objects.sign(location.pack, "GET", URL_SECONDS)
            self._packs[location.pack] = self._count if url else None
            if url:
                self._fresh.append(url)
                self._count += 1
        number = self._packs[location.pack]
        if number is None:
            return None
        return ChunkPlace(id, number, location.offset, location.stored, location.length, location.codec)


class PackGrant(NamedTuple):
    """The right to upload one pack. All empty when the store signs no URLs."""

    pack: str
    #: Signed for PUT.
    url: str
    #: Proves, together with the pack, that this server or its predecessor gave it to the claim.
    grant: bytes


class ReportedPack(NamedTuple):
    """A pack that a worker reports as uploaded."""

    pack: str
    #: Bytes of the whole object.
    size: int
    grant: bytes


class PackGrants:
    """Grants uploads of packs and checks what was uploaded. May be used from several threads."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._objects = versions.chunks.objects
        self._secret = InstallationSecret(versions, _SECRET)

    def offer(self, claim_id: str, ids: Sequence[bytes]) -> tuple[list[int], PackGrant]:
        """Answer a worker that offers chunks. Blocks.

        Args:
            claim_id: the worker's claim.
            ids: of the chunks.

        Returns:
            The positions of those that the store lacks, and a grant for a pack of them.

        Raises:
            InvalidArgument: there are too many ids, or one has another length.
        """
        missing = chunk_uploads.missing(self._versions, ids)
        return missing, self.grant(claim_id) if missing else PackGrant("", "", b"")

    def grant(self, claim_id: str) -> PackGrant:
        """Return a fresh pack for a claim. Blocks."""
        key = new_key()
        url = self._objects.sign(key, "PUT", URL_SECONDS)
        if not url:
            return PackGrant("", "", b"")
        expiry = int(self._versions.clock.now() + GRANT_SECONDS)
        return PackGrant(key, url, _GRANT.pack(expiry, self._signature(key, claim_id, expiry)))

    def check(self, claim_id: str, pack: ReportedPack) -> PackRecord:
        """Check a pack that a worker of a claim reports. Blocks.

        Raises:
            FailedPrecondition: it does not exist or differs from the report; the bytes must be sent instead.
        """
        self._check_grant(claim_id, pack)
        try:
            table = self._checked_table(pack)
        except (errors.NotFound, errors.DataLoss, errors.FailedPrecondition) as error:
            raise errors.FailedPrecondition(
                f"pack {pack.pack!r} in the store cannot be used ({error.message}); send the bytes"
            ) from error
        ids, _, stored, lengths, _ = zip(*table_rows(table), strict=True)
        return PackRecord(
            pack.pack,
            pack.size,
            table,
            stored_bytes=sum(stored),
            chunk_bytes=sum(lengths),
            replaces=self._versions.chunks.damaged_among([ChunkId(id) for id in ids]),
        )

    def _check_grant(self, claim_id: str, pack: ReportedPack) -> None:
        expiry, signature = 0, b""
        if len(pack.grant) == _GRANT.size:
            expiry, signature = _GRANT.unpack(pack.grant)
        if not hmac.compare_digest(signature, self._signature(pack.pack, claim_id, expiry)):
            raise errors.FailedPrecondition(
                f"pack {pack.pack!r} was not granted to claim {claim_id}; send the bytes"
            )
        if self._versions.clock.now() > expiry:
            raise errors.FailedPrecondition(
                f"the grant of pack {pack.pack!r} ended after {GRANT_SECONDS:.0f} s; send the bytes"
            )

    def _signature(self, key: str, claim_id: str, expiry: int) -> bytes:
        return self._secret.mac(f"{key}\n{claim_id}\n{expiry}")

    def _checked_table(self, pack: ReportedPack) -> bytes:
        """Return the table at the end of an object, checked as far as all but one of its chunks need not be read.

        Raises:
            NotFound: there is no such object.
            DataLoss: it is not a pack of the reported size that a worker could have written.
            FailedPrecondition: it is a pack of a newer version.
        """
        size = self._objects.size(pack.pack)
        if size != pack.size or size > MAX_PACK_BYTES:
            raise errors.DataLoss(
                f"it has {size} bytes instead of {pack.size}, or more than {MAX_PACK_BYTES}"
            )
        get = functools.partial(self._objects.get, pack.pack)
        table = read_table(pack.pack, size, get, MAX_PACK_CHUNKS * ROW_BYTES)
        rows = list(table_rows(table))
        if not rows or max(length for *_, length, _ in rows) > MAX_BYTES:
            raise errors.DataLoss(f"it has no chunks, or chunks of more than {MAX_BYTES} bytes")
        id, offset, stored, length, codec = random.choice(rows)
        decode(ChunkId(id), Location(pack.pack, offset, stored, length, codec), get(offset, stored))
        return table
