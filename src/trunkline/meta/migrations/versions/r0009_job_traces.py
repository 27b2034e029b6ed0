"""Jobs remember the trace of the write that made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column."""
    text = sa.String(600).with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("job", sa.Column("trace", text))
