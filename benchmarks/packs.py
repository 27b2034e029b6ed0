"""What the verification of packs costs: processor time of an ingest into a local folder with and without it, in turns.

The ingest is the store's part alone (cutting, hashing, compression, packs, index), so the share of the verification is
larger here than in a server, which spends as much again on messages. Processor time, because the machine is shared.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import common

from trunkline.drivers.objects.local import LocalObjects
from trunkline.formats.chunking import Chunker
from trunkline.meta import chunks, install
from trunkline.meta.database import Database, sqlite_url
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
BLOCK = 8 << 20
#: Blocks of the large file: 512 MiB.
BLOCKS = 64
SMALL_FILES = 100_000
#: Share of the ingest's processor time that the verification may add.
ALLOWED = 0.25


def large_file(kind: str) -> list[bytes]:
    """Return the blocks of a file, random or of hexadecimal digits, which zstd halves."""
    source = random.Random(1)
    if kind == "random":
        return [source.randbytes(BLOCK) for _ in range(BLOCKS)]
    return [source.randbytes(BLOCK // 2).hex().encode() for _ in range(BLOCKS)]


def pieces(kind: str, blocks: list[bytes]) -> Iterator[list[bytes | memoryview]]:
    """Yield the chunks of the data, some at a time."""
    if kind == "small files":
        for at in range(0, len(blocks), 256):
            yield list(blocks[at : at + 256])
        return
    chunker = Chunker()
    for block in blocks:
        yield list(chunker.feed(block))
    yield list(chunker.finish())


def ingest(kind: str, blocks: list[bytes], *, verify: bool) -> float:
    """Store the data in a new store; return seconds of processor time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = Database(sqlite_url(folder), lambda _: None)
        install.install(db, 1.0)
        objects = LocalObjects(folder / "objects")
        store = ChunkStore(objects, DatabaseChunkIndex(db, lambda: 1.0), verify=verify)
        begun = time.process_time()
        writer = store.writer()
        for some in pieces(kind, blocks):
            writer.add_many(some)
        packs = writer.seal()
        db.run_blocking(lambda tx: chunks.add(tx.conn, packs, 0, 1.0))
        seconds = time.process_time() - begun
        store.close()
        db.close()
    return seconds


def main() -> None:
    """Measure and print."""
    rows: list[list[str]] = []
    for kind in ("random", "hexadecimal", "small files"):
        if kind == "small files":
            source = random.Random(2)
            blocks = [source.randbytes(1024) for _ in range(SMALL_FILES)]
        else:
            blocks = large_file(kind)
        ingest(kind, blocks, verify=True)
        pairs = [
            (ingest(kind, blocks, verify=False), ingest(kind, blocks, verify=True)) for _ in range(ROUNDS)
        ]
        share = common.median(checked / plain - 1 for plain, checked in pairs)
        size = sum(map(len, blocks)) >> 20
        row = [kind, f"{size} MiB", *(common.spread(list(each), 1, 2) for each in zip(*pairs, strict=True))]
        rows.append([*row, f"{share:.0%}", f"{ALLOWED:.0%}"])
    head = ["data", "bytes", "without, CPU s", "with, CPU s", "verification adds", "promise"]
    common.table("Verification of packs", head, rows)


if __name__ == "__main__":
    main()
