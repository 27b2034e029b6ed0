"""The object store port over the ``obstore`` library; only this package calls it and translates its errors.

Create-only puts, whole or ranged gets, deletes and listings are the same calls for a folder, memory and
cloud buckets. The drivers beside this module build the store and add what the library lacks: the local folder
adds durability, buckets add retries and error messages. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

from trunkline.errors import (
    AlreadyExists,
    DataLoss,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TrunklineError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from obstore.store import ObjectStore as Store

#: Error texts of operating systems and clouds for a full disk or quota; ``obstore`` keeps only the text.
NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large", "QuotaExceeded")


class WrappedObjects:
    """An ``ObjectStore`` over an ``obstore`` store.

    Args:
        store: where the objects are.
        where: the store's name in messages.
    """

    def __init__(self, store: Store, where: str) -> None:
        self._store = store
        self._where = where

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Store the concatenation of ``parts`` under a key that is not taken."""
        try:
            obstore.put(self._store, key, parts, mode="create", use_multipart=False)
        except AlreadyExistsError as error:
            raise AlreadyExists(
                f"object {key!r} already exists in {self._where}; "
                "objects are never replaced, choose another key"
            ) from error
        except (BaseError, OSError) as error:
            self._fail("store", key, error)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return a range of an object; see ``ports.ObjectStore``.

        Args:
            key: key of the object.
            start: first byte.
            length: number of bytes; None reads to the end.

        Raises:
            NotFound: there is no such object.
            DataLoss: the object is too short.
        """
        try:
            if length is None and start == 0:
                return obstore.get(self._store, key).bytes().to_bytes()
            if not length:  # obstore refuses empty ranges
                size = obstore.head(self._store, key)["size"]
                length = size - start if length is None else 0
                if length == 0 and start <= size:
                    return b""
            if length > 0:
                data = obstore.get_range(self._store, key, start=start, length=length).to_bytes()
                if len(data) == length:
                    return data
        except FileNotFoundError as error:
            raise self._missing(key, error) from error
        except (BaseError, OSError) as error:
            if not self._may_be_range(error) or self.size(key) >= start + (length or 0):
                self._fail("read", key, error)
        raise self._too_short(key, start, length)

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            self._fail("delete", key, error)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield ``(key, size)`` of the objects whose key starts with ``prefix``, a page at a time."""
        # obstore matches whole path parts, so the last, perhaps partial, part is matched here.
        folder = prefix.rpartition("/")[0]
        try:
            for page in obstore.list(self._store, folder or None):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield meta["path"], meta["size"]
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            self._fail("list", prefix, error)

    def sign(self, key: str, method: Literal["GET", "PUT"], seconds: float) -> str | None:  # noqa: ARG002
        """Return None: only this process can access the store. Drivers of remote stores override this.

        Args:
            key: not used.
            method: not used.
            seconds: not used.
        """
        return None

    def size(self, key: str) -> int:
        """Return the bytes of an object."""
        try:
            return int(obstore.head(self._store, key)["size"])
        except FileNotFoundError as error:
            raise self._missing(key, error) from error
        except (BaseError, OSError) as error:
            self._fail("read", key, error)

    def _may_be_range(self, error: Exception) -> bool:  # noqa: ARG002
        """Return whether an error may mean that the object is too short; its size is then compared."""
        return True

    def _missing(self, key: str, _error: Exception) -> TrunklineError:
        return NotFound(f"object {key!r} is not in {self._where}; it was deleted or never stored")

    def _too_short(self, key: str, start: int, length: int | None) -> DataLoss:
        return DataLoss(
            f"object {key!r} in {self._where} is too short for {length or 0} bytes from {start}; "
            "restore it from a backup"
        )

    def _fail(self, verb: str, key: str, error: Exception) -> NoReturn:
        raise self._translated(verb, key, error) from error

    def _translated(self, verb: str, key: str, error: Exception) -> TrunklineError:
        """Return the Trunkline error for an error of ``obstore`` or the system."""
        text = str(error).partition("\n")[0]
        if any(sign in text for sign in NO_ROOM):
            return ResourceExhausted(
                f"cannot {verb} object {key!r}: {self._where} is full ({text}); free some space and try again"
            )
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return PermissionDenied(
                f"cannot {verb} object {key!r} in {self._where}: {text}; check the server's permissions"
            )
        return Unavailable(f"cannot {verb} object {key!r}: {self._where} did not answer ({text}); try again")
