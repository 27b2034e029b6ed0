"""Writes file trees: decides which folders are sequences of their own, and writes these.

A folder whose items weigh ``TreeKind.own`` or more is a sequence of its own and one entry in the sequence above; the
items of a lighter one stand in the sequence above. Rows and changes come in key order, so the folders on the way to
the current one are open, and each is decided when it closes, the deepest first. The items of an open folder are held
only as long as they are lighter than the threshold: from there on they go into its sequence, so building needs memory
for the depth of the tree, not for its rows.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from trunkline.storage.node_reader import after
from trunkline.storage.sequences import Base, SequenceWriter
from trunkline.storage.sums import Entry, decode_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.storage.chunks import ChunkId, ChunkSink
    from trunkline.storage.node_reader import NodeReader
    from trunkline.storage.sequences import Written

    #: Begins a sequence: its folder, and what it changes.
    _Begin = Callable[[bytes, Base | None], SequenceWriter]


#: Items of a folder that are given to its sequence together.
_RUN = 512


class FolderWriter:
    """Writes one file tree: give it rows in runs, or changes to a base.

    Args:
        reader: reads the base, also what ``writer`` has not sealed.
        writer: takes the nodes.
        base: address of the tree to change; None to begin with nothing.
    """

    def __init__(self, reader: NodeReader, writer: ChunkSink, base: ChunkId | None = None) -> None:
        self._reader = reader
        self._writer = writer
        path = reader.kind.top
        if base is None:
            new = _NewFolder(self._sequence, reader.kind.own, path, [], [])
            new.begin_sequence()
            top: _Folder = new
        else:
            top = _OldFolder(reader, self._sequence, path, Base(base))
        #: Open folders, each within the one before.
        self._open: list[_Folder] = [top]

    def extend(self, keys: list[bytes], values: list[bytes]) -> None:
        """Take rows after all that came before: full keys and values."""
        at = 0
        while at < len(keys):
            key = keys[at]
            path = _folder_of(key)
            folder = self._enter(path)
            stop = len(keys) if keys[-1].startswith(path) else bisect_left(keys, after(path), lo=at)
            stop = _direct(keys, at, stop, path)
            cut = len(path)
            folder.take([key[cut:] for key in keys[at:stop]], values[at:stop])
            at = stop

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change the row of a full key that comes after those before; None deletes it if it is there."""
        path = _folder_of(key)
        self._enter(path).put(key[len(path) :], value)

    def finish(self) -> Written | None:
        """Write what is left; return the top sequence, or None when there are no rows."""
        while len(self._open) > 1:
            self._close()
        return self._open[0].written()

    def _enter(self, path: bytes) -> _Folder:
        """Close the folders that do not lead to a path; open those that do."""
        folder = self._open[-1]
        while not path.startswith(folder.path):
            self._close()
            folder = self._open[-1]
        while len(folder.path) < len(path):
            end = path.index(b"/", len(folder.path)) + 1
            folder = self._child(folder, path[len(folder.path) : end])
            self._open.append(folder)
        return folder

    def _child(self, folder: _Folder, name: bytes) -> _Folder:
        keys, values = folder.below(name)
        path = folder.path + name
        if len(keys) == 1 and keys[0] == name:
            entry = decode_entry(values[0])
            base = Base(entry.address, entry.sums, entry.weight)
            return _OldFolder(self._reader, self._sequence, path, base)
        cut = len(name)
        return _NewFolder(self._sequence, self._reader.kind.own, path, [key[cut:] for key in keys], values)

    def _close(self) -> None:
        folder = self._open.pop()
        above = self._open[-1]
        name = folder.path[len(above.path) :]
        keys, values = folder.items()
        if keys == [b""]:
            above.replace(name, [name], values)
        else:
            above.replace(name, [name + key for key in keys], values)

    def _sequence(self, path: bytes, base: Base | None) -> SequenceWriter:
        return SequenceWriter(self._reader, self._writer, path, base)


class _Folder:
    """An open folder."""

    path: bytes

    def take(self, keys: list[bytes], values: list[bytes]) -> None:
        """Take rows after all that came before."""
        for key, value in zip(keys, values, strict=True):
            self.put(key, value)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take a change of a row right in the folder."""
        raise NotImplementedError

    def below(self, name: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the items that the base has below a sub-folder (its entry, or rows); ``replace`` comes next."""
        raise NotImplementedError

    def replace(self, name: bytes, keys: list[bytes], values: list[bytes]) -> None:
        """Take the items that now stand for a sub-folder."""
        raise NotImplementedError

    def items(self) -> tuple[list[bytes], list[bytes]]:
        """Close the folder; return its items, or one with an empty key: the value of its entry."""
        raise NotImplementedError

    def written(self) -> Written | None:
        """Close the folder as a sequence of its own."""
        raise NotImplementedError


