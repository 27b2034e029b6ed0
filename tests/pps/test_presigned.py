"""The server checks presigned transfers: packs that workers upload, and places that workers read."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from s3_server import BadWay

from trunkline.app import composition
from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import FailedPrecondition
from trunkline.formats.chunking import REF
from trunkline.formats.codecs import RAW
from trunkline.formats.pack_format import PackLayout
from trunkline.meta import chunks as chunk_rows
from trunkline.meta import install
from trunkline.meta.database import Database, sqlite_url
from trunkline.meta.wakeups import Wakeups
from trunkline.pps.workers.presigned import GRANT_SECONDS, PackGrants, PresignedReads, ReportedPack, can_sign
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.storage import chunk_lists, file_values
from trunkline.worker import presigned_reads, presigned_writes
from trunkline.worker.circuit_breaker import StoreUnreachable
from trunkline.worker.store_connections import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from s3_server import S3Server

    from trunkline.pps.workers.presigned import ChunkRun
    from trunkline.storage.chunks import PackRecord


class Clock:
    """A clock that the test sets."""

    time = 1_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class World:
    """A store on a bucket, its server's side and a worker's side."""

    def __init__(self, way: BadWay, folder: Path) -> None:
        self.way = way
        self.folder = folder
        self.clock = Clock()
        self._loop = asyncio.new_event_loop()
        self._db = Database(sqlite_url(folder), lambda _: None)
        install.install(self._db, self.clock.now())
        self.objects = BucketObjects(f"s3://ready/{uuid.uuid4().hex}", patience=20.0)
        wakeups = Wakeups(self._loop)
        self.versions = composition.core(self._db, self.objects, wakeups, self.clock).versions
        self.chunks = self.versions.chunks
        self.grants = PackGrants(self.versions)
        self.connections = Connections()

    def record(self, packs: Sequence[PackRecord]) -> None:
        """Make packs known to the chunk index."""
        self._db.run_blocking(lambda tx: chunk_rows.add(tx.conn, packs, 0, self.clock.now()))

    def check(self, pack: pb.StoredPack, claim: str = "claim") -> PackRecord:
        return self.grants.check(claim, ReportedPack(pack.pack, pack.size, pack.grant))

    def close(self) -> None:
        self.connections.close()
        self.chunks.close()
        self._db.close()
        self._loop.close()

    def offer(self, ids: bytes) -> pb.OfferResponse:
        """Answer as the server does."""
        missing, grant = self.grants.offer("claim", [ids[at : at + 32] for at in range(0, len(ids), 32)])
        return pb.OfferResponse(missing=missing, pack=grant.pack, url=grant.url, grant=grant.grant)

    def put(self, content: bytes, name: str = "file") -> presigned_writes.Stored:
        """Store a file as a worker does."""
        (self.folder / name).write_bytes(content)
        output = presigned_writes.Output(0, f"/{name}", str(self.folder / name))
        return presigned_writes.store(self.offer, [output], str(self.folder), lambda: None)

    def get(self, value: bytes) -> bytes:
        """Read a file as a worker does, and what must come through the server from it."""
        reads = PresignedReads(self.versions)
        urls: list[str] = []
        parts: list[bytes] = []
        for run in reads.pieces(file_values.inline(value)):
            urls += reads.take_urls()
            parts += presigned_reads.read(self.connections, places(run), urls)
            parts += self.chunks.read_many(run.others)
        return b"".join(parts)

    def gets(self) -> int:
        return sum(1 for line in self.way.requests if line.startswith("GET") and "Signature" in line)


@pytest.fixture
def world(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    way = BadWay(s3.address)
    for name, value in s3.environment(address=way.address).items():
        monkeypatch.setenv(name, value)
    world = World(way, tmp_path)
    yield world
    world.close()
    way.close()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


TEXT = b"All work and no play makes jack a dull boy.\n" * 200_000


def test_what_a_worker_stores_is_what_the_server_would_have_stored(world: World) -> None:
    """The same chunk list, so that equal files are found equal whichever way they came."""
    data = content(5 << 20) + TEXT
    [file] = world.put(data).files
    writer = world.chunks.writer()
    value = chunk_lists.cut(writer, [data])
    writer.abort()

    assert file.chunks == value


def test_what_a_worker_stored_is_read_by_the_server_and_by_other_workers(world: World) -> None:
    data = content(5 << 20) + TEXT
    stored = world.put(data)

    world.record([world.check(pack) for pack in stored.packs])

    [file] = stored.files
    ids = [id for id, _ in chunk_lists.chunks_of(file.chunks)]
    assert b"".join(world.chunks.read_many(ids)) == data
    assert world.get(file.chunks) == data
    assert stored.packs[0].size < len(data) - len(TEXT) // 2  # text was compressed


def test_neighbours_in_a_pack_are_one_request(world: World) -> None:
    stored = world.put(content(20 << 20))
    world.record([world.check(pack) for pack in stored.packs])

    assert world.get(stored.files[0].chunks) == content(20 << 20)

    assert world.gets() == 1


def test_a_file_that_repeats_itself_is_read_right(world: World) -> None:
    once = content(3 << 20)
    data = once + content(2 << 20, seed=2) + once
    stored = world.put(data)
    world.record([world.check(pack) for pack in stored.packs])

    assert world.get(stored.files[0].chunks) == data


def test_small_packs_in_the_index_come_through_the_server(world: World) -> None:
    """A file of two chunks: the first in a pack of its own, the second in the index."""
    [file] = world.put(content(1 << 20)).files
    large, small = world.put(content(2 << 20), "large"), b"in the index"
    world.record([world.check(pack) for pack in large.packs])
    writer = world.chunks.writer()
    value = large.files[0].chunks + REF.pack(writer.add(small), len(small))
    world.record(writer.seal())

    kinds = [
        (len(run.places) > 0, len(run.others))
        for run in PresignedReads(world.versions).pieces(file_values.inline(value))
    ]

    assert kinds == [(True, 0), (False, 1)]
    assert world.get(value) == content(2 << 20) + small
    assert file.chunks not in value


def test_chunks_that_the_store_has_are_not_put_again(world: World) -> None:
    first = world.put(content(4 << 20))
    world.record([world.check(pack) for pack in first.packs])

    again = world.put(content(4 << 20), "again")

    assert again.packs == []
    assert again.files[0].chunks == first.files[0].chunks


# --- packs that are refused ---------------------------------------------------------------------------------


def refused(world: World, pack: pb.StoredPack, claim: str = "claim") -> str:
    with pytest.raises(FailedPrecondition) as caught:
        world.check(pack, claim)
    return caught.value.message


def test_a_pack_of_another_claim_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs

    assert "was not granted to claim another" in refused(world, pack, "another")


def test_a_grant_survives_a_restart_of_the_server(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    world.grants = PackGrants(world.versions)

    assert world.check(pack).pack == pack.pack


def test_a_forged_grant_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    pack.grant = pack.grant[:-1] + bytes([pack.grant[-1] ^ 1])

    assert "was not granted" in refused(world, pack)


def test_a_grant_does_not_last_longer_than_it_says(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    later = pb.StoredPack()
    later.CopyFrom(pack)
    later.grant = (2**40).to_bytes(8, "little") + pack.grant[8:]
    world.clock.time += GRANT_SECONDS + 1

    assert "the grant of pack" in refused(world, pack)
    assert "was not granted" in refused(world, later)


def test_a_pack_that_was_never_put_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    other = world.grants.grant("claim")
    pack.pack, pack.grant = other.pack, other.grant

    assert pack.pack in refused(world, pack)


def replace(world: World, pack: pb.StoredPack, body: bytes) -> None:
    """Put other bytes where the worker has put the pack, and report their number."""
    world.objects.delete(pack.pack)
    world.objects.put(pack.pack, [body])
    pack.size = len(body)


def test_a_pack_that_does_not_hold_what_its_table_says_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    [other] = world.put(content(1 << 20, seed=2), "other").packs
    body, swapped = world.objects.get(pack.pack), world.objects.get(other.pack)
    replace(world, pack, swapped[: 1 << 20] + body[1 << 20 :])

    assert "does not match its id" in refused(world, pack)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-1],
        lambda body: body + b"x",
        lambda body: body[1:],
        lambda body: body[:-70] + bytes([body[-70] ^ 1]) + body[-69:],
        lambda body: content(len(body), seed=3),
        lambda _body: b"short",
        lambda body: body[:-60] + b"\x03" + body[-59:],
    ],
    ids=["cut", "longer", "shifted", "table", "foreign", "tiny", "newer"],
)
def test_an_object_that_is_not_a_whole_pack_is_refused(world: World, spoil: Callable[[bytes], bytes]) -> None:
    [pack] = world.put(content(3 << 20)).packs
    replace(world, pack, spoil(world.objects.get(pack.pack)))

    assert "send the bytes" in refused(world, pack)


def test_an_object_of_another_size_than_reported_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    pack.size += 1

    assert "send the bytes" in refused(world, pack)


def test_a_pack_of_chunks_that_are_larger_than_any_file_has_is_refused(world: World) -> None:
    [pack] = world.put(content(1 << 20)).packs
    layout, large = PackLayout(pack.pack), content((2 << 20) + 1)
    _, body = layout.add([blake3(large).digest()], [large], [RAW], [large])
    replace(world, pack, bytes(body) + layout.end())

    assert "send the bytes" in refused(world, pack)


def test_an_upload_that_was_changed_on_its_way_is_sent_again(world: World) -> None:
    world.way.go_wrong("flip", "PUT")
    data = content(3 << 20)

    stored = world.put(data)

    world.record([world.check(pack) for pack in stored.packs])
    assert world.get(stored.files[0].chunks) == data
    assert [line.split()[0] for line in world.way.requests if line.startswith("PUT")] == ["PUT", "PUT"]


def places(run: ChunkRun) -> list[pb.ChunkPlace]:
    return [pb.ChunkPlace(**place._asdict()) for place in run.places]


# --- ways that are closed -----------------------------------------------------------------------------------


def test_a_store_without_urls_offers_none() -> None:
    assert not can_sign(MemoryObjects())


@pytest.mark.parametrize(("how", "message"), [("403", "refuses (403"), ("503", "breaks off (503")])
def test_a_store_that_does_not_give_is_unreachable(world: World, how: str, message: str) -> None:
    stored = world.put(content(1 << 20))
    world.record([world.check(pack) for pack in stored.packs])
    world.way.go_wrong(how, "GET", times=100)

    with pytest.raises(StoreUnreachable) as caught:
        world.get(stored.files[0].chunks)

    assert message in str(caught.value)
    assert "Signature" not in str(caught.value)  # the URL is a secret


def test_a_store_that_is_not_there_is_unreachable_at_once(world: World) -> None:
    stored = world.put(content(1 << 20))
    world.record([world.check(pack) for pack in stored.packs])
    world.connections.close()
    reads = PresignedReads(world.versions)
    runs = list(reads.pieces(file_values.inline(stored.files[0].chunks)))
    world.way.close()

    with pytest.raises(StoreUnreachable, match="does not answer"):
        list(presigned_reads.read(world.connections, places(runs[0]), reads.take_urls()))


def test_a_chunk_that_was_damaged_in_the_store_is_left_to_the_server(world: World) -> None:
    stored = world.put(content(1 << 20))
    world.record([world.check(pack) for pack in stored.packs])
    reads = PresignedReads(world.versions)
    runs = list(reads.pieces(file_values.inline(stored.files[0].chunks)))
    [pack] = stored.packs
    world.objects.delete(pack.pack)
    world.objects.put(pack.pack, [content(pack.size, seed=9)])

    with pytest.raises(StoreUnreachable, match="does not match its id"):
        list(presigned_reads.read(world.connections, places(runs[0]), reads.take_urls()))
