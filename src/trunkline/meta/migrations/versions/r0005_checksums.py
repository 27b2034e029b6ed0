"""Rows of commits and branches carry a checksum of what they refer to."""

from __future__ import annotations

from zlib import crc32

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_COLUMNS = {
    "commit": ("set_id", "repo_id", "branch_name", "parent_id", "origin", "tree", "size"),
    "branch": ("repo_id", "name", "head_id"),
}
#: Rows that are read and written together.
_BATCH = 1000


def upgrade() -> None:
    """Add the columns and fill them."""
    conn = op.get_bind()
    for name, columns in _COLUMNS.items():
        op.add_column(name, sa.Column("checksum", sa.BigInteger))
        table = sa.table(name, sa.column("id"), sa.column("checksum"), *map(sa.column, columns))
        query = sa.select(table.c.id, *(table.c[column] for column in columns)).order_by(table.c.id)
        update = table.update().where(table.c.id == sa.bindparam("row")).values(checksum=sa.bindparam("sum"))
        last = -1
        while rows := conn.execute(query.where(table.c.id > last).limit(_BATCH)).all():
            conn.execute(update, [{"row": row[0], "sum": _checksum(*map(_plain, row[1:]))} for row in rows])
            last = rows[-1][0]


def _checksum(*values: int | str | bytes | None) -> int:
    """Return the checksum of a row's values as of this revision."""
    return crc32(ascii(values).encode())


def _plain(value: object) -> int | str | bytes | None:
    """Return a value as the queries return it: PostgreSQL's driver may give bytes as a memoryview."""
    assert value is None or isinstance(value, int | str | bytes | memoryview)
    return bytes(value) if isinstance(value, memoryview) else value
