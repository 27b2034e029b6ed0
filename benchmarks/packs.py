"""What the verification of packs costs: processor time of an ingest into a local folder with and without it, in turns.

Once the store's part alone (cutting, hashing, compression, packs, index), and once the whole way, ``put file`` through
a server, which is what the promise is about. Processor time, because machines are shared.
"""

from __future__ import annotations

import random
import resource
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import common

from trunkline.drivers.objects.local import LocalObjects
from trunkline.formats.chunking import Chunker
from trunkline.meta import chunks, install
from trunkline.meta.database import Database, sqlite_url
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

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


def ingest_through_server(blocks: list[bytes], *, verify: bool) -> tuple[float, float]:
    """Put the data as one file into a new server; return its seconds of processor time, and those with the client."""
    options = [] if verify else ["--no-verify-packs"]
    with tempfile.NamedTemporaryFile(dir=common.SCRATCH) as file, common.server(*options) as server:
        file.writelines(blocks)
        file.flush()
        server.create_repo("data")
        command = [common.TRUNKLINE, "--address", server.address, "put", "file", "data@master:/file"]
        begun, client_begun = common.cpu_seconds(server.process.pid), client_seconds()
        subprocess.run([*command, "-f", file.name], check=True, stdout=subprocess.DEVNULL)
        seconds = common.cpu_seconds(server.process.pid) - begun
        return seconds, seconds + client_seconds() - client_begun


def both(way: Callable[..., T], blocks: list[bytes]) -> tuple[T, T]:
    """Return what an ingest takes without and with verification."""
    return way(blocks, verify=False), way(blocks, verify=True)


def client_seconds() -> float:
    """Return the processor time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    rows: list[list[str]] = []
    for kind in ("random", "hexadecimal", "small files"):
        if kind == "small files":
            source = random.Random(2)
            blocks = [source.randbytes(1024) for _ in range(SMALL_FILES)]
        else:
            blocks = large_file(kind)
        size = sum(map(len, blocks)) >> 20
        alone = partial(ingest, kind)
        alone(blocks, verify=True)
        pairs = {f"{kind}, store alone": [both(alone, blocks) for _ in range(ROUNDS)]}
        if kind != "small files":
            plain, checked = zip(*[both(ingest_through_server, blocks) for _ in range(ROUNDS)], strict=True)
            for at, who in enumerate(("server", "client and server")):
                pairs[f"{kind}, put file: {who}"] = [
                    (a[at], b[at]) for a, b in zip(plain, checked, strict=True)
                ]
        for name, figures in pairs.items():
            share = common.median(checked / plain - 1 for plain, checked in figures)
            spreads = [common.spread(list(each), 1, 2) for each in zip(*figures, strict=True)]
            allowed = f"{ALLOWED:.0%}" if "client" in name else ""
            rows.append([name, f"{size} MiB", *spreads, f"{share:.0%}", allowed])
    head = ["data", "bytes", "without, CPU s", "with, CPU s", "verification adds", "to reach"]
    common.table("Verification of packs", head, rows)


if __name__ == "__main__":
    main()
