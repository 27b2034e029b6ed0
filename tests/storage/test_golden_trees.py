"""Trees of format 2 stay readable and stay what they are: nodes frozen in ``tests/golden/trees-2.json``.

``python tests/storage/test_golden_trees.py`` writes the file; only a new version of the format may change it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.formats import format_record
from trunkline.pfs.store_log import RECORDS
from trunkline.pps.datum_rows import KIND as DATUMS
from trunkline.storage.chunks import ChunkId, chunk_id
from trunkline.storage.deltas import DELTA
from trunkline.storage.files import FILES
from trunkline.storage.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.storage.sums import TreeKind

GOLDEN = Path(__file__).parents[1] / "golden" / "trees-2.json"
KINDS = {"files": FILES, "deltas": DELTA, "datums": DATUMS, "records": RECORDS}


class Chunks:
    """Chunks in a dict."""

    def __init__(self, chunks: dict[ChunkId, bytes] | None = None) -> None:
        self.chunks = chunks or {}

    def add(self, data: bytes | memoryview) -> ChunkId:
        id = chunk_id(data)
        self.chunks[id] = bytes(data)
        return id

    def add_many(self, pieces: Sequence[bytes | memoryview]) -> list[ChunkId]:
        return [self.add(piece) for piece in pieces]

    def read(self, id: ChunkId) -> bytes:
        return self.chunks[id]

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        return (self.chunks[id] for id in ids)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Everything is in memory."""


def digest(text: str, size: int = 32) -> bytes:
    return hashlib.shake_256(text.encode()).digest(size)


def rows_of(kind: str) -> dict[bytes, bytes]:
    """Rows that make several levels, large and small folders, and values of several lengths."""
    if kind == "datums":
        return {digest(f"datum {n}"): digest(f"value {n}", 150 + n % 100) for n in range(150)}
    if kind == "records":
        return {b"commit/%016x" % n: digest(f"record {n}", 200) for n in range(60)}
    files = {}
    for n in range(260):
        folder = ["/", "/a/", "/a/b/c/", f"/many/{n % 30:02}/", "/large/"][n % 5]
        value = b"\1" + digest(f"chunk {n}") + n.to_bytes(4, "little")
        if n % 50 == 7:
            value = b"\2" + digest(f"list {n}", 76)
        if n % 50 == 9:
            value = b"\x81\x05\0\6\2\0\xa4\1" + value[1:]
        files[f"{folder}{n:03}\0default".encode()] = value
    if kind == "files":
        return files
    return {key: b"A" + value for key, value in files.items()} | {b"/gone/\0": b"D"}


def frozen() -> dict[str, dict[str, object]]:
    trees: dict[str, dict[str, object]] = {}
    for name, kind in KINDS.items():
        chunks = Chunks()
        tree = Trees(chunks, kind).build(chunks, sorted(rows_of(name).items()))
        nodes = {id.hex(): base64.b64encode(data).decode() for id, data in sorted(chunks.chunks.items())}
        trees[name] = {"tree": tree.hex(), "nodes": nodes}
    return trees


@pytest.mark.parametrize("name", KINDS)
def test_the_same_rows_make_the_same_nodes(name: str) -> None:
    assert frozen()[name] == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("name", KINDS)
def test_frozen_nodes_give_their_rows(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    chunks = Chunks(
        {ChunkId(bytes.fromhex(id)): base64.b64decode(data) for id, data in golden["nodes"].items()}
    )
    tree = bytes.fromhex(golden["tree"])

    assert dict(Trees(chunks, KINDS[name]).scan(tree)) == rows_of(name)  # type: ignore[arg-type]
    assert len(golden["nodes"]) > 1


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_nodes_are_cut_as_the_format_record_says(name: str, kind: TreeKind) -> None:
    nodes = format_record.RECORD["nodes"]

    assert [kind.leaf, kind.fan_out] == nodes[name]
    assert kind.own == (nodes["own"] if name == "files" else 0)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(frozen(), indent=1) + "\n")