class _NewFolder(_Folder):
    """A folder that had no sequence of its own: it begins with a few items or none."""

    def __init__(self, begin: _Begin, own: int, path: bytes, keys: list[bytes], values: list[bytes]) -> None:
        self.path = path
        self._begin = begin
        self._own = own
        #: Items of the base, and how many of them are taken or replaced.
        self._old_keys, self._old_values = keys, values
        self._at = 0
        #: Items so far that are not in the sequence.
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._weight = 0
        self._sequence: SequenceWriter | None = None

    def begin_sequence(self) -> None:
        """Make the folder a sequence of its own."""
        self._sequence = self._begin(self.path, None)
        self._extend()

    def take(self, keys: list[bytes], values: list[bytes]) -> None:
        if self._at < len(self._old_keys):
            super().take(keys, values)
        else:
            self._take(keys, values)

    def put(self, key: bytes, value: bytes | None) -> None:
        self._take_old(key)
        if self._at < len(self._old_keys) and self._old_keys[self._at] == key:
            self._at += 1
        if value is not None:
            self._take([key], [value])

    def below(self, name: bytes) -> tuple[list[bytes], list[bytes]]:
        if self._at == len(self._old_keys):
            return [], []
        self._take_old(name)
        start = self._at
        self._at = bisect_left(self._old_keys, after(name), lo=start)
        return self._old_keys[start : self._at], self._old_values[start : self._at]

    def replace(self, name: bytes, keys: list[bytes], values: list[bytes]) -> None:  # noqa: ARG002  # see the base
        self._take(keys, values)

    def items(self) -> tuple[list[bytes], list[bytes]]:
        self._take_old(None)
        if self._sequence is None:
            return self._keys, self._values
        self._extend()
        written = self._sequence.finish()
        assert written is not None
        return [b""], [Entry(written.address, written.sums(), written.weight).encode()]

    def written(self) -> Written | None:
        self._take_old(None)
        assert self._sequence is not None
        self._extend()
        return self._sequence.finish()

    def _extend(self) -> None:
        """Give the sequence the items that wait."""
        if self._keys and self._sequence is not None:
            self._sequence.extend(self._keys, self._values)
            self._keys, self._values = [], []

    def _take_old(self, key: bytes | None) -> None:
        """Take the base's items before a key; None: all that are left."""
        if self._at == len(self._old_keys):
            return
        stop = len(self._old_keys) if key is None else bisect_left(self._old_keys, key, lo=self._at)
        start, self._at = self._at, stop
        self._take(self._old_keys[start:stop], self._old_values[start:stop])

    def _take(self, keys: list[bytes], values: list[bytes]) -> None:
        if self._keys:
            self._keys += keys
            self._values += values
        else:
            self._keys, self._values = keys, values
        if self._sequence is not None:
            if len(self._keys) >= _RUN:
                self._extend()
            return
        self._weight += sum(map(len, keys)) + sum(map(len, values))
        if self._weight >= self._own:
            self.begin_sequence()


class _OldFolder(_Folder):
    """A folder that had a sequence of its own."""

    def __init__(self, reader: NodeReader, begin: _Begin, path: bytes, base: Base) -> None:
        self.path = path
        self._reader = reader
        self._base = base
        self._sequence: SequenceWriter = begin(path, base)
        self._below: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        self._sequence.put(key, value)

    def below(self, name: bytes) -> tuple[list[bytes], list[bytes]]:
        entry = self._reader.item(self._base.address, name)
        if entry is None:
            keys, values = self._reader.items(self._base.address, name, after(name))
        else:
            keys, values = [name], [entry]
        self._below = dict(zip(keys, values, strict=True))
        return keys, values

    def replace(self, name: bytes, keys: list[bytes], values: list[bytes]) -> None:  # noqa: ARG002  # see the base
        before, now = self._below, dict(zip(keys, values, strict=True))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                self._sequence.put(key, now.get(key))

    def items(self) -> tuple[list[bytes], list[bytes]]:
        written = self._sequence.finish()
        if written is None:
            return [], []
        if written.weight < self._reader.kind.own:
            return self._reader.items(written.address)
        return [b""], [Entry(written.address, written.sums(), written.weight).encode()]

    def written(self) -> Written | None:
        return self._sequence.finish()


def _folder_of(key: bytes) -> bytes:
    """Return the folder of a row, with its slash."""
    return key[: key.rindex(b"/", 0, key.index(b"\0")) + 1]


def _direct(keys: list[bytes], start: int, stop: int, path: bytes) -> int:
    """Return how far the rows below a folder, from one that is right in it, are all right in it."""
    slashes = path.count(b"/")
    at, step = start, 8
    while at < stop:
        end = min(at + step, stop)
        if b"".join(keys[at:end]).count(b"/") != slashes * (end - at):
            # Some row is deeper, or has a slash in its tag.
            for number in range(at, end):
                if _folder_of(keys[number]) != path:
                    return number
        at, step = end, 4 * step
    return stop
