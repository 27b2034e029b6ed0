"""Checksums of rows: a changed bit in a page of the database is found when the row is read.

SQLite has no checksums of its own, and PostgreSQL has them only if the cluster was made with them. A flipped bit in
a number that refers to another row (a branch's head, a commit's repo) would silently show other files than
those that were committed. So rows of commits and branches carry a checksum over what identifies them and over
what they refer to. Rows of the chunk index need none: the id of a chunk is the checksum of the bytes that its
row leads to (docs/design/decisions/0028-damage.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Sequence


def of(*values: int | str | bytes | None) -> int:
    """Return the checksum of a row's values."""
    return crc32(ascii(values).encode())


def damaged(table: str, values: Sequence[object]) -> DataLoss:
    """Return the error for a row that does not match its checksum.

    Args:
        table: the row's table.
        values: what identifies the row.
    """
    return DataLoss(
        f"row {tuple(values)!a} of table {table!r} does not match its checksum: the database's file was changed"
        " or its disk is damaged; restore the database from a backup"
    )
