"""Pipelines have a limit of workers while others wait for room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column."""
    op.add_column("pipeline", sa.Column("worker_limit", sa.Integer))
