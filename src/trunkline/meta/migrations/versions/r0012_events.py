"""The event log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_EPOCH = sa.String(8).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table. What happened before has no events."""
    op.create_table(
        "event_batch",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("epoch", _EPOCH, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
