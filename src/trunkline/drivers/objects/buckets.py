"""Objects in a bucket of S3, Google Cloud Storage or Azure, or of a server that speaks S3.

``obstore`` finds the credentials and retries idempotent requests: reads, listings and deletes. Puts are retried
here. If the answer to a put was lost, the object may have been stored, and the retry then finds its key taken; so
after an attempt that may have succeeded, the stored bytes are compared.

A put on S3 carries the SHA-256 of the body, which the signature needs anyway, as a checksum that the store compares
with what it received and keeps. For Google and Azure ``obstore`` has no such option (docs/operate/databases-stores.md).

``bucket_errors`` translates what a bucket refuses. A bucket is durable when it acknowledges; nothing is flushed here.
"""

from __future__ import annotations

import logging
import os
import random
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from trunkline.drivers.objects import bucket_errors
from trunkline.drivers.objects.obstore_base import WrappedObjects
from trunkline.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TrunklineError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obstore.store import ClientConfig, RetryConfig

log = logging.getLogger("trunkline.drivers.objects")

#: Seconds during which requests to a bucket that does not answer are retried: the time of a deployment or a
#: failover of the store, and as long as a worker waits for the server.
PATIENCE = 60.0
#: The same at the start of the server, where somebody waits for the error message.
PATIENCE_AT_START = 10.0
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 2.0  # seconds
#: Seconds for one attempt. A pack of 64 MiB takes as long at 4.5 Mbit/s; a slower store is not supported.
_TRY = 120.0
#: Seconds without a byte after which a read is retried.
_SILENCE = 20.0
#: Seconds to make a connection.
_CONNECT = 5.0

_STORES: dict[str, type[S3Store | GCSStore | AzureStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


class BucketObjects(WrappedObjects):
    """An ``ObjectStore`` over the keys of a bucket that begin with a prefix.

    Args:
        url: ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``. Everything else
            (credentials, region, endpoint) comes from the cloud's usual environment variables.
        patience: seconds during which requests to a bucket that does not answer are retried.

    Raises:
        InvalidArgument: the URL names no bucket, or an environment variable is not valid.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _STORES or not parts.netloc or parts.query or parts.fragment:
            raise InvalidArgument(
                f"--store {url!r} names no bucket; write it as {parts.scheme or 's3'}://bucket/prefix"
            )
        self._place = bucket_errors.Bucket(parts.scheme, parts.netloc, parts.path.strip("/"))
        self._patience = patience
        client: ClientConfig = {
            "allow_http": _endpoint().startswith("http://"),  # an explicit choice
            "connect_timeout": timedelta(seconds=_CONNECT),
            "timeout": timedelta(seconds=_TRY),
        }
        self._writes = self._build(client, {"max_retries": 0})
        read_retries: RetryConfig = {
            "max_retries": 100,  # bounded by time instead
            "retry_timeout": timedelta(seconds=patience),
            "backoff": {
                "init_backoff": timedelta(seconds=_FIRST_PAUSE),
                "max_backoff": timedelta(seconds=_LONGEST_PAUSE),
                "base": 2,
            },
        }
        reads = self._build(
            {**client, "read_timeout": timedelta(seconds=min(_SILENCE, patience / 3))}, read_retries
        )
        super().__init__(reads, str(self._place))
        self._signs = True

    def _build(self, client: ClientConfig, retry: RetryConfig) -> S3Store | GCSStore | AzureStore:
        checksum: dict[str, Any] = {}
        if self._place.scheme == "s3" and "AWS_CHECKSUM_ALGORITHM" not in os.environ:
            checksum = {"checksum_algorithm": "SHA256"}
        try:
            return _STORES[self._place.scheme](
                self._place.bucket,
                **checksum,
                prefix=self._place.prefix or None,
                client_options=client,
                retry_config=retry,
            )
        except (BaseError, ValueError) as error:
            text = str(error).partition("\n")[0]
            raise InvalidArgument(
                f"--store {self._place} cannot be used: {text}; correct the environment variables of the server"
            ) from error

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Store the concatenation of ``parts`` under a key that is not taken."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        was_sent = False
        while True:
            try:
                obstore.put(self._writes, key, parts, mode="create", use_multipart=False)
                return
            except AlreadyExistsError as error:
                if not bucket_errors.is_race(error):
                    if was_sent and self._holds(key, parts):
                        return
                    raise AlreadyExists(
                        f"object {key!r} exists already in {self._where}; "
                        "objects are never replaced, choose another key"
                    ) from error
            except (BaseError, OSError) as error:
                translated = self._translated("store", key, error)
                if not isinstance(translated, Unavailable) or time.monotonic() + pause > deadline:
                    raise translated from error
            was_sent = True
            time.sleep(pause * random.uniform(0.5, 1.0))  # many packs were refused at the same moment
            pause = min(2 * pause, _LONGEST_PAUSE)

    def sign(self, key: str, method: Literal["GET", "PUT"], seconds: float) -> str | None:
        """Return a presigned URL; None when the server's credentials cannot sign.

        Args:
            key: key of the object.
            method: the method that the URL allows.
            seconds: its validity, which ends earlier when the server's own credentials expire.
        """
        if not self._signs:
            return None
        try:
            return obstore.sign(self._writes, method, key, timedelta(seconds=seconds))
        except (BaseError, OSError) as error:
            translated = self._translated("sign", key, error)
            if not translated.retryable:
                self._signs = False  # a failing request per pack would cost more than it saves
                log.warning(
                    "URLs cannot be signed; the bytes of workers go through the server: %s",
                    translated.message,
                    extra={"action": "cannot_sign"},
                )
            return None

    def check(self) -> None:
        """Make sure that objects can be put, read, listed and deleted, before anything depends on it.

        Raises:
            PermissionDenied: the server may not do all of that; names what it lacks.
            FailedPrecondition: there is no such bucket, or it replaces objects.
            Unavailable: it does not answer.
        """
        key = f"checks/{uuid.uuid4().hex}"
        lacking = []
        tries: list[tuple[str, Callable[[], object]]] = [
            ("store", lambda: self.put(key, [b"trunkline"])),
            ("read", lambda: self.get(key)),
            ("list", lambda: list(self.list("checks/"))),
            ("delete", lambda: self.delete(key)),
        ]
        for verb, attempt in tries:
            try:
                attempt()
                if verb == "store":
                    self._check_replacing(key)
            except NotFound:
                continue  # it could not be stored, which is reported already
            except PermissionDenied as error:
                if not bucket_errors.is_about_rights(error.__cause__):
                    raise  # authentication failed, which no right can fix
                lacking.append(verb)
        if lacking:
            raise PermissionDenied(self._place.lacks(lacking))

    def _check_replacing(self, key: str) -> None:
        try:
            self.put(key, [b"another"])
        except AlreadyExists:
            return
        raise FailedPrecondition(
            f"{self._place} replaces existing objects in spite of If-None-Match; "
            "use a store with conditional writes"
        )

    def _holds(self, key: str, parts: Sequence[bytes | memoryview]) -> bool:
        """Return whether an earlier try of a put has stored the object."""
        return self.get(key) == b"".join(parts)

    def _may_be_range(self, error: Exception) -> bool:
        return bucket_errors.status_of(error) == 416

    def _missing(self, key: str, error: Exception) -> TrunklineError:
        if bucket_errors.code_of(error) == "NoSuchBucket":
            return self._translated("read", key, error)
        return super()._missing(key, error)

    def _translated(self, verb: str, key: str, error: Exception) -> TrunklineError:
        return bucket_errors.translate(self._place, verb, key, error) or super()._translated(verb, key, error)


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
