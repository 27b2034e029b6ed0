"""Lays the inputs of datums out as folders, fetching for several datums at once.

Each datum gets a folder that will be shown as /pfs: ``<input>/<path>`` with private copies of its input
files, so that a command may change them, an empty ``out``, and a folder for temporary files. An item that
several datums of the assignment use (one side of a cross) is fetched once, kept beside them, and copied.

Fetching ahead is bounded in bytes and in datums: a round trip per tiny datum would cost more than its
command, and more than a batch would only fill the disk.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError, Unauthenticated
from trunkline.worker import files
from trunkline.worker.api import patiently
from trunkline.worker.environment import TMP
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.api import ServerAPI
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts

#: Bytes of inputs fetched in one go.
MAX_BATCH_BYTES = 16 << 20
#: Datums fetched in one go; at 64 a round trip is below a hundredth of the cheapest command.
MAX_BATCH_DATUMS = 64


class InputsUnavailable(Exception):
    """The inputs of a datum cannot be laid out; the message is for the user."""


class Inputs:
    """The input folders of one assignment."""

    def __init__(
        self, api: ServerAPI, interrupts: Interrupts, assignment: pb.Assignment, scratch: str, owner: Owner
    ) -> None:
        self._api = api
        self._interrupts = interrupts
        self._assignment = assignment
        self._owner = owner
        self._datums = files.make_folders(scratch, "datums")
        self._shared = files.make_folders(scratch, "items")
        self._made = 0
        #: Position of a datum -> its folder, filled and not yet taken.
        self._ready: dict[int, str] = {}
        #: Item -> how many datums still have to get it; items of a single datum are not kept.
        self._uses = Counter(item for datum in assignment.datums for item in set(datum.items))
        self._kept: set[int] = set()
        self._several = {item for item, uses in self._uses.items() if uses > 1}
        self._nanoseconds: dict[int, int] = {}

    def take(self, position: int) -> str:
        """Return the folder of a datum, whose owner the caller becomes; a second time: a fresh one.

        Raises:
            InputsUnavailable: the server does not give the files, or the disk does not take them.
            Interrupted: a flag was raised meanwhile.
        """
        if position not in self._ready:
            batch = self._plan(position)
            try:
                self._fill(batch)
            except (InputsUnavailable, Interrupted):
                if len(batch) == 1 or self._interrupts.end_command:
                    raise
                self._fill([position])  # what is wrong may concern another datum of the batch
        return self._ready.pop(position)

    def download_ns(self, position: int) -> int:
        """Return the datum's share of the time spent on fetching."""
        return self._nanoseconds.get(position, 0)

    def download_bytes(self, position: int) -> int:
        """Return the size of the datum's inputs."""
        return sum(
            self._assignment.items[item].size_bytes for item in self._assignment.datums[position].items
        )

    def done_with(self, position: int) -> None:
        """The datum will not be asked for again."""
        for item in set(self._assignment.datums[position].items):
            self._uses[item] -= 1
            if self._uses[item] == 0 and item in self._kept:
                self._kept.discard(item)
                files.remove_tree(f"{self._shared}/{item}")

    def _plan(self, first: int) -> list[int]:
        """Return the datums to fetch for now, beginning with ``first``."""
        size = self.download_bytes(first)
        batch = [first]
        for position in range(first + 1, min(first + MAX_BATCH_DATUMS, len(self._assignment.datums))):
            if position in self._ready:
                break
            size += self.download_bytes(position)
            if size > MAX_BATCH_BYTES:
                break
            batch.append(position)
        return batch

    def _fill(self, batch: list[int]) -> None:
        begun = time.monotonic_ns()
        try:
            folders = patiently(lambda: self._fill_once(batch), self._interrupts)
        except Unauthenticated:
            raise
        except TrunklineError as error:
            raise InputsUnavailable(f"the inputs could not be fetched: {error.message}") from error
        except OSError as error:
            raise InputsUnavailable(
                f"the inputs could not be written to the worker's disk ({error.strerror}); make room there"
            ) from error
        self._ready.update(folders)
        share = (time.monotonic_ns() - begun) // len(batch)
        for position in batch:
            self._nanoseconds[position] = self._nanoseconds.get(position, 0) + share

    def _fill_once(self, batch: list[int]) -> dict[int, str]:
        folders = {position: self._make_folder(position) for position in batch}
        complete = False
        missing: set[int] = set()
        try:
            places: dict[int, str] = {}  # item to fetch -> folder its path is below
            for position, folder in folders.items():
                for item in self._assignment.datums[position].items:
                    if item not in self._several:
                        places[item] = f"{folder}/{self._assignment.items[item].input}"
                    elif item not in self._kept:
                        missing.add(item)
            for item in missing:
                places[item] = files.make_folders(self._shared, str(item))
            if places:
                self._fetch(places)
            self._kept |= missing
            for position, folder in folders.items():
                for item in self._assignment.datums[position].items:
                    if item in self._several:
                        target = f"{folder}/{self._assignment.items[item].input}"
                        files.copy_tree(f"{self._shared}/{item}", target, self._owner)
            complete = True
        finally:
            if not complete:
                self._kept -= missing
                for folder in (*folders.values(), *(f"{self._shared}/{item}" for item in missing)):
                    files.remove_tree(folder)
        return folders

    def _make_folder(self, position: int) -> str:
        self._made += 1
        folder = f"{self._datums}/{self._made}"
        names = {self._assignment.items[item].input for item in self._assignment.datums[position].items}
        for place in (folder, f"{folder}/out", f"{folder}/{TMP}", *(f"{folder}/{name}" for name in names)):
            os.mkdir(place)
            files.give(place, self._owner)
        return folder

    def _fetch(self, places: dict[int, str]) -> None:
        """Write the files of the items, each below its place."""
        folders: set[str] = set()
        for item, place in places.items():
            path = self._assignment.items[item].path
            if path.endswith("/"):  # a folder exists for the command even when it is empty
                files.make_folders(place, path, self._owner)
        descriptor = -1
        try:
            for piece in self._api.fetch(self._assignment.claim_id, sorted(places)):
                if descriptor < 0:
                    if self._interrupts.end_command:
                        raise Interrupted
                    place = places[piece.item]
                    parent, _, _ = piece.path.rpartition("/")
                    if parent and place + parent not in folders:
                        files.make_folders(place, parent, self._owner)
                        folders.add(place + parent)
                    descriptor = os.open(
                        place + piece.path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o666
                    )
                    if self._owner is not None:
                        os.fchown(descriptor, *self._owner)
                _write(descriptor, piece.data)
                if piece.last:
                    os.close(descriptor)
                    descriptor = -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data) if data else 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
