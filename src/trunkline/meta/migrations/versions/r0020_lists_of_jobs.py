"""Jobs that ended by the time of their end, and those without success by their number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the indexes."""
    _partial("ix_job_ended", ["finished", "state", "pipeline_id", "id"], "finished IS NOT NULL")
    _partial("ix_job_unsuccessful", ["id"], "state IN ('FAILURE', 'KILLED', 'UNRUNNABLE')")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "job", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
