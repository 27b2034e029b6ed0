"""Downloads the inputs of datums into folders, for several datums at once.

Each datum gets a folder with ``<input>/<path>``: private copies of its input files, so that a command may
change them. An item that several datums of the assignment use (one side of a cross) is downloaded once, stored
beside them, and copied into each.

Prefetching is bounded in bytes and in datums: a round trip per tiny datum would cost more than its command, and
more than a batch would only fill the disk.

For large files the server may send their locations in the object store instead of their bytes. They are read from
there, or through the server when the store cannot be reached.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError, Unauthenticated
from trunkline.linux import file_trees
from trunkline.worker import files, lazy_files
from trunkline.worker.api import patiently
from trunkline.worker.circuit_breaker import StoreUnreachable
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.api import ServerAPI
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.scratch import DatumDir, ScratchPool

#: Bytes of inputs per fetch.
MAX_BATCH_BYTES = 16 << 20
#: Datums per fetch. A round trip costs the server as much as reading some fifty small files.
MAX_BATCH_DATUMS = 256


class InputsUnavailable(Exception):
    """The inputs of a datum cannot be downloaded; the message is for the user."""


class Inputs:
    """The inputs of one assignment. Used only while no datum is shown as /pfs."""

    def __init__(
        self,
        api: ServerAPI,
        interrupts: Interrupts,
        assignment: pb.Assignment,
        scratch: ScratchPool,
        owner: Owner,
    ) -> None:
        self._api = api
        self._interrupts = interrupts
        self._assignment = assignment
        self._scratch = scratch
        self._owner = owner
        self._memory_allowed = True
        #: Position of a datum -> its folders, filled and not yet used.
        self._ready: dict[int, DatumDir] = {}
        run = assignment.datum_run
        #: The items of each datum. Lists, because reading a field of a message costs ten times as much.
        self._items_of = [list(datum.items) for datum in run.datums]
        sizes = [item.size_bytes for item in run.items]
        self._bytes_of = [sum(sizes[item] for item in items) for items in self._items_of]
        #: Item -> number of datums that still need it.
        self._uses = Counter(item for items in self._items_of for item in set(items))
        self._lazy = {number for number, item in enumerate(run.items) if item.lazy}
        # A pipe serves one datum.
        self._several = {item for item, uses in self._uses.items() if uses > 1} - self._lazy
        #: Items whose files came with the assignment.
        self._sent: dict[int, list[pb.FilePiece]] = {item: [] for item in assignment.sent_items}
        for piece in assignment.sent_files:
            self._sent[piece.item].append(piece)
        #: Item of several datums -> the folder it is copied from.
        self._shared: dict[int, str] = {}
        self._nanoseconds: Counter[int] = Counter()

    def prepare(self, position: int) -> DatumDir:
        """Return the folders of a datum, which the caller must remove; each call returns fresh ones.

        Raises:
            InputsUnavailable: the files cannot be downloaded, or not be written to the disk.
            Interrupted: a flag was raised meanwhile.
        """
        if position not in self._ready:
            batch = self._plan(position)
            try:
                self._fill(batch)
            except InputsUnavailable:
                if len(batch) == 1:
                    raise
                self._fill([position])  # the error may concern another datum of the batch
        return self._scratch.equip(self._ready.pop(position))

    def avoid_memory(self) -> None:
        """Write inputs to disk from now on: the memory is full."""
        self._memory_allowed = False

    def download_ns(self, position: int) -> int:
        """Return the datum's share of the time spent on downloads, in nanoseconds."""
        return self._nanoseconds[position]

    def download_bytes(self, position: int) -> int:
        """Return the size of the datum's inputs in bytes."""
        return self._bytes_of[position]

    def pipes(self, position: int, pfs: str) -> list[lazy_files.Pipe]:
        """Return the pipes of the lazy inputs of the datum that is shown at ``pfs``."""
        pipes: list[lazy_files.Pipe] = []
        for number in self._items_of[position] if self._lazy else ():
            item = self._assignment.datum_run.items[number]
            if number in self._lazy:
                top = f"{pfs}/{item.input}"
                pipes += (
                    lazy_files.Pipe(file, number, file[len(top) :]) for file in files.below(top + item.path)
                )
        return pipes

    def open_lazily(self, pipes: Sequence[lazy_files.Pipe], folder: str) -> lazy_files.LazyFiles:
        """Return a context in which pipes are filled when a command opens them.

        Args:
            pipes: those of one datum.
            folder: for the content of pipes that are open.
        """
        return lazy_files.LazyFiles(self._api, self._assignment.claim_id, pipes, folder)

    def done_with(self, position: int) -> None:
        """Forget a datum, which is not requested again."""
        for item in self._several.intersection(self._items_of[position]):
            self._uses[item] -= 1
            if self._uses[item] == 0 and item in self._shared:
                file_trees.remove_tree(self._shared.pop(item))

    def close(self) -> None:
        """Remove the folders that were not used."""
        for datum_dir in self._ready.values():
            self._scratch.take_back(datum_dir)
        for folder in self._shared.values():
            file_trees.remove_tree(folder)

    def _plan(self, first: int) -> list[int]:
        """Return the datums to fetch for now, beginning with ``first``."""
        size = self.download_bytes(first)
        batch = [first]
        is_sent = self._is_sent(first)
        for position in range(first + 1, min(first + MAX_BATCH_DATUMS, len(self._items_of))):
            size += self.download_bytes(position)
            if position in self._ready or size > MAX_BATCH_BYTES or self._is_sent(position) != is_sent:
                break
            batch.append(position)
        return batch

    def _is_sent(self, position: int) -> bool:
        """Return whether all files of a datum came with the assignment."""
        return all(item in self._sent for item in self._items_of[position])

    def _fill(self, batch: list[int]) -> None:
        begun = time.monotonic_ns()
        try:
            try:
                datum_dirs = self._fill_patiently(batch)
            except OSError as error:
                if error.errno != errno.ENOSPC or not self._memory_allowed:
                    raise
                self.avoid_memory()
                datum_dirs = self._fill_patiently(batch)
        except Unauthenticated:
            raise
        except TrunklineError as error:
            raise InputsUnavailable(f"the inputs could not be fetched: {error.message}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputsUnavailable(
                    "a file of the inputs has a path that is too long for this machine, whose limit is 4,095 bytes "
                    "with the worker's folder and the input's name; shorten the path or the name of the input"
                ) from error
            raise InputsUnavailable(
                f"the inputs could not be written to the worker's disk ({error.strerror}); make room there"
            ) from error
        self._ready.update(datum_dirs)
        share = (time.monotonic_ns() - begun) // len(batch)
        for position in batch:
            self._nanoseconds[position] += share

    def _fill_patiently(self, batch: list[int]) -> dict[int, DatumDir]:
        try:
            return patiently(lambda: self._fill_once(batch), self._interrupts)
        except StoreUnreachable as error:
            self._api.store.close(str(error))
            return patiently(lambda: self._fill_once(batch), self._interrupts)

    def _fill_once(self, batch: list[int]) -> dict[int, DatumDir]:
        """Download the batch; remove its files when that fails."""
        datum_dirs: dict[int, DatumDir] = {}
        shared: dict[int, str] = {}
        try:
            for position in batch:
                datum_dirs[position] = self._make_datum_dir(position)
            for item in self._missing(batch):
                size = self._assignment.datum_run.items[item].size_bytes
                shared[item] = self._scratch.make_shared(item, self._may_use_memory(size))
            targets = dict(shared)
            for position, item in self._items(batch):
                if item not in self._several:
                    target = f"{datum_dirs[position].root}/{self._assignment.datum_run.items[item].input}"
                    if item in targets:  # lazy, and of several datums
                        self._fetch({item: target})
                    else:
                        targets[item] = target
            if targets:
                self._fetch(targets)
            for position, item in self._items(batch):
                if item in self._several:
                    source = shared.get(item) or self._shared[item]
                    target = f"{datum_dirs[position].root}/{self._assignment.datum_run.items[item].input}"
                    files.copy_tree(source, target, self._owner)
        except BaseException:
            for datum_dir in datum_dirs.values():
                self._scratch.take_back(datum_dir)
            for folder in shared.values():
                file_trees.remove_tree(folder)
            raise
        self._shared |= shared
        return datum_dirs

    def _items(self, batch: list[int]) -> list[tuple[int, int]]:
        return [(position, item) for position in batch for item in self._items_of[position]]

    def _missing(self, batch: list[int]) -> set[int]:
        """Return the items of several datums that the batch needs and that are not downloaded yet."""
        return {item for _, item in self._items(batch)} & self._several - self._shared.keys()

    def _may_use_memory(self, size_bytes: int) -> bool:
        return self._memory_allowed and self._scratch.fits_in_memory(size_bytes, self._owner)

    def _make_datum_dir(self, position: int) -> DatumDir:
        names = {self._assignment.datum_run.items[item].input for item in self._items_of[position]}
        return self._scratch.make(names, self._owner, self._may_use_memory(self.download_bytes(position)))

    def _fetch(self, targets: dict[int, str]) -> None:
        """Write the files of the items, each below its target folder."""
        folders: set[str] = set()
        for item, target in targets.items():
            path = self._assignment.datum_run.items[item].path
            if path.endswith("/"):  # a folder exists for the command even when it is empty
                files.make_folders(target, path, self._owner)
        descriptor = -1
        try:
            for piece, urls in self._pieces(sorted(targets)):
                if descriptor < 0:
                    if self._interrupts.end_command:
                        raise Interrupted
                    target = targets[piece.item]
                    parent = piece.path.rpartition("/")[0]
                    if parent and target + parent not in folders:
                        files.make_folders(target, parent, self._owner)
                        folders.add(target + parent)
                    if self._assignment.datum_run.items[piece.item].lazy:
                        files.make_pipe(target + piece.path, self._owner)
                        continue
                    descriptor = self._scratch.create(target + piece.path, self._owner)
                _write(descriptor, piece.data)
                if piece.places:
                    self._read_from_store(descriptor, piece.places, urls)
                if piece.last:
                    os.close(descriptor)
                    descriptor = -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _pieces(self, items: list[int]) -> Iterator[tuple[pb.FilePiece, Sequence[str]]]:
        """Yield the files of items, with the URLs that their places index: first those that are here."""
        for item in items:
            for piece in self._sent.get(item, ()):
                yield piece, ()
        if absent := [item for item in items if item not in self._sent]:
            direct = self._assignment.direct and self._api.store.open
            yield from self._api.fetch(self._assignment.claim_id, absent, direct=direct)

    def _read_from_store(
        self, descriptor: int, chunk_places: Sequence[pb.ChunkPlace], urls: Sequence[str]
    ) -> None:
        from trunkline.worker import presigned_reads  # its imports take 25 ms, which few workers need

        for data in presigned_reads.read(self._api.store.connections, chunk_places, urls):
            if self._interrupts.end_command:
                raise Interrupted
            _write(descriptor, data)


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data) if data else 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
