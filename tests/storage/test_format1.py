"""Format 1 is still read: stores that were written in it are converted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId
from trunkline.storage.format1.segments import EMPTY, Segment, decode_manifest, decode_segment
from trunkline.storage.sums import Sums

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "trees.json").read_text())


def test_frozen_segments_and_manifests_are_read() -> None:
    rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in GOLDEN["rows"].items()}
    entry = Segment(b"a", b"zz", ChunkId(bytes(range(32))), 1 << 33, Sums(7, 1 << 40, (1, 2**64 - 1, 3, 4)))

    assert decode_segment(bytes.fromhex(GOLDEN["segment"])) == (list(rows), list(rows.values()))
    assert decode_manifest(bytes.fromhex(GOLDEN["manifest"])) == [entry, entry]
    assert EMPTY.hex() == GOLDEN["empty"]


@pytest.mark.parametrize("decode", [decode_segment, decode_manifest])
@pytest.mark.parametrize("name", ["segment", "manifest"])
def test_damaged_and_foreign_bytes_are_refused(decode: object, name: str) -> None:
    data = bytes.fromhex(GOLDEN[name])
    for bad in [b"XXXX" + data[4:], data[:-1], data[:6], b"", data + b"\0"]:
        with pytest.raises(DataLoss):
            decode(bad)  # type: ignore[operator]
