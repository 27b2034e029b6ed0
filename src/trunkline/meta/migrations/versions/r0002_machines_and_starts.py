"""What became of workers: their machines, what happened to them, how long their starts took.

Some databases of the first revision have these already, so only what is missing is added.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add what is missing."""
    inspector = sa.inspect(op.get_bind())
    present = set(inspector.get_table_names())
    if "worker_past" not in present:
        op.create_table(
            "worker_past",
            _number(),
            _of_pipeline("worker_past"),
            sa.Column("created", sa.Float, nullable=False),
            sa.Column("ready", sa.Float),
            sa.Column("ended", sa.Float, nullable=False),
            sa.Column("machine", sa.JSON(none_as_null=True)),
            sa.PrimaryKeyConstraint("id", name="pk_worker_past"),
        )
        op.create_index("ix_worker_past_pipeline_id_ended", "worker_past", ["pipeline_id", "ended"])
    if "worker_event" not in present:
        op.create_table(
            "worker_event",
            _number(),
            _of_pipeline("worker_event"),
            sa.Column("worker_id", _text(32), nullable=False),
            sa.Column("at", sa.Float, nullable=False),
            sa.Column("state", _text(10), nullable=False),
            sa.Column("text", sa.Text, nullable=False),
            sa.PrimaryKeyConstraint("id", name="pk_worker_event"),
            sqlite_autoincrement=True,
        )
        op.create_index("ix_worker_event_pipeline_id_id", "worker_event", ["pipeline_id", "id"])
    if "startup" not in present:
        op.create_table(
            "startup",
            _number(),
            sa.Column("fleet", _text(32), nullable=False),
            sa.Column("image", sa.Text, nullable=False),
            sa.Column("machine_kind", _text(32), nullable=False),
            sa.Column("seconds", sa.Float, nullable=False),
            sa.Column("at", sa.Float, nullable=False),
            sa.PrimaryKeyConstraint("id", name="pk_startup"),
        )
        op.create_index("ix_startup_fleet_image_id", "startup", ["fleet", "image", "id"])
    if "machine" not in {column["name"] for column in inspector.get_columns("worker")}:
        op.add_column("worker", sa.Column("machine", sa.JSON(none_as_null=True)))


def _text(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def _number() -> sa.Column[int]:
    return sa.Column("id", _ID, autoincrement=True, nullable=False)


def _of_pipeline(table: str) -> sa.Column[int]:
    return sa.Column(
        "pipeline_id", _ID, sa.ForeignKey("pipeline.id", name=f"fk_{table}_pipeline_id"), nullable=False
    )
