"""Installations of format 1 with the rows that a test wants, written as format-1.md says; everything in memory but SQL.

The writer is small because a reader takes any segments: those here end after a few rows, so that small trees have many.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import sqlalchemy as sa
from blake3 import blake3

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.formats.pack_format import new_key
from trunkline.meta import install, schema, settings
from trunkline.meta.commits import CommitRow, checksum
from trunkline.meta.database import Database, sqlite_url
from trunkline.pfs import identity
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pps.conversion.installation import open_installation
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from trunkline.meta.group_commit import Tx
    from trunkline.ports import ObjectStore

#: Rows of a tree: values by key.
Rows = Mapping[bytes, bytes]


def lanes(rows: Rows) -> tuple[int, ...]:
    """Return the content sum of rows."""
    digests = [blake3(struct.pack("<I", len(key)) + key + value).digest() for key, value in rows.items()]
    numbers = [struct.unpack("<4Q", digest) for digest in digests]
    return tuple(sum(column) % 2**64 for column in zip(*numbers, strict=True)) if numbers else (0, 0, 0, 0)


class Format1World:
    """A database and a store of format 1. Packs of up to ``inline_bytes`` are in the database."""

    def __init__(self, url: str = "", inline_bytes: int = 400) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
        self.url = url or sqlite_url(self._folder)
        self._inline_bytes = inline_bytes
        self.db = Database(self.url, lambda _topics: None)
        self.objects: ObjectStore = MemoryObjects()
        identity.check(self.objects, install.install(self.db, 1.0))
        self.db.run_blocking(_prepare)
        self._commits = 0

    def close(self) -> None:
        self.db.close()
        shutil.rmtree(self._folder)

    # --- writing format 1 -----------------------------------------------------------------------------------

    def tree(self, rows: Rows) -> bytes:
        """Store a tree; return its id."""
        chunks: list[bytes] = []
        segments: list[list[bytes]] = [[]]
        for key in sorted(rows):
            segments[-1].append(key)
            if crc32(key) % 4 == 0:
                segments.append([])
        parts = [segment for segment in segments if segment]
        manifest = b"TLM1" + struct.pack("<I", len(parts))
        for keys in parts:
            values = [rows[key] for key in keys]
            lengths = [len(piece) for piece in (*keys, *values)]
            chunk = (
                b"TLS1"
                + struct.pack(f"<{1 + len(lengths)}I", len(keys), *lengths)
                + b"".join((*keys, *values))
            )
            chunks.append(chunk)
            for key in (keys[0], keys[-1]):
                manifest += struct.pack("<I", len(key)) + key
            part = {key: rows[key] for key in keys}
            manifest += struct.pack(
                "<32sIQQ4Q", blake3(chunk).digest(), len(keys), len(chunk), 0, *lanes(part)
            )
        if parts:
            chunks.append(manifest)
            self.pack(chunks)
        return blake3(manifest).digest()

    def pack(self, chunks: list[bytes]) -> str:
        """Store chunks in a pack; return its name. Chunks that are stored already are in it again, as after a race."""
        body = b"".join(chunks)
        name = new_key()
        inline = body if len(body) <= self._inline_bytes else None
        if inline is None:
            self.objects.put(name, [body, blake3(body).digest()])
        self.db.run_blocking(_add_pack, name, len(body) + (0 if inline else 32), inline, chunks)
        return name

    def commit(self, rows: Rows, parent: int | None = None) -> int:
        """Make a finished commit with these rows; return its number."""
        self._commits += 1
        return self.db.run_blocking(_add_commit, f"{self._commits:032x}", self.tree(rows), parent)

    # --- converting and reading format 2 ---------------------------------------------------------------------

    def convert(self, objects: ObjectStore | None = None) -> None:
        """Start as a server does."""
        open_installation(self.db, objects or self.objects, 2.0)

    def chunk_store(self) -> ChunkStore:
        """Return the chunks; the caller closes it."""
        return ChunkStore(self.objects, DatabaseChunkIndex(self.db, lambda: 3.0))

    def column(self, column: sa.Column[bytes]) -> list[bytes]:
        """Return the tree ids of a column, in the order of the rows."""
        query = sa.select(column).order_by(*column.table.primary_key)
        return self.db.read_blocking(lambda conn: [bytes(row[0]) for row in conn.execute(query)])


def _prepare(tx: Tx) -> None:
    settings.put(tx.conn, "format", "1")
    tx.conn.execute(
        schema.repo.insert().values(
            id=1, project_id=1, name="images", type="user", description="", created_at=1.0, metadata={}
        )
    )


def _add_pack(tx: Tx, name: str, size: int, body: bytes | None, chunks: list[bytes]) -> None:
    result = tx.conn.execute(schema.pack.insert().values(name=name, size=size, created_at=1.0, body=body))
    key = result.inserted_primary_key
    assert key is not None
    offset = 0
    for data in chunks:
        id = blake3(data).digest()
        values = {"pack_id": key[0], "offset": offset, "stored": len(data), "length": len(data), "codec": 0}
        if tx.conn.execute(sa.select(schema.chunk.c.id).where(schema.chunk.c.id == id)).first() is None:
            tx.conn.execute(schema.chunk.insert().values(id=id, **values))
        offset += len(data)


def _add_commit(tx: Tx, set_id: str, tree: bytes, parent: int | None) -> int:
    row = CommitRow(
        id=0, set_id=set_id, repo_id=1, branch_name="master", parent_id=parent, origin="USER", description="",
        error="", started=1.0, finished=2.0, tree=tree, size=0, metadata={},
    )  # fmt: skip
    values = {name: getattr(row, name) for name in CommitRow.__struct_fields__ if name != "id"}
    result = tx.conn.execute(schema.commit.insert().values(**values, checksum=checksum(row)))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
