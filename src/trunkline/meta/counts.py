"""Numbers of rows, for people who look for the cause of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from trunkline.meta.schema import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Tables with many rows, whose numbers are kept as sums (``storage_total``).
_LARGE = frozenset(("chunk", "pack"))


def rows(conn: sa.Connection) -> Mapping[str, int]:
    """Return the number of rows of each table, without the largest ones. Reads an index of each table."""
    return {
        table.name: int(conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for table in metadata.sorted_tables
        if table.name not in _LARGE
    }
