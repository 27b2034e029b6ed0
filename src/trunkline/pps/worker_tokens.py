"""Verifies workers by the tokens that the autoscaler made for them."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from blake3 import blake3

from trunkline import errors
from trunkline.pps.workers import claims

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore

#: Workers whose token is remembered; the others are read from the database.
_CACHED = 10_000


def token_hash(token: str) -> bytes:
    """Return what the database stores of a worker's token."""
    return blake3(token.encode()).digest()


class WorkerTokens:
    """Implements ``ports.WorkerIdentity``. Belongs to the event loop's thread."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        #: Hash of the token by worker; it never changes.
        self._hashes: dict[str, bytes] = {}

    async def verify(self, worker_id: str, token: str) -> None:
        """Check that a token is the worker's; see ``ports.WorkerIdentity``."""
        expected = self._hashes.get(worker_id)
        if expected is None:
            row = await self._versions.db.read(claims.require_worker, worker_id)
            if len(self._hashes) >= _CACHED:
                self._hashes.clear()
            expected = self._hashes[worker_id] = row.token_hash
        if not hmac.compare_digest(token_hash(token), expected):
            raise errors.Unauthenticated(f"the token of worker {worker_id} is wrong")
