"""Leases of chunk writers, and indexes that hold only the rows that are alive.

Reading a pipeline's live jobs, the claims that a worker holds, or the last jobs that ran something costs what
these are, not what the pipeline has done before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table and the indexes; drop an index that no query uses."""
    op.create_table(
        "write_session",
        sa.Column("id", sa.String(32).with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_write_session"),
    )
    _partial("ix_job_live", "job", ["pipeline_id", "id"], "finished IS NULL")
    _partial("ix_job_worked", "job", ["pipeline_id", "id"], "finished IS NOT NULL AND todo_count > 0")
    _partial(
        "ix_job_with_results", "job", ["pipeline_id", "version", "id"], "state = 'SUCCESS' AND processed > 0"
    )
    _partial("ix_claim_live", "claim", ["id"], "state = 'claimed'")
    op.drop_index("ix_job_state", "job")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
