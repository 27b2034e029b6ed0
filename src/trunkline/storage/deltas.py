"""Records the changes that one writer makes to a file tree, and stores them as deltas.

A writer does not read the tree it changes: it adds, deletes and copies in any order, and the delta holds the
combined effect (``docs/design/format.md``, Deltas). ``apply_deltas`` turns it into a tree later, once.

Small files wait in memory until there are enough for one call of the chunk writer, and so do pieces of files
that are written in turns. The file written last stays open when it is long, and is cut as its pieces come in.
Every ``_SPILL_ROWS`` rows become a delta of their own, and deltas are applied in order. So a stream of any
length needs bounded memory: a few megabytes of content, one delta's rows, and the chunk lists in them, which
are bounded by the chunks that a file may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.formats.chunking import MIN_BYTES, REF, Chunker
from trunkline.storage import chunk_lists, file_values
from trunkline.storage.sums import DELTA_TREE, TreeKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.storage.chunks import ChunkSink
    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: Written once and read in order, so with large leaves.
DELTA = TreeKind(DELTA_TREE, leaf=16_384, fan_out=32)

#: Kinds of rows.
DELETE = b"D"
DELETE_TAGGED = b"d"
APPEND = b"A"
REPLACE = b"R"

#: Bytes of pieces that wait to be cut and stored together.
_PENDING_BYTES = 2 << 20
#: Pieces that wait at most, some 200 bytes each.
_PENDING_PIECES = 1 << 13
#: Rows held before they become a delta, some 300 bytes each.
_SPILL_ROWS = 1 << 15
#: Deleting a directory looks through all rows held; with more than these, they are stored first.
_SEARCHED_ROWS = 4096

Data = bytes | memoryview


def row_key(path: str, tag: str) -> bytes:
    """Return the key of a file's row."""
    return f"{path}\0{tag}".encode()


def path_of(key: bytes) -> str:
    """Return the path of a row's key."""
    return key.partition(b"\0")[0].decode()


def tag_of(key: bytes) -> str:
    """Return the tag of a row's key: the datum that wrote the row."""
    return key.partition(b"\0")[2].decode()


