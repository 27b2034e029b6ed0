"""Seals the values of secrets with keys from outside the database (decision 88).

AES-256-GCM with a random nonce for each secret. What else its row has is authenticated with the values, so that a
row cannot be put in the place of another.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Bytes of a key.
KEY = 32
_NONCE = 12  # bytes


class Keys:
    """The keys of a server; the first seals, all open.

    Args:
        keys: of ``KEY`` bytes each, the current one first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.current = key_id(keys[0])

    def seal(self, about: Sequence[object], values: Mapping[str, bytes]) -> bytes:
        """Seal values with the current key.

        Args:
            about: what else is stored of the secret, ready for JSON.
            values: by key.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        text = json.dumps({key: base64.b64encode(value).decode() for key, value in values.items()})
        return nonce + AESGCM(self._keys[self.current]).encrypt(nonce, text.encode(), _bound(about))

    def open(self, about: Sequence[object], sealed: bytes, key: str) -> dict[str, bytes]:
        """Return values that were sealed.

        Args:
            about: as they were sealed.
            sealed: the values.
            key: id of the key that sealed them.

        Raises:
            FailedPrecondition: the server does not have that key.
            DataLoss: the row was changed.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if key not in self._keys:
            raise errors.FailedPrecondition(
                f'secret "{about[0]}" was sealed with key {key}, which this server does not have; serve with the'
                " --secrets-key that stored it, or delete the secret and create it again"
            )
        try:
            text = AESGCM(self._keys[key]).decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(about))
        except InvalidTag as error:
            raise errors.DataLoss(
                f'secret "{about[0]}" is damaged or was changed in the database; delete it and create it again'
            ) from error
        return {name: base64.b64decode(value) for name, value in json.loads(text).items()}


def key_id(key: bytes) -> str:
    """Return what names a key and says nothing about it."""
    return hashlib.sha256(b"trunkline secrets key" + key).hexdigest()[:16]


def _bound(about: Sequence[object]) -> bytes:
    return json.dumps(list(about)).encode()
