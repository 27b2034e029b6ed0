"""Queries and writes on defaults of pipeline specs, which are JSON text."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta import settings
from trunkline.meta.query import require
from trunkline.meta.schema import project

#: The row of ``setting`` that holds the cluster's.
_CLUSTER = "cluster_defaults"
#: Defaults that set nothing.
_NONE = "{}"


class DefaultsRow(Struct, frozen=True):
    """The defaults of a project."""

    json: str
    #: When they were set, in seconds since the epoch; None for never.
    at: float | None


def of_cluster(conn: sa.Connection) -> str:
    """Return the cluster's defaults."""
    return settings.value(conn, _CLUSTER) or _NONE


def set_of_cluster(conn: sa.Connection, json: str) -> None:
    """Replace the cluster's defaults."""
    settings.put(conn, _CLUSTER, json)


def of_project(conn: sa.Connection, project_id: int) -> DefaultsRow:
    """Return the defaults of a project that exists."""
    query = sa.select(project.c.defaults, project.c.defaults_at).where(project.c.id == project_id)
    return DefaultsRow(*require(conn.execute(query).first()))


def set_of_project(conn: sa.Connection, project_id: int, json: str, now: float) -> None:
    """Replace a project's defaults.

    Args:
        conn: a write transaction.
        project_id: row number of the project.
        json: the defaults.
        now: seconds since the epoch.
    """
    conn.execute(project.update().where(project.c.id == project_id).values(defaults=json, defaults_at=now))


def layers(conn: sa.Connection, project_name: str) -> tuple[str, str]:
    """Return the defaults for the pipelines of a project: the cluster's, then its own, none if it does not exist."""
    query = sa.select(project.c.defaults).where(project.c.name == project_name)
    return of_cluster(conn), conn.execute(query).scalar() or _NONE
