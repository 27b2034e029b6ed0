"""The store's log: everything that is needed to build the database again, in the object store within seconds.

A service that writes, at most every few seconds, what has changed: it brings the record tree up to date from the notes
that the database's triggers leave (``meta.triggers``), copies the chunks of bundles into packs of the object store, and
then puts a log object that names the record tree (docs/design/format.md, Log objects). What it costs follows what has
changed. Bytes come first: when a log object exists, everything that it names is durable in the object store. A crash
at any point leaves the notes and the bundles, and the next round does it again.

Only what a log object names survives the loss of the database: not running jobs, logs, and scaling decisions
(docs/operate/reliability.md).
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from typing import TYPE_CHECKING

from blake3 import blake3
from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.formats import format_record
from trunkline.meta import chunks, records, settings
from trunkline.pfs import bundles
from trunkline.pfs.bundles import Bundle
from trunkline.runtime import failpoints
from trunkline.storage.chunks import TRANSACTION_CHUNKS
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
#: Bytes of bundles that are read, copied and recorded together.
_COPIED_BYTES = 64 << 20
#: Log objects that stay: older ones help who finds the newest damaged.
_STAYING = 3
_PREFIX = "log/"
_NUMBER = re.compile("[0-9]{16}")
#: The setting with the number of the last log object and the record tree.
_SETTING = "store_log"


class LogState(Struct, frozen=True):
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
    """Writes the store's log. May be used from any thread.

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
        self._complete = versions.clock.now()
        #: Held by a round: the last one, of ``close``, may begin while one of ``run`` still goes on.
        self._round = threading.Lock()

    async def run(self) -> None:
        """Write until cancelled; a round takes the second half of the lag at most on a store that answers."""
        while True:
            await asyncio.sleep(self._lag / 2)
            await asyncio.to_thread(self._try, "the store's log is late: %s; the next round tries again")

    def close(self) -> None:
        """Write what is left when the server ends. Blocks; a failure is logged: the next start does it."""
        self._try("the store's log could not be completed at the end: %s")

    @property
    def age(self) -> float:
        """Seconds since everything was in the store: since the last complete round, or since the start."""
        return max(0.0, self._versions.clock.now() - self._complete)

    def _try(self, failure: str) -> None:
        """Write; log a failure, which stops nothing else: what is stored can be read without a log.

        Args:
            failure: the message, with a place for the reason.
        """
        try:
            self.write()
        except errors.TrunklineError as error:
            level = logging.WARNING if errors.is_retryable(error) else logging.ERROR
            log.log(level, failure, error.message, extra={"action": "store_log_failed"})

    def write(self) -> int | None:
        """Write what has changed since the last round. Blocks.

        Returns:
            The number of the new log object; None when no record has changed.

        Raises:
            TrunklineError: the database or the object store did not answer; the next round does it all again.
        """
        with self._round:
            return self._write()

    def _write(self) -> int | None:
        versions = self._versions
        begun = versions.clock.now()
        numbers = self._numbers() if versions.read(records.newest_note) else []
        # Read after the list: whoever put one of its objects before knew no more than is read now.
        up_to = versions.read(records.newest_note)
        state = versions.read(_state)
        tree, packs = self._merge(state.records, up_to) if up_to else (state.records, [])
        own = [Bundle(0, pack.pack, pack.body) for pack in packs if pack.body is not None]
        objects = [pack for pack in packs if pack.body is None]
        # Read after the notes: every tree that a record names is in these, or in the object store already.
        after, waiting = self._waiting(0)
        copied = 0
        while after:
            copied += self._record(bundles.copy(versions.chunks.objects, waiting), [], None)
            after, waiting = self._waiting(after)
        copies = bundles.copy(versions.chunks.objects, [*waiting, *own])
        failpoints.reach("store_log.copied")
        number = None
        if up_to:
            number = max([state.number, *numbers]) + 1
            self._put_log(number, tree)
        failpoints.reach("store_log.named")
        if copies.packs or objects or up_to:
            newest = None if number is None else LogState(number, tree)
            copied += self._record(copies, objects, newest)
            failpoints.reach("store_log.recorded")
        while up_to and versions.write(_remove_notes, up_to):
            pass
        self._complete = begun
        if number is not None:
            self._remove_old([*numbers, number])
            log.info(
                "store log %d",
                number,
                extra={"action": "store_log", "number": number, "records": tree.hex(), "bundles": copied},
            )
        return number

    def _record(self, copies: Copies, objects: list[PackRecord], newest: LogState | None) -> int:
        """Record packs that are durable, and the log object if there is a new one; return how many bundles went.

        Packs of many chunks come first, in transactions of their own. The bundles stay until all are recorded.
        """
        small = []
        for pack in copies.packs:
            if len(pack) > TRANSACTION_CHUNKS:
                self._index.record(pack)
            else:
                small.append(pack)
        self._versions.write(_record, replace(copies, packs=small), objects, newest)
        self._index.recent.forget(copies.numbers)
        return len(copies.numbers)

    def _merge(self, base: TreeId, up_to: int) -> tuple[TreeId, list[PackRecord]]:
        """Bring the record tree up to date; return it and its packs, which may be bundles.

        A record tree that is lost or damaged is written again from the database.
        """
        try:
            return self._merged(base, self._changes(up_to))
        except errors.DataLoss as error:
            if base == EMPTY:
                raise
            log.error(
                "the records of the store's log are damaged (%s) and are written again from the database",
                error.message,
                extra={"action": "store_log_rewritten"},
            )
            return self._merged(EMPTY, self._all_records())

    def _merged(
        self, base: TreeId, pages: Iterator[list[tuple[bytes, bytes | None]]]
    ) -> tuple[TreeId, list[PackRecord]]:
        """Store the record tree that another one becomes by changes; return it and its packs."""
        versions = self._versions
        writer = versions.chunks.writer()
        try:
            trees = versions.trees.of(RECORDS).through(writer)
            tree = base
            for changes in pages:
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

    def _all_records(self) -> Iterator[list[tuple[bytes, bytes | None]]]:
        """Yield all records of the database, page by page, each page sorted."""
        for kind in records.KINDS:
            ids: list[int] = []
            while ids := self._versions.read(records.ids, kind, ids[-1] if ids else 0, records.at_once(kind)):
                yield self._versions.read(_changed, {kind: set(ids)})

    def _waiting(self, after: int) -> tuple[int, list[Bundle]]:
        """Return the bundles after one, up to what is copied together, and the last number; 0 if none follow."""
        waiting: list[Bundle] = []
        size = 0
        while page := self._versions.read(chunks.bundles, after, _PAGE):
            waiting += [Bundle(*row) for row in page]
            size += sum(len(row[2]) for row in page)
            after = page[-1][0]
            if size >= _COPIED_BYTES:
                return after, waiting
        return 0, waiting

    def _put_log(self, number: int, tree: TreeId) -> None:
        """Put a log object.

        Raises:
            Unavailable: another server has put one with this number since the list was read.
        """
        body = {
            "format": format_record.VERSION,
            "number": number,
            "time": self._versions.clock.now(),
            "installation": self._installation,
            "records": tree.hex(),
        }
        body["hash"] = blake3(_json(body)).hexdigest()
        try:
            self._versions.chunks.objects.put(key_of(number), [_json(body)])
        except errors.AlreadyExists:
            raise errors.Unavailable(
                f"another server has written {key_of(number)!r} at the same time; end one of the two servers if both"
                " go on"
            ) from None

    def _numbers(self) -> list[int]:
        """Return the numbers of the log objects in the store, also of rounds that broke off."""
        keys = (key.removeprefix(_PREFIX) for key, _ in self._versions.chunks.objects.list(_PREFIX))
        return [int(number) for number in keys if _NUMBER.fullmatch(number)]

    def _remove_old(self, numbers: list[int]) -> None:
        for number in sorted(numbers)[:-_STAYING]:
            self._versions.chunks.objects.delete(key_of(number))


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
    return page[-1][0], _changed(conn, ids)


def _changed(conn: sa.Connection, ids: dict[str, set[int]]) -> list[tuple[bytes, bytes | None]]:
    """Return the records of objects by their kinds, sorted; None for those that do not exist."""
    changes: list[tuple[bytes, bytes | None]] = []
    for kind, numbers in ids.items():
        present = records.read(conn, kind, sorted(numbers))
        for number in numbers:
            record = present.get(number)
            changes.append((record_key(kind, number), None if record is None else _json(record)))
    return sorted(changes)


def _record(
    write: WriteTransaction, copies: Copies, objects: list[PackRecord], newest: LogState | None
) -> None:
    """Record the packs of a round, and the log object if there is a new one."""
    chunks.add(write.conn, objects, 0, write.now)
    chunks.move_bundles(write.conn, copies.numbers, copies.packs, copies.counted, write.now)
    if newest is not None:
        text = json.dumps({"number": newest.number, "records": newest.records.hex()})
        settings.put(write.conn, _SETTING, text)


def _remove_notes(write: WriteTransaction, up_to: int) -> bool:
    return records.remove_notes(write.conn, up_to, _SLICE)
