"""Rows of ``setting``: single values that belong to the database as a whole."""

from __future__ import annotations

import sqlalchemy as sa

from trunkline.meta import schema


def value(conn: sa.Connection, name: str) -> str | None:
    """Return a setting, or None."""
    text: str | None = conn.execute(
        sa.select(schema.setting.c.value).where(schema.setting.c.name == name)
    ).scalar()
    return text


def setdefault(conn: sa.Connection, name: str, text: str) -> str:
    """Return a setting, storing ``text`` first when there is none.

    Args:
        conn: connection of the transaction.
        name: name of the setting.
        text: value to store when there is none.
    """
    stored = value(conn, name)
    if stored is not None:
        return stored
    conn.execute(schema.setting.insert().values(name=name, value=text))
    return text


def put(conn: sa.Connection, name: str, text: str) -> None:
    """Set a setting.

    Args:
        conn: a write transaction.
        name: name of the setting.
        text: its new value.
    """
    changed = conn.execute(schema.setting.update().where(schema.setting.c.name == name).values(value=text))
    if not changed.rowcount:
        conn.execute(schema.setting.insert().values(name=name, value=text))
