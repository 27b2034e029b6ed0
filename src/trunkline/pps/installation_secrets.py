"""Secrets of the installation, with which the server signs what it gives out and gets back."""

from __future__ import annotations

import hashlib
import hmac
from secrets import token_bytes
from typing import TYPE_CHECKING

from trunkline.meta import settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction


class InstallationSecret:
    """One secret, made when it is first used and kept in the database. May be used from several threads."""

    def __init__(self, versions: VersionedStore, name: str) -> None:
        """Read nothing yet.

        Args:
            versions: the store whose database has it.
            name: of the setting that holds it.
        """
        self._versions = versions
        self._name = name
        self._secret: bytes | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether ``mac`` answers from memory."""
        return self._secret is not None

    def mac(self, text: str) -> bytes:
        """Return the HMAC-SHA-256 of a text. Blocks unless the secret is loaded."""
        if self._secret is None and not self._versions.read(self.load):
            self._versions.write(self.make)
        assert self._secret is not None
        return hmac.digest(self._secret, text.encode(), hashlib.sha256)

    def load(self, conn: sa.Connection) -> bool:
        """Read the secret; return whether it has been made."""
        if self._secret is None:
            secret = settings.value(conn, self._name)
            self._secret = bytes.fromhex(secret) if secret is not None else None
        return self._secret is not None

    def make(self, write: WriteTransaction) -> None:
        """Read the secret, creating it unless another thread was faster."""
        self._secret = bytes.fromhex(settings.setdefault(write.conn, self._name, token_bytes(32).hex()))
