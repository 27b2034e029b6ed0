"""What became of workers: their machines, what happened to them, how long their starts took.

The first revision makes every table as ``schema`` has it today, so this one adds only what a database made
before lacks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trunkline.meta import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what is missing."""
    connection = op.get_bind()
    for table in (schema.worker_past, schema.worker_event, schema.startup):
        table.create(connection, checkfirst=True)
    present = {column["name"] for column in sa.inspect(connection).get_columns("worker")}
    if "machine" not in present:
        op.add_column("worker", sa.Column("machine", sa.JSON(none_as_null=True)))
