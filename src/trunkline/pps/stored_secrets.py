"""Secrets as sealed rows of the database: for fleets that keep none themselves (decision 88). Blocks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import secrets as rows
from trunkline.meta.secrets import SecretRow
from trunkline.model import limits
from trunkline.pps.sealing import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.meta.group_commit import Tx
    from trunkline.pfs.repository import VersionedStore

log = logging.getLogger("trunkline.pps.secrets")


class StoredSecrets:
    """Implements ``ports.Secrets``. May be used from any thread.

    Args:
        versions: the store, in whose database they are.
        load_keys: returns the keys, the current one first; called when the first secret is used.
    """

    def __init__(self, versions: VersionedStore, load_keys: Callable[[], Sequence[bytes]]) -> None:
        self._versions = versions
        self._load_keys = load_keys
        self._keys: Keys | None = None

    def create(self, name: str, kind: str, data: Mapping[str, bytes], labels: Mapping[str, str]) -> None:
        """Store a secret; see ``ports.Secrets``.

        Args:
            name: of the secret.
            kind: its type.
            data: values by key.
            labels: labels to store with it.

        Raises:
            InvalidArgument: it is larger than its limit, or its name too long.
        """
        limits.check_text(name, limits.SECRET_NAME, "the name of the secret")
        size = sum(len(key.encode()) + len(value) for key, value in data.items())
        limits.check_count(
            size, limits.SECRET, f'secret "{name}"', "shorten its values, or put files into a repo"
        )
        keys = self._opened_keys()
        row = SecretRow(
            name, kind, labels, sorted(data), round(self._versions.clock.now(), 6), keys.current, b""
        )
        sealed = keys.seal(_about(row), data)
        self._versions.db.run_blocking(_put, _with_seal(row, keys.current, sealed))

    def inspect(self, name: str) -> tuple[str, float, Sequence[str]] | None:
        """Return what may be known of a secret; see ``ports.Secrets``."""
        row = self._versions.read(rows.by_name, name)
        return None if row is None else (row.kind, row.created, row.keys)

    def list(self) -> Sequence[tuple[str, str, float]]:
        """Return the secrets; see ``ports.Secrets``."""
        return [(row.name, row.kind, row.created) for row in self._versions.read(rows.all_rows)]

    def delete(self, name: str) -> None:
        """Remove a secret; see ``ports.Secrets``."""
        self._versions.db.run_blocking(_delete, name)

    def values(self, name: str) -> Mapping[str, bytes] | None:
        """Return the values of a secret; see ``ports.Secrets``."""
        row = self._versions.read(rows.by_name, name)
        return None if row is None else self._opened_keys().open(_about(row), row.sealed, row.key_id)

    def seal_again(self) -> None:
        """Seal with the current key what another one has sealed, where that one is there; for the start."""
        stored = self._versions.read(rows.all_rows)
        if not stored:
            return
        keys = self._opened_keys()
        for row in stored:
            if row.key_id == keys.current:
                continue
            try:
                values = keys.open(_about(row), row.sealed, row.key_id)
            except errors.TrunklineError as error:
                log.warning("%s", error.message, extra={"action": "secret_unreadable"})
                continue
            sealed = keys.seal(_about(row), values)
            self._versions.db.run_blocking(_put, _with_seal(row, keys.current, sealed))
            log.info(
                'secret "%s" is sealed with the current key', row.name, extra={"action": "secret_sealed"}
            )

    def _opened_keys(self) -> Keys:
        if self._keys is None:
            self._keys = Keys(self._load_keys())
        return self._keys


def _about(row: SecretRow) -> Sequence[object]:
    """Return what is authenticated with the values of a secret."""
    return [row.name, row.kind, dict(row.labels), list(row.keys), row.created]


def _with_seal(row: SecretRow, key: str, sealed: bytes) -> SecretRow:
    return SecretRow(row.name, row.kind, row.labels, row.keys, row.created, key, sealed)


def _put(tx: Tx, row: SecretRow) -> None:
    rows.put(tx.conn, row)


def _delete(tx: Tx, name: str) -> None:
    rows.delete(tx.conn, name)
