"""Jobs have an early part: datums that run before the job is planned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("job", sa.Column("early", sa.LargeBinary))
    op.add_column("job", sa.Column("early_count", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("job", sa.Column("early_changes", sa.LargeBinary))
