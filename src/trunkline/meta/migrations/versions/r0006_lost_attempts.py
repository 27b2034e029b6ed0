"""Claims count the workers that crashed in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("claim", sa.Column("lost_attempts", sa.Integer, nullable=False, server_default="0"))
    op.add_column("claim", sa.Column("one_by_one", sa.Boolean, nullable=False, server_default=sa.false()))
