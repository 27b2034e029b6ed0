"""Values of files stay readable and stay what they are: frozen in ``tests/golden/lists-2.json``.

``python tests/storage/test_golden_lists.py`` writes the file; only a new version of the format may change it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from test_golden_trees import Chunks

from trunkline.storage import file_values
from trunkline.storage.chunks import ChunkId

GOLDEN = Path(__file__).parents[1] / "golden" / "lists-2.json"
#: Chunks of a file, and the encoded attributes: none, the longest inline list, the shortest long one, several pieces.
CASES = {
    "empty": (0, b""),
    "one chunk": (1, b""),
    "inline": (28, b"\6\2\0\xa4\1"),
    "long": (29, b""),
    "pieces": (1500, b"\1\x0a\0text/plain\6\2\0\xa4\1"),
}


def chunk_list(count: int) -> bytes:
    chunks = (
        hashlib.shake_256(f"chunk {n}".encode()).digest(32) + (n + 1).to_bytes(4, "little")
        for n in range(count)
    )
    return b"".join(chunks)


def frozen(name: str) -> dict[str, object]:
    count, attributes = CASES[name]
    chunks = Chunks()
    value = file_values.encode(chunks, chunk_list(count), attributes)
    stored = {id.hex(): base64.b64encode(data).decode() for id, data in sorted(chunks.chunks.items())}
    return {"value": value.hex(), "chunks": stored}


@pytest.mark.parametrize("name", CASES)
def test_the_same_file_has_the_same_value(name: str) -> None:
    assert frozen(name) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("name", CASES)
def test_frozen_values_give_their_chunks_and_attributes(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    stored = {ChunkId(bytes.fromhex(id)): base64.b64decode(data) for id, data in golden["chunks"].items()}
    value = bytes.fromhex(golden["value"])

    assert file_values.list_of(Chunks(stored), value) == chunk_list(CASES[name][0])
    assert file_values.attributes_of(value) == CASES[name][1]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: frozen(name) for name in CASES}, indent=1) + "\n")
