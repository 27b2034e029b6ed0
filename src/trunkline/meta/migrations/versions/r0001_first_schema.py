"""The first schema.

Until the first release this revision follows ``schema`` itself; from then on it is frozen and every
change is a revision of its own.
"""

from __future__ import annotations

import time

from alembic import op

from trunkline.meta import install, schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    schema.metadata.create_all(op.get_bind())
    install.first_rows(op.get_bind(), time.time())
