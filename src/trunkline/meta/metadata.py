"""Reads and writes the key-value metadata that users put on things."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from trunkline.meta import schema

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The row of ``setting`` that holds the cluster's, as JSON.
_CLUSTER = "cluster_metadata"


def of_cluster(conn: sa.Connection) -> dict[str, str]:
    """Return the cluster's metadata."""
    value = conn.execute(sa.select(schema.setting.c.value).where(schema.setting.c.name == _CLUSTER)).scalar()
    values: dict[str, str] = json.loads(value) if value else {}
    return values


def set_of_cluster(conn: sa.Connection, values: Mapping[str, str]) -> None:
    """Replace the cluster's metadata."""
    conn.execute(schema.setting.delete().where(schema.setting.c.name == _CLUSTER))
    conn.execute(schema.setting.insert().values(name=_CLUSTER, value=json.dumps(dict(values))))


def replace(conn: sa.Connection, table: str, row_id: int, values: Mapping[str, str]) -> None:
    """Replace the metadata of a row of project, repo, branch, commit or pipeline.

    Args:
        conn: connection of the transaction.
        table: name of the table of the row.
        row_id: row number.
        values: the new metadata.
    """
    target = schema.metadata.tables[table]
    conn.execute(target.update().where(target.c.id == row_id).values(metadata=dict(values)))
