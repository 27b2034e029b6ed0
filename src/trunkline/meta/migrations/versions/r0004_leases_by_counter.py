"""Leases hold a counter instead of the time when they end.

Claims and file sets that exist have their whole time again: whoever judges them sees their counters for the
first time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Replace the columns."""
    op.add_column("claim", sa.Column("renewals", sa.BigInteger, nullable=False, server_default="0"))
    op.drop_column("claim", "lease_until")
    op.add_column("fileset", sa.Column("ttl", sa.Float, nullable=False, server_default="600"))
    op.add_column("fileset", sa.Column("renewals", sa.BigInteger, nullable=False, server_default="0"))
    op.drop_index("ix_fileset_expires_at", "fileset")
    op.drop_column("fileset", "expires_at")
