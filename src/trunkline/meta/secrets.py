"""Queries and writes on secrets, whose values are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.schema import secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SecretRow(Struct, frozen=True):
    """A secret."""

    name: str
    #: As Kubernetes names it, such as ``Opaque``.
    kind: str
    labels: Mapping[str, str]
    #: Names of its keys, sorted.
    keys: Sequence[str]
    #: Seconds since the epoch.
    created: float
    #: Which key sealed the values.
    key_id: str
    sealed: bytes


_COLUMNS = (
    secret.c.name,
    secret.c.kind,
    secret.c.labels,
    secret.c["keys"],
    secret.c.created_at,
    secret.c.key_id,
    secret.c.sealed,
)


def by_name(conn: sa.Connection, name: str) -> SecretRow | None:
    """Return a secret, or None."""
    row = conn.execute(sa.select(*_COLUMNS).where(secret.c.name == name)).first()
    return SecretRow(*row) if row is not None else None


def all_rows(conn: sa.Connection) -> list[SecretRow]:
    """Return all secrets, sorted by name."""
    return [SecretRow(*row) for row in conn.execute(sa.select(*_COLUMNS).order_by(secret.c.name))]


def put(conn: sa.Connection, row: SecretRow) -> None:
    """Store a secret, in place of an earlier one of its name."""
    values: dict[str, Any] = {
        "kind": row.kind,
        "labels": dict(row.labels),
        "keys": list(row.keys),
        "created_at": row.created,
        "key_id": row.key_id,
        "sealed": row.sealed,
    }
    changed = conn.execute(secret.update().where(secret.c.name == row.name).values(values))
    if not changed.rowcount:
        conn.execute(secret.insert().values(name=row.name, **values))


def delete(conn: sa.Connection, name: str) -> None:
    """Remove a secret if it exists."""
    conn.execute(secret.delete().where(secret.c.name == name))
