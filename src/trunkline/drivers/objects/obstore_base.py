"""Objects kept by any store that ``obstore`` knows; only here its calls and errors are turned into ours.

Create-only puts, whole or ranged gets, deletes and listings are the same calls for a folder, memory and
the clouds' buckets, so the drivers beside this module only build the store and add what theirs lacks (the
local folder: durability; buckets: patience and what their refusals mean). Nothing here knows what the bytes mean.
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

#: What the operating system and the clouds say when there is no room; ``obstore`` keeps it only as text.
NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large", "QuotaExceeded")


class WrappedObjects:
    """An ``ObjectStore`` over an ``obstore`` store.

    Args:
        store: where the objects are.
        where: how to name that place to people, for messages.
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
                f"object {key!r} exists already in {self._where}; "
                "objects are never replaced, choose another key"
            ) from error
        except (BaseError, OSError) as error:
            self._fail("store", key, error)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return ``length`` bytes from ``start``, or all from there when ``length`` is None."""
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
            if not self._may_be_range(error) or self._size(key) >= start + (length or 0):
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
        """Yield ``(key, size)`` of the objects whose key starts with ``prefix``, in key order."""
        # obstore matches whole path parts, so the last, perhaps partial, part is matched here.
        folder = prefix.rpartition("/")[0]
        found = []
        try:
            for page in obstore.list(self._store, folder or None):
                found += [(meta["path"], meta["size"]) for meta in page if meta["path"].startswith(prefix)]
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            self._fail("list", prefix, error)
        yield from sorted(found)

    def sign(self, key: str, method: Literal["GET", "PUT"], seconds: float) -> str | None:  # noqa: ARG002
        """Return None: nothing but this process reaches the store; drivers of remote ones say otherwise."""
        return None

    def _may_be_range(self, error: Exception) -> bool:  # noqa: ARG002
        """Tell whether an error may mean that the object is too short; then its size is asked for."""
        return True

    def _size(self, key: str) -> int:
        try:
            return int(obstore.head(self._store, key)["size"])
        except FileNotFoundError as error:
            raise self._missing(key, error) from error
        except (BaseError, OSError) as error:
            self._fail("read", key, error)

    def _missing(self, key: str, _error: Exception) -> TrunklineError:
        return NotFound(f"there is no object {key!r} in {self._where}; it was deleted or never stored")

    def _too_short(self, key: str, start: int, length: int | None) -> DataLoss:
        return DataLoss(
            f"object {key!r} in {self._where} is too short for {length or 0} bytes from {start}; "
            "restore it from a copy"
        )

    def _fail(self, verb: str, key: str, error: Exception) -> NoReturn:
        raise self._ours(verb, key, error) from error

    def _ours(self, verb: str, key: str, error: Exception) -> TrunklineError:
        """Return what an error of ``obstore`` or the system means here."""
        text = str(error).partition("\n")[0]
        if any(sign in text for sign in NO_ROOM):
            return ResourceExhausted(
                f"cannot {verb} object {key!r}: {self._where} is full ({text}); make room and try again"
            )
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return PermissionDenied(
                f"cannot {verb} object {key!r} in {self._where}: {text}; check the rights of the server"
            )
        return Unavailable(f"cannot {verb} object {key!r}: {self._where} did not answer ({text}); try again")
