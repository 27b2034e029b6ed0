"""The newest of a commit's downstream commits are found without sorting all of them."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Replace the index."""
    columns = ["upstream_id", "commit_id"]
    op.create_index("ix_commit_provenance_upstream_id_commit_id", "commit_provenance", columns)
    op.drop_index("ix_commit_provenance_upstream_id", "commit_provenance")
