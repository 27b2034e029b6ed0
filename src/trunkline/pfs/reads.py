"""A read: a snapshot of the database, read for a caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.model.caller import Caller


class ReadTransaction(Struct, frozen=True):
    """One read in progress; lives as long as its snapshot."""

    conn: sa.Connection
    #: The caller that it is made for.
    caller: Caller
    #: Seconds since the epoch.
    now: float
