"""Projects have defaults for the specs of their pipelines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("project", sa.Column("defaults", sa.Text, nullable=False, server_default="{}"))
    op.add_column("project", sa.Column("defaults_at", sa.Float))
