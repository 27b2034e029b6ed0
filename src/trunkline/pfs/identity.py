"""Which database a store belongs to: the object ``installation`` holds the installation's id.

Without it, a new or different database could be used with the packs of the first one: every commit would be missing
without an error, and new packs would be mixed with packs that no database refers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors

if TYPE_CHECKING:
    from trunkline.ports import ObjectStore

#: The object's key.
KEY = "installation"
#: Prefix of the keys of packs.
_PACKS = "packs/"


def check_unused(objects: ObjectStore) -> None:
    """Check that a store can be used with a new, empty database.

    Raises:
        FailedPrecondition: it holds the data of an installation.
    """
    if is_claimed(objects):
        raise errors.FailedPrecondition(
            "the database is empty but the object store holds the data of an installation; restore the database from"
            " a backup or name the right one with --database or --data, or name an empty store with --store"
        )


def is_claimed(objects: ObjectStore) -> bool:
    """Return whether a store belongs to an installation: it has its id, or packs."""
    return _stored(objects) is not None or next(iter(objects.list(_PACKS)), None) is not None


def is_of(objects: ObjectStore, cluster_id: str) -> bool:
    """Return whether a store has the id of an installation."""
    return _stored(objects) == cluster_id


def check(objects: ObjectStore, cluster_id: str) -> None:
    """Check that a store belongs to the database with this installation id; claim it when it belongs to none.

    Raises:
        FailedPrecondition: it belongs to another database.
    """
    stored = _stored(objects)
    if stored is None:
        try:
            objects.put(KEY, [cluster_id.encode()])
        except errors.AlreadyExists:
            stored = _stored(objects)
    if stored is not None and stored != cluster_id:
        raise errors.FailedPrecondition(
            f"the object store belongs to installation {stored}, the database is that of installation {cluster_id};"
            " name the database or the store that belong together"
        )


def _stored(objects: ObjectStore) -> str | None:
    try:
        return objects.get(KEY).decode("ascii", "replace")
    except errors.NotFound:
        return None
