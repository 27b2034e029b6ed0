"""Triggers that note in ``unlogged`` which records of the metadata have changed (docs/design/format.md, Log objects).

They are part of the database, so that no statement, of this release or a later one, can change a record and leave no
note. A note names a record, not its content: ``pfs.store_log`` reads the record as it is when it writes the next log
object. Like the tables, they are created with a new database and by a migration, which holds its own copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import query

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

#: The number of the record of the cluster: there is one.
CLUSTER = 1
#: Table, kind of the record, column with the record's id (empty for ``CLUSTER``), event, condition.
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
    ("secret", "secret", "id", "INSERT", ""),
    ("secret", "secret", "id", "UPDATE", ""),
    ("secret", "secret", "id", "DELETE", ""),
    ("setting", "cluster", "", "INSERT", "NEW.name IN ('cluster_defaults', 'cluster_metadata')"),
    ("setting", "cluster", "", "UPDATE", "NEW.name IN ('cluster_defaults', 'cluster_metadata')"),
)


def create_all(conn: sa.Connection) -> None:
    """Create all triggers. PostgreSQL's answers are not waited for."""
    for statement in _statements(conn.dialect.name):
        query.queue(conn, statement, None)


def _statements(dialect: str) -> Iterator[str]:
    if dialect == "postgresql":
        for column in sorted({column for _, _, column, _, _ in _TRIGGERS}):
            old, new = (f"OLD.{column}", f"NEW.{column}") if column else (CLUSTER, CLUSTER)
            yield (
                f"CREATE FUNCTION {_function(column)}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF TG_OP = 'DELETE' THEN"
                f" INSERT INTO unlogged (kind, object_id) VALUES (TG_ARGV[0], {old});"
                f" ELSE INSERT INTO unlogged (kind, object_id) VALUES (TG_ARGV[0], {new}); END IF;"
                " RETURN NULL; END $$"
            )
    for table, kind, column, event, condition in _TRIGGERS:
        name = f"unlogged_{table}_{event.split()[0].lower()}"
        when = f" WHEN ({condition})" if condition else ""
        head = f'CREATE TRIGGER {name} AFTER {event} ON "{table}" FOR EACH ROW{when}'
        if dialect == "postgresql":
            yield f"{head} EXECUTE FUNCTION {_function(column)}('{kind}')"
        else:
            row = "OLD" if event == "DELETE" else "NEW"
            number = f"{row}.{column}" if column else CLUSTER
            yield f"{head} BEGIN INSERT INTO unlogged (kind, object_id) VALUES ('{kind}', {number}); END"


def _function(column: str) -> str:
    return f"note_unlogged_{column or 'cluster'}"