class DeltaWriter:
    """Takes one stream of changes, in order. Used by one thread at a time.

    Args:
        trees: the store's trees, of any kind.
        writer: takes the chunks of files.
        stored: called with each delta when a stream has more than one, in their order.
        nodes: takes the nodes of the deltas; None for ``writer``.

    Attributes:
        bytes_in: bytes added, without copies.
        files: rows that give content to a file, in the deltas stored so far.
    """

    def __init__(
        self,
        trees: Trees,
        writer: ChunkWriter,
        stored: Callable[[TreeId], None] | None = None,
        nodes: ChunkSink | None = None,
    ) -> None:
        self._trees = trees.of(DELTA)
        self._writer = writer
        self._nodes = writer if nodes is None else nodes
        self._stored = stored
        self.bytes_in = 0
        self.files = 0
        self._deltas: list[TreeId] = []
        self._rows: dict[bytes, bytes] = {}
        #: Pieces that were added and are in no row yet.
        self._pending: dict[bytes, Data | list[Data]] = {}
        self._pending_bytes = 0
        self._last = b""
        self._tag = ""
        self._tags: set[str] = set()
        self._open: _OpenFile | None = None

    def add(self, path: str, tag: str, data: Data) -> None:
        """Append to a file; no bytes at all make an empty file if there is none.

        Args:
            path: canonical, of a file.
            tag: the datum that writes it.
            data: must not change afterwards.
        """
        self._last = key = f"{path}\0{tag}".encode()
        if tag != self._tag:
            self._tag = tag
            self._tags.add(tag)
        pending = self._pending
        held = pending.get(key)
        if held is None:
            pending[key] = data
        elif isinstance(held, list):
            held.append(data)
        else:
            pending[key] = [held, data]
        self.bytes_in += len(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _PENDING_BYTES or len(pending) >= min(_PENDING_PIECES, _SPILL_ROWS):
            self._flush()

    def delete(self, path: str, tag: str = "") -> None:
        """Delete a file, or with a trailing slash all files of a directory.

        Args:
            path: canonical; ``/`` is the directory of everything.
            tag: only what this datum wrote of a file; all tags when empty, and always for a directory.
        """
        if path.endswith("/"):
            self._delete_below(path)
        elif tag:
            key = row_key(path, tag)
            self._forget([key])
            self._rows[key] = DELETE_TAGGED
        else:
            self._forget([row_key(path, earlier) for earlier in self._tags])
            self._rows[row_key(path, "")] = DELETE

    def copy(self, path: str, tag: str, value: bytes, *, append: bool) -> None:
        """Give a file the content and attributes of another, by its value.

        Args:
            path: the file to write.
            tag: the datum that writes it.
            value: ``FileEntry.value`` of the other file.
            append: put it after what ``path`` holds under ``tag``, instead of in its place.
        """
        if append:
            self._flush()
            self._close()
        else:
            self.delete(path, tag)
        self._tags.add(tag)
        self._put(row_key(path, tag), value)

    def finish(self) -> list[TreeId]:
        """Store what is left; return the deltas, to be applied in this order; empty when there was no change."""
        self._flush()
        self._spill(ending=True)
        return self._deltas

    def drain(self) -> None:
        """Store what can be stored before the next change, so that a stream that pauses holds little."""
        if self._pending_bytes > MIN_BYTES:
            self._flush()
        if self._open:
            self._open.drain()
        self._writer.drain()

    def _delete_below(self, path: str) -> None:
        prefix = path.encode()
        if len(self._rows) + len(self._pending) > _SEARCHED_ROWS:
            self._flush()
            self._spill()
        self._forget([key for held in (self._rows, self._pending) for key in held if key.startswith(prefix)])
        if self._open and self._open.key.startswith(prefix):
            self._open = None
        self._rows[prefix + b"\0"] = DELETE

    def _forget(self, keys: list[bytes]) -> None:
        """Drop earlier changes of files that are deleted now."""
        for key in keys:
            self._rows.pop(key, None)
            self._pending.pop(key, None)
            if self._open and self._open.key == key:
                self._open = None

    def _flush(self) -> None:
        """Turn the pending pieces into rows."""
        pending, self._pending, self._pending_bytes = self._pending, {}, 0
        keys: list[bytes] = []
        contents: list[Data] = []
        for key, held in pending.items():
            data = b"".join(held) if isinstance(held, list) else held
            size = len(data)
            if 0 < size <= MIN_BYTES and not (self._open and key == self._open.key):
                keys.append(key)
                contents.append(data)
            else:
                self._write(key, data)
        pack = REF.pack
        ids = self._writer.add_many(contents)
        start = APPEND + file_values.INLINE
        values = [start + pack(id, len(data)) for id, data in zip(ids, contents, strict=True)]
        rows = self._rows
        if rows.keys().isdisjoint(keys):
            rows.update(zip(keys, values, strict=True))
        else:
            for key, value in zip(keys, values, strict=True):
                self._put(key, value[1:])
        if self._open and self._open.key != self._last:
            self._close()
        if len(rows) >= _SPILL_ROWS:
            self._spill()

    def _write(self, key: bytes, data: Data) -> None:
        """Append bytes to a file that is long, open or empty."""
        if self._open and key == self._open.key:
            self._open.feed(data)
        elif data and key == self._last:
            self._close()
            self._open = self._reopen(key)
            self._open.feed(data)
        else:
            self._put(key, file_values.encode(self._writer, chunk_lists.cut(self._writer, [data])))

    def _put(self, key: bytes, value: bytes) -> None:
        """Append the content of a file value to a file."""
        old = self._rows.get(key)
        held = file_values.count_of(old[1:]) if old is not None and len(old) > 1 else 0
        file_values.check_count(held + file_values.count_of(value), path_of(key))
        if old is None:
            self._rows[key] = APPEND + value
        elif old == DELETE_TAGGED:
            self._rows[key] = REPLACE + value
        else:
            self._rows[key] = old[:1] + file_values.concat(self._writer, old[1:], value)

    def _reopen(self, key: bytes) -> _OpenFile:
        """Open a file, going on from the start of its last chunk if it was written to before."""
        old = self._rows.get(key, APPEND)
        kind = REPLACE if old == DELETE_TAGGED else old[:1]
        chunks = file_values.list_of(self._writer, old[1:]) if len(old) > 1 else b""
        attributes = file_values.attributes_of(old[1:]) if len(old) > 1 else b""
        file = _OpenFile(self._writer, key, kind, chunks[: -REF.size], attributes)
        if chunks:
            file.feed(self._writer.read(chunk_lists.chunks_of(chunks[-REF.size :])[0][0]))
        return file

    def _close(self) -> None:
        if self._open:
            self._rows[self._open.key] = self._open.finish()
            self._open = None

    def _spill(self, *, ending: bool = False) -> None:
        """Store the rows as a delta."""
        self._close()
        if not self._rows:
            return
        self.files += sum(1 for value in self._rows.values() if value[:1] in (APPEND, REPLACE))
        keys = sorted(self._rows)
        values = [self._rows[key] for key in keys]
        delta = self._trees.build_runs(self._nodes, [(keys, values)])
        del keys, values
        self._rows.clear()
        self._tags = {self._tag}
        self._deltas.append(delta)
        if self._stored is not None and not (ending and len(self._deltas) == 1):
            self._stored(delta)


class _OpenFile:
    """A long file being written."""

    def __init__(
        self, writer: ChunkWriter, key: bytes, kind: bytes, chunks: bytes, attributes: bytes
    ) -> None:
        self.key = key
        self._writer = writer
        self._kind = kind
        self._attributes = attributes
        self._chunker = Chunker()
        #: The chunk list so far.
        self._lists = [chunks]
        self._list_bytes = len(chunks)

    def feed(self, data: Data) -> None:
        """Append bytes."""
        self._store(self._chunker.feed(data, self._writer.window_bytes))
        self._writer.uncut_bytes = self._chunker.held_bytes

    def drain(self) -> None:
        """Store the chunks that later bytes cannot change."""
        self._store(self._chunker.drain())
        self._writer.uncut_bytes = self._chunker.held_bytes

    def _store(self, chunks: list[Data]) -> None:
        if not chunks:
            return
        more = chunk_lists.store(self._writer, chunks)
        self._writer.send_batch()  # the chunks are views of one buffer
        self._list_bytes += len(more)
        file_values.check_count(self._list_bytes // REF.size, path_of(self.key))
        self._lists.append(more)

    def finish(self) -> bytes:
        """Return the row."""
        self._writer.uncut_bytes = 0
        chunks = b"".join([*self._lists, chunk_lists.store(self._writer, self._chunker.finish())])
        return self._kind + file_values.encode(self._writer, chunks, self._attributes)
