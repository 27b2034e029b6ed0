"""Presigned transfers: workers read chunks from and upload packs to the object store without the server.

Reading: a worker gets the places of a large file's chunks and signed URLs of their packs. Writing: it gets
a fresh key, a URL signed for PUT, and a grant: an HMAC of the key, the claim and an expiry time under a
secret of the database (docs/design/decisions/0010-signed-grants.md), so that a restarted server still accepts
the pack. A reported pack is checked before it is recorded: the grant is this claim's, the object has the
reported length, its table is consistent, and one randomly chosen chunk matches its id. (Every reader checks
every chunk; one is enough to notice a worker or a connection that corrupts bytes.)

Workers may always use Fetch and Complete with bytes instead.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import struct
from secrets import token_bytes
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.formats.chunking import MAX_BYTES
from trunkline.formats.pack_format import ENTRY, HASH_BYTES, RAW, ZSTD, new_key
from trunkline.meta import settings
from trunkline.pfs import chunk_uploads
from trunkline.storage import file_values
from trunkline.storage.chunks import ChunkId, Location, PackRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
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
    #: Its table, as in ``PackRecord.columns``.
    columns: bytes
    grant: bytes


class PackGrants:
    """Grants uploads of packs and checks what was uploaded. May be used from several threads."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._objects = versions.chunks.objects
        self._secret: bytes | None = None

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
        entries = _entries(pack)
        record = PackRecord(
            pack.pack,
            pack.size,
            pack.columns,
            stored_bytes=pack.size - HASH_BYTES,
            chunk_bytes=sum(length for _, _, _, length, _ in entries),
            replaces=self._versions.chunks.damaged_among([id for id, *_ in entries]),
        )
        try:
            self._check_object(record, random.choice(entries))
        except (errors.NotFound, errors.DataLoss) as error:
            raise errors.FailedPrecondition(
                f"pack {pack.pack!r} in the store is not the one that was reported ({error.message}); send the bytes"
            ) from error
        return record

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
        if self._secret is None:
            secret = self._versions.read(settings.value, _SECRET)
            if secret is None:
                secret = self._versions.write(_make_secret)
            self._secret = bytes.fromhex(secret)
        return hmac.digest(self._secret, f"{key}\n{claim_id}\n{expiry}".encode(), hashlib.sha256)

    def _check_object(self, record: PackRecord, entry: tuple[ChunkId, int, int, int, int]) -> None:
        id, offset, stored, length, codec = entry
        size = self._objects.size(record.pack)
        if size != record.size:
            raise errors.DataLoss(f"it has {size} bytes instead of {record.size}")
        place = Location(record.pack, offset, stored, length, codec)
        if len(decode(id, place, self._objects.get(record.pack, offset, stored))) != length:
            raise errors.DataLoss(f"chunk {id.hex()} does not have {length} bytes")


def _make_secret(write: WriteTransaction) -> str:
    """Return the secret, creating it unless another thread was faster."""
    return settings.setdefault(write.conn, _SECRET, token_bytes(32).hex())


def _entries(pack: ReportedPack) -> list[tuple[ChunkId, int, int, int, int]]:
    """Return the table of a pack.

    Raises:
        FailedPrecondition: it does not describe a pack.
    """
    problem = ""
    entries: list[tuple[ChunkId, int, int, int, int]] = []
    if len(pack.columns) % ENTRY.size or not pack.columns:
        problem = f"it has {len(pack.columns)} bytes, which is not a positive multiple of {ENTRY.size}"
    elif pack.size > MAX_PACK_BYTES:
        problem = f"the pack has {pack.size} bytes, more than {MAX_PACK_BYTES}"
    else:
        entries = list(ENTRY.iter_unpack(pack.columns))
        end = 0
        for _, offset, stored, length, codec in entries:
            if offset != end or not 0 < stored <= MAX_BYTES or not 0 < length <= MAX_BYTES:
                problem = f"a chunk of {stored} bytes for {length} lies at {offset} instead of {end}"
                break
            if codec not in (RAW, ZSTD) or (codec == RAW and stored != length):
                problem = f"a chunk at {offset} has codec {codec}"
                break
            end = offset + stored
        if not problem and end + HASH_BYTES != pack.size:
            problem = f"its chunks end at {end}, but the pack has {pack.size} bytes"
    if problem:
        raise errors.FailedPrecondition(
            f"the table of pack {pack.pack!r} is inconsistent: {problem}; send the bytes"
        )
    return entries
