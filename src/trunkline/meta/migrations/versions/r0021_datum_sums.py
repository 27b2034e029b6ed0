"""What completions add up to, and at which position of its job each begins."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table, the column and its index."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "datum_sum",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("job_id", number, nullable=False),
        sa.Column("worker_id", _text(32), nullable=False),
        sa.Column("begin_at", sa.Float, nullable=False),
        sa.Column("end_at", sa.Float, nullable=False),
        sa.Column("datums", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("recovered", sa.BigInteger, nullable=False),
        sa.Column("busy", sa.Float, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_datum_sum_job_id"),
        sa.PrimaryKeyConstraint("id", name="pk_datum_sum"),
    )
    op.create_index("ix_datum_sum_job_id_id", "datum_sum", ["job_id", "id"])
    op.add_column("handin", sa.Column("first", sa.BigInteger))
    has_first = sa.text("first IS NOT NULL")
    op.create_index(
        "ix_handin_first", "handin", ["job_id", "first"], sqlite_where=has_first, postgresql_where=has_first
    )
