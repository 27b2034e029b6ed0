"""Alembic's entry: runs migrations on the database that ``install`` names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from trunkline.meta.schema import metadata

url = context.config.get_main_option("sqlalchemy.url")
assert url is not None
with sa.create_engine(url, poolclass=sa.pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
