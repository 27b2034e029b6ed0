"""The opencv example as its README says: the image environment is built with pip, OpenCV finds real edges."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from servers import Server

EXAMPLE = Path(__file__).parents[2] / "examples" / "opencv"


def png(width: int, height: int, seed: int) -> bytes:
    """Return a picture of coloured rectangles, made by hand: tests need no picture library for it."""
    chance = random.Random(seed)
    rows = [bytearray(b"\x20\x30\x40" * width) for _ in range(height)]
    for _ in range(6):
        left, top = chance.randrange(width // 2), chance.randrange(height // 2)
        right, bottom = left + width // 3, top + height // 3
        colour = chance.randbytes(3)
        for row in rows[top:bottom]:
            row[3 * left : 3 * right] = colour * (right - left)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    pixels = zlib.compress(b"".join(b"\x00" + bytes(row) for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.timeout(300)  # pip fetches OpenCV: some 20 s, more from a slow package index
def test_the_sdk_example_makes_a_montage_of_real_edges(server: Server, tmp_path: Path) -> None:
    pictures = [tmp_path / f"picture{number}.png" for number in range(3)]
    for number, picture in enumerate(pictures):
        picture.write_bytes(png(240, 160, number))
    trunkline = [sys.executable, "-m", "trunkline.cli"]
    variables = os.environ | {"PACHD_ADDRESS": server.address}
    create = ["create", "image", "pachyderm/opencv", "--from", str(EXAMPLE / "image")]
    subprocess.run([*trunkline, *create], env=variables, check=True)

    host, _, port = server.address.rpartition(":")
    process = subprocess.run(
        [sys.executable, str(EXAMPLE / "story_sdk.py"), host, port, *map(str, pictures)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stderr) == (0, "")
    assert "edges: 1 run, 2 skipped" in process.stdout
    head = (tmp_path / "montage.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(head[16:20], "big") > 600
