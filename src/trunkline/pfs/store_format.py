"""The format of a store: read by every start before anything else, written by the first one.

Without it, a release could write into a store whose bytes it does not understand, or take a folder of other files for
an empty store.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.formats import format_record
from trunkline.pfs import identity

if TYPE_CHECKING:
    from trunkline.ports import ObjectStore

#: The key of the format record.
KEY = "format"
#: Prefix of the keys of what a start writes to test the store.
_CHECKS = "checks/"


class StoreState(Enum):
    """What a start finds. Everything else is refused."""

    #: The database is new, and the store holds nothing that counts: the first start, or one that was interrupted.
    NEW = "new"
    #: Database and store are of this release's format.
    CURRENT = "current"
    #: They are of format 1, or a conversion of them was interrupted.
    FORMAT_1 = "format 1"


def open_store(objects: ObjectStore, database: int | None) -> StoreState:
    """Check that this release can use a store with its database, and write the format record of a new store.

    Args:
        objects: the store.
        database: format of the database; None when it is new.

    Returns:
        What they are; those of format 1 must be converted before they are used.

    Raises:
        FailedPrecondition: they are of another format, do not belong together, or this is no store.
        DataLoss: the format record is damaged.
    """
    state = examine(objects, database)
    if state is StoreState.NEW:
        write_record(objects)
    return state


def examine(objects: ObjectStore, database: int | None) -> StoreState:
    """Return what a store and its database are; changes nothing.

    Args:
        objects: the store.
        database: format of the database; None when it is new.

    Raises:
        FailedPrecondition: they are of an unknown format, do not belong together, or this is no store.
        DataLoss: the format record is damaged.
    """
    record = _read(objects)
    if record is not None:
        format_record.check(record)
    if database is None:
        identity.check_unused(objects)
        if record is None:
            _check_empty(objects)
        return StoreState.NEW
    if database not in (1, format_record.VERSION):
        raise errors.FailedPrecondition(
            f"the database has format {database}, this release reads format {format_record.VERSION}; use a release"
            f" that reads format {database}"
        )
    if record is None and not identity.is_claimed(objects):
        raise errors.FailedPrecondition(
            "the database has data of an installation, but the object store is not a store of Trunkline's: it has no"
            " format record; name the store that belongs to the database with --store"
        )
    if record is None or database == 1:
        return StoreState.FORMAT_1
    return StoreState.CURRENT


def _read(objects: ObjectStore) -> bytes | None:
    try:
        return objects.get(KEY)
    except errors.NotFound:
        return None


def write_record(objects: ObjectStore) -> None:
    """Write the record, unless it is there or another server writes it at this moment."""
    record = _read(objects)
    if record is None:
        try:
            objects.put(KEY, [format_record.encode()])
            return
        except errors.AlreadyExists:
            record = objects.get(KEY)
    format_record.check(record)


def _check_empty(objects: ObjectStore) -> None:
    """Check that nothing is where a new store is to be.

    Raises:
        FailedPrecondition: there is something.
    """
    other = next((key for key, _ in objects.list("") if not key.startswith(_CHECKS)), None)
    if other is not None:
        raise errors.FailedPrecondition(
            f"the object store is not empty and not a store of Trunkline's: it has {other!r} and no format record;"
            " name an empty folder or a prefix of its own with --store"
        )
