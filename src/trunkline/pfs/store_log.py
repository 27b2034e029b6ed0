"""The store's log: everything that is needed to build the database again, in the object store within seconds.

A service that writes, at most every few seconds, what has changed: it brings the record tree up to date from the notes
that the database's triggers leave (``meta.triggers``), copies the chunks of bundles into packs of the object store, and
then puts a log object that names the record tree (docs/design/format.md, Log objects). What it costs follows what has
changed. Bytes come first: when a log object exists, everything that it names is durable in the object store. A crash
at any point leaves the notes and the bundles, and the next round does it again.

Only what a log object names survives the loss of the database: not running jobs, logs, and scaling decisions
(docs/reliability.md).
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from trunkline import errors
from trunkline.meta import chunks, records, settings
from trunkline.pfs import bundles
from trunkline.pfs.bundles import Bundle
from trunkline.runtime import failpoints
from trunkline.storage.sums import EMPTY, RECORD_TREE, TreeId, TreeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.pfs.bundles import Copies
    from trunkline.pfs.chunk_index import DatabaseChunkIndex
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import PackRecord

log = logging.getLogger("trunkline.pfs.store_log")

#: Records: rows of the record tree.
RECORDS = TreeKind(RECORD_TREE, leaf=4096, fan_out=32)
#: Seconds for which acknowledged commits may exist in the database alone.
LAG = 10.0
#: Notes, and bundles, read at a time.
_PAGE = 500
#: Notes deleted in one transaction.
_SLICE = 2_000
#: Bytes of bundles copied in one round; what is left waits for the next.
_ROUND_BYTES = 64 << 20
#: Log objects that stay: older ones help who finds the newest damaged.
_STAYING = 3
_PREFIX = "log/"
#: The setting with the number of the last log object and the record tree.
_SETTING = "store_log"


@dataclass(frozen=True, slots=True)
class LogState:
    """The newest log object, as the database knows it."""

    number: int = 0
    records: TreeId = EMPTY


def key_of(number: int) -> str:
    """Return the key of a log object."""
    return f"{_PREFIX}{number:016}"


def record_key(kind: str, number: int) -> bytes:
    """Return the key of a record: in the tree, objects of one kind are in the order of their numbers."""
    return f"{kind}/{number:016x}".encode()


class StoreLog:
    """Writes the store's log. ``write`` is called by one thread at a time.

    Args:
        versions: the store.
        index: its chunk index.
        installation: id of the installation.
        lag: seconds for which acknowledged commits may exist in the database alone.
    """

    def __init__(
        self, versions: VersionedStore, index: DatabaseChunkIndex, installation: str, lag: float = LAG
    ) -> None:
        self._versions = versions
        self._index = index
        self._installation = installation
        self._lag = lag

    async def run(self) -> None:
        """Write until cancelled; a round takes the second half of the lag at most on a store that answers."""
        while True:
            await asyncio.sleep(self._lag / 2)
            try:
                await asyncio.to_thread(self.write)
            except errors.TrunklineError as error:
                if not errors.is_retryable(error):
                    raise
                log.warning(
                    "the store's log is late: %s; the next round tries again",
                    error.message,
                    extra={"action": "store_log_failed"},
                )

    def close(self) -> None:
        """Write what is left when the server ends. Blocks; a failure is logged: the next start does it."""
        try:
            self.write()
        except errors.TrunklineError as error:
            log.warning(
                "the store's log could not be completed at the end: %s",
                error.message,
                extra={"action": "store_log_failed"},
            )

    def write(self) -> int | None:
        """Write what has changed since the last round. Blocks.

        Returns:
            The number of the new log object; None when no record has changed.

        Raises:
            TrunklineError: the database or the object store did not answer; the next round does it all again.
        """
        versions = self._versions
        up_to = versions.read(records.newest_note)
        state = versions.read(_state)
        tree, packs = self._merge(state.records, up_to) if up_to else (state.records, [])
        # Read after the notes: every tree that a record names is in these, or in the object store already.
        waiting = self._waiting()
        own = [Bundle(0, pack.pack, pack.body) for pack in packs if pack.body is not None]
        copies = bundles.copy(versions.chunks.objects, [*waiting, *own])
        objects = [pack for pack in packs if pack.body is None]
        failpoints.reach("store_log.copied")
        number = self._put_log(state.number, tree) if up_to else None
        failpoints.reach("store_log.named")
        if not (copies.packs or objects or up_to):
            return None
        newest = LogState(number, tree) if number is not None else None
        versions.write(_record, copies, objects, newest)
        failpoints.reach("store_log.recorded")
        self._index.recent.forget(copies.numbers)
        while versions.write(_remove_notes, up_to) == _SLICE:
            pass
        if number is not None:
            self._remove_old(number)
            log.info(
                "store log %d",
                number,
                extra={
                    "action": "store_log",
                    "number": number,
                    "records": tree.hex(),
                    "bundles": len(copies.numbers),
                },
            )
        return number

    def _merge(self, base: TreeId, up_to: int) -> tuple[TreeId, list[PackRecord]]:
        """Bring the record tree up to date; return it and its packs, which may be bundles."""
        versions = self._versions
        writer = versions.chunks.writer()
        try:
            trees = versions.trees.of(RECORDS).through(writer)
            tree = base
            for changes in self._changes(up_to):
                tree = trees.merge(writer, tree, changes)
            return tree, writer.seal()
        finally:
            writer.abort()

    def _changes(self, up_to: int) -> Iterator[list[tuple[bytes, bytes | None]]]:
        """Yield the changed records, page by page, each page sorted."""
        after = 0
        while page := self._versions.read(_page, after, up_to):
            after, changes = page
            yield changes

    def _waiting(self) -> list[Bundle]:
        """Return the oldest bundles, up to what one round copies."""
        waiting: list[Bundle] = []
        size = after = 0
        while size < _ROUND_BYTES and (page := self._versions.read(chunks.bundles, after, _PAGE)):
            waiting += [Bundle(*row) for row in page]
            size += sum(len(row[2]) for row in page)
            after = page[-1][0]
        return waiting

    def _put_log(self, last: int, tree: TreeId) -> int:
        """Put a log object under the next free number; return the number."""
        objects = self._versions.chunks.objects
        number = last + 1
        while True:
            body = {
                "format": 2,
                "number": number,
                "time": self._versions.clock.now(),
                "installation": self._installation,
                "records": tree.hex(),
            }
            body["hash"] = blake3(_json(body)).hexdigest()
            try:
                objects.put(key_of(number), [_json(body)])
            except errors.AlreadyExists:  # of a round that broke off before the database knew of it
                number += 1
            else:
                return number

    def _remove_old(self, newest: int) -> None:
        objects = self._versions.chunks.objects
        for key, _ in list(objects.list(_PREFIX)):
            if key <= key_of(newest - _STAYING):
                objects.delete(key)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _state(conn: sa.Connection) -> LogState:
    text = settings.value(conn, _SETTING)
    if text is None:
        return LogState()
    stored = json.loads(text)
    return LogState(stored["number"], TreeId(bytes.fromhex(stored["records"])))


def _page(conn: sa.Connection, after: int, up_to: int) -> tuple[int, list[tuple[bytes, bytes | None]]] | None:
    """Return the number of the last note read, and the records that the notes name; None behind the last."""
    page = records.notes(conn, after, up_to, _PAGE)
    if not page:
        return None
    ids: dict[str, set[int]] = {}
    for _, kind, number in page:
        ids.setdefault(kind, set()).add(number)
    changes: list[tuple[bytes, bytes | None]] = []
    for kind, numbers in ids.items():
        present = records.read(conn, kind, sorted(numbers))
        for number in numbers:
            record = present.get(number)
            changes.append((record_key(kind, number), None if record is None else _json(record)))
    return page[-1][0], sorted(changes)


def _record(
    write: WriteTransaction, copies: Copies, objects: list[PackRecord], newest: LogState | None
) -> None:
    """Record the packs of a round, and the log object if there is a new one."""
    chunks.add(write.conn, objects, 0, write.now)
    chunks.move_bundles(write.conn, copies.numbers, copies.packs, copies.counted, write.now)
    if newest is not None:
        text = json.dumps({"number": newest.number, "records": newest.records.hex()})
        settings.put(write.conn, _SETTING, text)


def _remove_notes(write: WriteTransaction, up_to: int) -> int:
    return records.remove_notes(write.conn, up_to, _SLICE) if up_to else 0
