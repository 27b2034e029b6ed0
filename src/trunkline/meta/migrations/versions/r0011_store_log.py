"""Small packs are rows of their own, and triggers note which records the store's log does not have yet.

Everything that exists is noted, so that the first log object is complete. Small packs of earlier releases stay where
they are: the conversion of their store to format 2 reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_NAME = sa.String(64).with_variant(sa.Text(collation="C"), "postgresql")
_KIND = sa.String(8).with_variant(sa.Text(collation="C"), "postgresql")

#: Table, kind of the record, column with the record's id, event, condition.
_TRIGGERS = (
    ("project", "project", "id", "INSERT", ""),
    ("project", "project", "id", "UPDATE", ""),
    ("project", "project", "id", "DELETE", ""),
    ("repo", "repo", "id", "INSERT", ""),
    ("repo", "repo", "id", "UPDATE", ""),
    ("repo", "repo", "id", "DELETE", ""),
    ("branch", "branch", "id", "INSERT", ""),
    ("branch", "branch", "id", "UPDATE", ""),
    ("branch", "branch", "id", "DELETE", ""),
    ("branch_provenance", "branch", "branch_id", "INSERT", ""),
    ("branch_provenance", "branch", "branch_id", "DELETE", ""),
    ("commit", "commit", "id", "INSERT", "NEW.finished IS NOT NULL"),
    ("commit", "commit", "id", "UPDATE", "NEW.finished IS NOT NULL"),
    ("commit", "commit", "id", "DELETE", "OLD.finished IS NOT NULL"),
    ("pipeline", "pipeline", "id", "INSERT", ""),
    ("pipeline", "pipeline", "id", "UPDATE OF version, stopped, output_branch_id, metadata", ""),
    ("pipeline", "pipeline", "id", "DELETE", ""),
    ("job", "pipeline", "pipeline_id", "UPDATE OF state", "NEW.state = 'SUCCESS'"),
    ("job", "pipeline", "pipeline_id", "DELETE", "OLD.state = 'SUCCESS'"),
)


def upgrade() -> None:
    """Create the tables and triggers, and note every record."""
    op.create_table(
        "bundle",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("pack", _NAME, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "unlogged",
        sa.Column("seq", _ID, primary_key=True, autoincrement=True),
        sa.Column("kind", _KIND, nullable=False),
        sa.Column("object_id", _ID, nullable=False),
    )
    for kind in ("project", "repo", "branch", "pipeline"):
        op.execute(f"INSERT INTO unlogged (kind, object_id) SELECT '{kind}', id FROM {kind} ORDER BY id")
    op.execute(
        "INSERT INTO unlogged (kind, object_id)"
        " SELECT 'commit', id FROM \"commit\" WHERE finished IS NOT NULL ORDER BY id"
    )
    for statement in _statements(op.get_bind().dialect.name):
        op.execute(sa.text(statement))


def _statements(dialect: str) -> Iterator[str]:
    if dialect == "postgresql":
        for column in sorted({column for _, _, column, _, _ in _TRIGGERS}):
            yield (
                f"CREATE FUNCTION note_unlogged_{column}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF TG_OP = 'DELETE' THEN"
                f" INSERT INTO unlogged (kind, object_id) VALUES (TG_ARGV[0], OLD.{column});"
                f" ELSE INSERT INTO unlogged (kind, object_id) VALUES (TG_ARGV[0], NEW.{column}); END IF;"
                " RETURN NULL; END $$"
            )
    for table, kind, column, event, condition in _TRIGGERS:
        name = f"unlogged_{table}_{event.split()[0].lower()}"
        when = f" WHEN ({condition})" if condition else ""
        head = f'CREATE TRIGGER {name} AFTER {event} ON "{table}" FOR EACH ROW{when}'
        if dialect == "postgresql":
            yield f"{head} EXECUTE FUNCTION note_unlogged_{column}('{kind}')"
        else:
            row = "OLD" if event == "DELETE" else "NEW"
            yield f"{head} BEGIN INSERT INTO unlogged (kind, object_id) VALUES ('{kind}', {row}.{column}); END"
