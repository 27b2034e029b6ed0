"""Which driver stands behind which port: the only place that knows.

Libraries that only some servers need are imported when they are chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.drivers.objects.local import LocalObjects
from trunkline.meta.database import sqlite_url

if TYPE_CHECKING:
    from trunkline.app.settings import Settings
    from trunkline.drivers.fleets.images import ImageEnvironments
    from trunkline.ports import Fleet, ObjectStore


def database_url(settings: Settings) -> str:
    """Return the URL of the database."""
    return settings.database or sqlite_url(settings.data.absolute())


def objects(settings: Settings) -> ObjectStore:
    """Return the object store.

    Raises:
        InvalidArgument: the URL means no store that can be used.
    """
    if not settings.store:
        return LocalObjects(settings.data.absolute() / "objects")
    raise errors.InvalidArgument(f"--store {settings.store!r} is not supported; leave it out for a folder")


def fleet(settings: Settings, address: str, images: ImageEnvironments) -> Fleet:
    """Return the fleet; ``address`` is where the server listens.

    Raises:
        InvalidArgument: there is no such fleet.
    """
    if settings.fleet == "processes":
        folder = settings.data.absolute() / "fleet"
        return ProcessFleet(settings.advertise or address, folder, images, settings.capacity_memory)
    raise errors.InvalidArgument(f"--fleet {settings.fleet!r} is not supported; use processes")
