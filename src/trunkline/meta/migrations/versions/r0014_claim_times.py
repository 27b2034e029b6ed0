"""Jobs remember when their datums were claimed and recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the columns."""
    for name in ("first_claim", "last_claim", "last_result"):
        op.add_column("job", sa.Column(name, sa.Float))
