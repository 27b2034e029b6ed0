"""Open transactions and their requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_ID = sa.String(32).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "open_transaction",
        sa.Column("id", _ID, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_open_transaction"),
    )
    op.create_table(
        "transaction_request",
        sa.Column("transaction_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("transaction_id", "number", name="pk_transaction_request"),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["open_transaction.id"], name="fk_transaction_request_transaction_id"
        ),
    )
