"""What jobs have cost, kept when the workers that they used are forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the table, and how far each pipeline's jobs are in it."""
    op.create_table(
        "job_bill",
        sa.Column("job_id", _ID, sa.ForeignKey("job.id", name="fk_job_bill_job_id"), nullable=False),
        sa.Column("worker_seconds", sa.Float, nullable=False),
        sa.Column("dollars", sa.Float, nullable=False),
        sa.Column("unpriced_seconds", sa.Float, nullable=False),
        sa.Column("pretended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_bill"),
    )
    op.add_column("pipeline", sa.Column("billed_job_id", _ID, nullable=False, server_default="0"))
