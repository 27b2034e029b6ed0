"""What a worker is told so that it moves bytes between itself and the object store, past this server.

Reading: where the chunks of a large file lie, and signed URLs of their packs. Writing: which chunks the
store lacks, and a signed URL for a pack under a key that nobody else was given. What a worker says it has
put is believed only as far as it is checked: the pack was given to this claim, has the length it says, its
table fits, its end is there, and one chunk of it, drawn by lot, is what its name says. (All chunks are
checked by whoever reads them; one is enough to notice a worker that is broken or a connection that mixes
bytes up.)

Nothing here decides which files go which way: the worker may always use Fetch and Complete with bytes.
"""

from __future__ import annotations

import random
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.chunking import MAX_BYTES
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.storage import chunk_lists
from trunkline.storage.chunks import ENTRY, RAW, ZSTD, ChunkId, Location, PackRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.ports import ObjectStore
    from trunkline.storage.store import ChunkStore

#: Bytes from which on a file is read from the store: below, asking the store costs more than the bytes.
LARGE_BYTES = 1 << 20
#: Seconds that a URL is good for: long enough for any one hand-over, and no longer than the shortest-lived
#: credentials that sign them usually are.
URL_SECONDS = 3600.0
#: Chunks in one piece; a worker joins neighbours within a piece, so this is also the longest range, 1 GB at most.
_PIECE_CHUNKS = 512
#: Packs given out and not yet handed in, over all workers.
_GIVEN_KEPT = 4096
#: Bytes of the hash at a pack's end.
_END = 32
#: The largest pack that is taken: what offsets of the index can say, with room to spare.
MAX_PACK_BYTES = 1 << 30


def signs(objects: ObjectStore) -> bool:
    """Tell whether the store signs URLs now."""
    return objects.sign("packs/00/none", "GET", URL_SECONDS) is not None


class ChunkRun(NamedTuple):
    """Chunks of a file that follow each other, all of one kind."""

    #: Those that the worker can read from the store,
    places: list[pb.ChunkPlace]
    #: or those that must go through the server.
    others: list[ChunkId]


class DirectReads:
    """What one Fetch stream tells about places. Used by one thread at a time.

    Attributes:
        fresh: URLs that are to be sent with or before the next pieces; whoever sends them clears it.
    """

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        #: Pack -> its number on the stream; None when its URL cannot be signed.
        self._packs: dict[str, int | None] = {}
        self._sent = 0
        self.fresh: list[str] = []

    def pieces(self, value: bytes) -> Iterator[ChunkRun]:
        """Yield a file's chunks in order, by its chunk list."""
        ids = [id for id, _ in chunk_lists.chunks_of(value)]
        for start in range(0, len(ids), _PIECE_CHUNKS):
            batch = ids[start : start + _PIECE_CHUNKS]
            found = self._chunks.places(batch)
            run = ChunkRun([], [])
            for id in batch:
                place = self._place(id, found.get(id))
                if run.others if place is not None else run.places:
                    yield run
                    run = ChunkRun([], [])
                if place is not None:
                    run.places.append(place)
                else:
                    run.others.append(id)
            yield run

    def _place(self, id: ChunkId, found: Location | None) -> pb.ChunkPlace | None:
        if found is None or found.inline is not None:
            return None  # what is missing is said by who reads it
        if found.pack not in self._packs:
            url = self._chunks.objects.sign(found.pack, "GET", URL_SECONDS)
            self._packs[found.pack] = self._sent if url else None
            if url:
                self.fresh.append(url)
                self._sent += 1
        number = self._packs[found.pack]
        if number is None:
            return None
        return pb.ChunkPlace(
            id=id,
            pack=number,
            offset=found.offset,
            stored=found.stored,
            length=found.length,
            codec=found.codec,
        )


class GivenPacks:
    """The keys that workers were given to put packs under. Kept in memory alone.

    A worker that hands in a pack after a restart of the server is refused and sends its bytes instead.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        #: Pack -> the claim that it was given for.
        self._given: OrderedDict[str, str] = OrderedDict()

    def give(self, claim_id: str) -> tuple[str, str]:
        """Return the name of a new pack and a URL for it; two empty strings when the store signs none."""
        name = uuid.uuid4().hex
        key = f"packs/{name[:2]}/{name}"
        url = self._objects.sign(key, "PUT", URL_SECONDS)
        if not url:
            return "", ""
        self._given[key] = claim_id
        while len(self._given) > _GIVEN_KEPT:
            self._given.popitem(last=False)
        return key, url

    def take(self, claim_id: str, pack: pb.StoredPack) -> PackRecord:
        """Check a pack that a worker says it has put.

        Raises:
            FailedPrecondition: it is not there or not what the worker says; the bytes must be sent instead.
        """
        if self._given.get(pack.pack) != claim_id:
            raise errors.FailedPrecondition(
                f"pack {pack.pack!r} was not given to claim {claim_id} by this server; send the bytes"
            )
        entries = _entries(pack)
        record = PackRecord(
            pack.pack,
            pack.size,
            pack.columns,
            stored_bytes=pack.size - _END,
            chunk_bytes=sum(length for _, _, _, length, _ in entries),
        )
        try:
            self._look(record, random.choice(entries))
        except (errors.NotFound, errors.DataLoss) as error:
            raise errors.FailedPrecondition(
                f"pack {pack.pack!r} is not in the store as its worker says ({error.message}); send the bytes"
            ) from error
        return record

    def forget(self, packs: Sequence[PackRecord]) -> None:
        """Take back the right to hand packs in: they are recorded."""
        for pack in packs:
            self._given.pop(pack.pack, None)

    def _look(self, record: PackRecord, entry: tuple[ChunkId, int, int, int, int]) -> None:
        id, offset, stored, length, codec = entry
        found = dict(self._objects.list(record.pack)).get(record.pack)
        if found != record.size:
            raise errors.DataLoss(f"it has {found} bytes instead of {record.size}")
        place = Location(record.pack, offset, stored, length, codec)
        if len(decode(id, place, self._objects.get(record.pack, offset, stored))) != length:
            raise errors.DataLoss(f"chunk {id.hex()} does not have {length} bytes")


def _entries(pack: pb.StoredPack) -> list[tuple[ChunkId, int, int, int, int]]:
    """Return the table of a pack.

    Raises:
        FailedPrecondition: it does not describe a pack.
    """
    wrong = ""
    entries: list[tuple[ChunkId, int, int, int, int]] = []
    if len(pack.columns) % ENTRY.size or not pack.columns:
        wrong = f"it has {len(pack.columns)} bytes, which is no number of rows"
    elif pack.size > MAX_PACK_BYTES:
        wrong = f"the pack has {pack.size} bytes, more than {MAX_PACK_BYTES}"
    else:
        entries = list(ENTRY.iter_unpack(pack.columns))
        end = 0
        for _, offset, stored, length, codec in entries:
            if offset != end or not 0 < stored <= MAX_BYTES or not 0 < length <= MAX_BYTES:
                wrong = f"a chunk of {stored} bytes for {length} lies at {offset} instead of {end}"
                break
            if codec not in (RAW, ZSTD) or (codec == RAW and stored != length):
                wrong = f"a chunk at {offset} has codec {codec}"
                break
            end = offset + stored
        if not wrong and end + _END != pack.size:
            wrong = f"its chunks end at {end}, but the pack has {pack.size} bytes"
    if wrong:
        raise errors.FailedPrecondition(
            f"the table of pack {pack.pack!r} does not fit: {wrong}; send the bytes"
        )
    return entries
