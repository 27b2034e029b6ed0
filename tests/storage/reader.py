"""A reader of stores that knows only docs/design/format.md: no line of it comes from Trunkline.

It gets every file out of a folder store without the database, as anybody could who has lost everything else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from pathlib import Path

Rows = Iterator[tuple[bytes, bytes]]


class Reader:
    """A store in a folder. Packs are indexed by their own tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        record = json.loads((folder / "format").read_text())
        assert (record["format"], record["hash"], record["key_id"]) == (2, "blake3-256", None)
        self.places: dict[bytes, tuple[Path, int, int, int, int]] = {}
        for pack in sorted((folder / "packs").glob("*/*")):
            if len(pack.name) == 32:  # a temporary file has a longer name
                self._index(pack)

    def _index(self, pack: Path) -> None:
        data = pack.read_bytes()
        if data[-64:-60] != b"TLPK":  # of format 1: its table is an object of its own
            data = (self.folder / "tables" / pack.relative_to(self.folder / "packs")).read_bytes()
        _, _, codec, _, n, stored, length, _, _ = struct.unpack("<4sHBBIIIIQ", data[-64:-32])
        assert blake3(data[-64 - stored : -32]).digest() == data[-32:]
        table = data[-64 - stored : -64]
        if codec == 1:
            table = zstandard.decompress(table, max_output_size=length)
        sizes = struct.unpack_from(f"<{2 * n}I", table, 32 * n)
        offset = 0
        for at in range(n):
            id, codec = table[32 * at : 32 * at + 32], table[40 * n + at]
            self.places[id] = (pack, offset, sizes[at], sizes[n + at], codec)
            offset += sizes[at]

    def chunk(self, id: bytes) -> bytes:
        """Return the bytes of a chunk."""
        pack, offset, stored, length, codec = self.places[id]
        with pack.open("rb") as file:
            file.seek(offset)
            data = file.read(stored)
        if codec == 1:
            data = zstandard.decompress(data, max_output_size=length)
        assert blake3(data).digest() == id
        return data

    def rows(self, address: bytes, folder: bytes = b"") -> Rows:
        """Yield the rows of a tree with their full keys."""
        if address not in self.places:  # only the empty tree is not stored
            assert address == blake3(struct.pack("<2sBBBBHI", b"TN", 2, 1, 0, 0, 0, 0)).digest()
            return
        node = self.chunk(address)
        magic, version, kind, level, flags, prefix_length, n = struct.unpack_from("<2sBBBBHI", node)
        assert (magic, version) == (b"TN", 2)
        prefix, at = node[12 : 12 + prefix_length], 12 + prefix_length

        def lengths(letter: str, equal: bool, at: int) -> tuple[tuple[int, ...], int]:
            count = 1 if equal else n
            numbers = struct.unpack_from(f"<{count}{letter}", node, at)
            return (numbers * n if equal else numbers), at + struct.calcsize(f"<{count}{letter}")

        key_lengths, at = lengths("H", bool(flags & 1), at)
        value_lengths: tuple[int, ...] = (32,) * n
        if level == 0:
            value_lengths, at = lengths("I", bool(flags & 2), at)
        keys, values = [], []
        for length in key_lengths:
            keys.append(prefix + node[at : at + length])
            at += length
        for length in value_lengths:
            values.append(node[at : at + length])
            at += length
        for key, value in zip(keys, values, strict=True):
            if level:
                yield from self.rows(value, folder)
            elif kind == 1 and b"\0" not in key:
                yield from self.rows(value[:32], folder + key)
            else:
                yield folder + key, value

    def content(self, value: bytes) -> bytes:
        """Return the bytes of a file from the value of its row."""
        form, at = value[0] & 0x7F, 1
        if value[0] & 0x80:
            at = 3 + int.from_bytes(value[1:3], "little")
        chunks = value[at:]
        if form == 2:
            head = self.chunk(chunks[:32])
            chunks = b"".join(self.chunk(id)[12:] for id, _, _ in struct.iter_unpack("<32sIQ", head[12:]))
        return b"".join(self.chunk(id) for id, _ in struct.iter_unpack("<32sI", chunks))

    def files(self, tree: bytes) -> dict[str, bytes]:
        """Return path and content of each file of a file tree."""
        rows = self.rows(tree, b"/")
        return {key.partition(b"\0")[0].decode(): self.content(value) for key, value in rows}

    def records(self) -> dict[str, dict[str, object]]:
        """Return the records of the newest valid log object."""
        for path in sorted((self.folder / "log").glob("[0-9]" * 16), reverse=True):
            body = _log_object(path.read_bytes())
            if body is not None and body["number"] == int(path.name):
                rows = self.rows(bytes.fromhex(body["records"]))
                return {key.decode(): json.loads(value) for key, value in rows}
        raise LookupError("the store has no valid log object")


def _log_object(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
        fields = {name: field for name, field in body.items() if name != "hash"}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return body if body["format"] == 2 and blake3(text.encode()).hexdigest() == body["hash"] else None
    except (ValueError, AttributeError, KeyError):
        return None
