"""Which driver stands behind which port: the only place that knows.

Libraries that only some servers need are imported when they are chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from trunkline import errors
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.drivers.objects.local import LocalObjects
from trunkline.meta.database import sqlite_url
from trunkline.meta.dialects import checked_url

if TYPE_CHECKING:
    from trunkline.app.settings import Settings
    from trunkline.drivers.fleets.images import ImageEnvironments
    from trunkline.ports import Fleet, ObjectStore


def database_url(settings: Settings) -> str:
    """Return the URL of the database, with the driver that is used for it.

    Raises:
        InvalidArgument: the URL means no database that can be used.
        FailedPrecondition: the driver for it is not installed.
    """
    return checked_url(settings.database) if settings.database else sqlite_url(settings.data.absolute())


def objects(settings: Settings) -> ObjectStore:
    """Return the object store.

    Raises:
        InvalidArgument: the URL means no store that can be used.
        PermissionDenied: the server may not do in it what it must.
        FailedPrecondition: there is no such bucket, or it cannot hold what is never replaced.
        Unavailable: it does not answer.
    """
    url = settings.store
    if not url:
        return LocalObjects(settings.data.absolute() / "objects")
    if url in ("memory:", "memory://"):
        from trunkline.drivers.objects.memory import MemoryObjects

        return MemoryObjects()
    if url.startswith("file:///"):
        return LocalObjects(Path(unquote(url.removeprefix("file://"))))
    scheme = url.partition("://")[0]
    if scheme not in ("s3", "gs", "az"):
        raise errors.InvalidArgument(
            f"--store {url!r} is not supported; use s3://bucket/prefix, gs://bucket/prefix,"
            " az://container/prefix, file:///folder or memory:, or leave it out for a folder in --data"
        )
    from trunkline.drivers.objects import buckets

    buckets.BucketObjects(url, patience=buckets.PATIENCE_AT_START).check()
    return buckets.BucketObjects(url)


def fleet(settings: Settings, address: str, images: ImageEnvironments) -> Fleet:
    """Return the fleet; ``address`` is where the server listens.

    Raises:
        InvalidArgument: there is no such fleet.
    """
    if settings.fleet == "processes":
        folder = settings.data.absolute() / "fleet"
        return ProcessFleet(settings.advertise or address, folder, images, settings.capacity_memory)
    raise errors.InvalidArgument(f"--fleet {settings.fleet!r} is not supported; use processes")
