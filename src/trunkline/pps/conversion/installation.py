"""Opens an installation: database and store of this release's format, new or converted if need be."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.formats import format_record
from trunkline.meta import conversion, install
from trunkline.pfs import identity, store_format
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.pfs.store_format import StoreState
from trunkline.pps.conversion import packs
from trunkline.pps.conversion.trees import TreeConverter
from trunkline.runtime import failpoints
from trunkline.storage.format1.segments import EMPTY as OLD_EMPTY
from trunkline.storage.store import ChunkStore
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx
    from trunkline.ports import ObjectStore

log = logging.getLogger("trunkline.pps.conversion")


def open_installation(db: Database, objects: ObjectStore, now: float) -> str:
    """Bring database and store to this release's schema and format; return the installation's id. Blocks.

    A conversion takes its time and goes on where it was interrupted.

    Args:
        db: the database.
        objects: the object store.
        now: seconds since the epoch.

    Raises:
        FailedPrecondition: they are of an unknown format, or do not belong together.
        TrunklineError: the conversion was interrupted.
    """
    state = store_format.open_store(objects, install.stored_format(db))
    cluster_id = install.install(db, now)
    identity.check(objects, cluster_id)
    if state is StoreState.FORMAT_1:
        try:
            converted = _convert(db, objects, partial(_check_store, objects, cluster_id), now)
        except (errors.ResourceExhausted, errors.Unavailable, errors.DataLoss) as error:
            raise type(error)(
                f"the conversion of the store to format 2 was interrupted: {error.message}; start the server again"
                " when that is done, the conversion goes on where it was"
            ) from error
        store_format.write_record(objects)
        failpoints.reach("conversion.named")
        if converted:
            log.info("the store is converted to format 2", extra={"action": "converted"})
        else:
            log.warning(
                "the store had no format record; it is written again",
                extra={"action": "format_record_written"},
            )
    return cluster_id


def _check_store(objects: ObjectStore, cluster_id: str) -> None:
    """Check that the object store is there: without it every tree looks damaged.

    Raises:
        Unavailable: it is not.
    """
    if not identity.is_of(objects, cluster_id):
        raise errors.Unavailable(
            "the object store has lost the object 'installation'; check that the right folder or bucket is in place"
        )


def _convert(db: Database, objects: ObjectStore, check_store: partial[None], now: float) -> bool:
    """Convert what is not converted yet; return whether there was something."""
    if install.stored_format(db) == format_record.VERSION:
        return False  # interrupted before the format record was written, or the record is lost
    state = db.run_blocking(_begin)
    packs.convert(db, objects, state, now)
    chunks = ChunkStore(objects, DatabaseChunkIndex(db, lambda: now), inline_bytes=0)
    try:
        TreeConverter(db, chunks, check_store, now).run()
    finally:
        chunks.close()
    db.run_blocking(_switch)
    failpoints.reach("conversion.switched")
    return True


def _begin(tx: Tx) -> conversion.State:
    return conversion.begin(tx.conn, (OLD_EMPTY, EMPTY))


def _switch(tx: Tx) -> None:
    conversion.switch(tx.conn, format_record.VERSION)
    failpoints.reach("conversion.switching")
