"""Secrets have numbers, and triggers note them and what is set on the cluster for the store's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0019"
down_revision = "0018"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COLUMNS = "name, kind, labels, keys, created_at, key_id, sealed"

#: Table, kind of the record, column with the record's id (empty for 1), event, condition.
_TRIGGERS = (
    ("secret", "secret", "id", "INSERT", ""),
    ("secret", "secret", "id", "UPDATE", ""),
    ("secret", "secret", "id", "DELETE", ""),
    ("setting", "cluster", "", "INSERT", "NEW.name IN ('cluster_defaults', 'cluster_metadata')"),
    ("setting", "cluster", "", "UPDATE", "NEW.name IN ('cluster_defaults', 'cluster_metadata')"),
)


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table again with numbers, create the triggers, and note what exists."""
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.drop_constraint("pk_secret", "secret")
    op.rename_table("secret", "secret_by_name")
    op.create_table(
        "secret",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("name", _text(253), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("key_id", _text(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_secret"),
        sa.UniqueConstraint("name", name="uq_secret_name"),
    )
    op.execute(f"INSERT INTO secret ({_COLUMNS}) SELECT {_COLUMNS} FROM secret_by_name ORDER BY name")
    op.drop_table("secret_by_name")
    for statement in _statements(dialect):
        op.execute(sa.text(statement))
    op.execute("INSERT INTO unlogged (kind, object_id) SELECT 'secret', id FROM secret ORDER BY id")
    op.execute("INSERT INTO unlogged (kind, object_id) VALUES ('cluster', 1)")


def _statements(dialect: str) -> Iterator[str]:
    if dialect == "postgresql":
        yield (
            "CREATE FUNCTION note_unlogged_cluster() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO unlogged (kind, object_id) VALUES (TG_ARGV[0], 1); RETURN NULL; END $$"
        )
    for table, kind, column, event, condition in _TRIGGERS:
        name = f"unlogged_{table}_{event.split()[0].lower()}"
        when = f" WHEN ({condition})" if condition else ""
        head = f'CREATE TRIGGER {name} AFTER {event} ON "{table}" FOR EACH ROW{when}'
        if dialect == "postgresql":
            yield f"{head} EXECUTE FUNCTION note_unlogged_{column or 'cluster'}('{kind}')"
        else:
            row = "OLD" if event == "DELETE" else "NEW"
            number = f"{row}.{column}" if column else "1"
            yield f"{head} BEGIN INSERT INTO unlogged (kind, object_id) VALUES ('{kind}', {number}); END"
