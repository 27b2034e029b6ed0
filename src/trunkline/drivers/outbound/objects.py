"""Reads and writes objects in buckets that clients name, and files in folders that the rules allow.

Buckets are reached with the server's own credentials from its environment.
"""

from __future__ import annotations

import functools
import os
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from trunkline.drivers.objects import bucket_errors
from trunkline.drivers.outbound.sockets import CONNECT, SILENCE
from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable
from trunkline.model import limits
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from obstore.store import ClientConfig

    from trunkline.model.outbound import Target

_STORES: dict[str, type[S3Store | GCSStore | AzureStore]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
#: Bytes of a piece that is read, and of a part that is written; objects up to it are written at once.
PIECE = 8 << 20
#: Parts of an object that stores allow, fewer than they do.
_PARTS = 9_000
#: Parts that are uploaded at the same time.
_UPLOADS = 4
#: Seconds during which requests to a store that does not answer are retried.
_PATIENCE = 60.0


class Buckets:
    """Objects in buckets. May be used from any thread."""

    def __init__(self) -> None:
        #: A store keeps connections and credentials.
        self._store = functools.lru_cache(maxsize=32)(_open)

    def read(self, target: Target) -> Generator[bytes]:
        """See ``ports.Outbound.read``."""
        try:
            answer = obstore.get(self._store(target.scheme, target.host), _key(target))
            if answer.meta["size"] > limits.URL_BYTES:
                raise limits.beyond(str(target), answer.meta["size"], limits.URL_BYTES, "fetch it in parts")
            for piece in answer.stream(PIECE):
                cancellation.check()
                yield bytes(piece)
        except (BaseError, OSError) as error:
            _fail(target, "read", error)

    def objects(self, target: Target) -> Iterator[tuple[str, int]]:
        """See ``ports.Outbound.objects``."""
        folder = target.path.strip("/")
        skipped = len(folder) + 1 if folder else 0
        try:
            for page in obstore.list(self._store(target.scheme, target.host), folder or None):
                cancellation.check()
                for meta in page:
                    if len(meta["path"]) > skipped:
                        yield meta["path"][skipped:], meta["size"]
        except (BaseError, OSError) as error:
            _fail(target, "list", error)

    def write(self, target: Target, pieces: Iterable[bytes], size: int) -> None:
        """Store an object; see ``ports.Outbound.write``.

        Args:
            target: of the object.
            pieces: its bytes.
            size: how many there are.
        """
        store = self._store(target.scheme, target.host)
        try:
            if size <= PIECE:
                obstore.put(store, _key(target), b"".join(pieces), use_multipart=False)
                return
            part = max(PIECE, -(-size // _PARTS))
            obstore.put(
                store,
                _key(target),
                iter(pieces),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=_UPLOADS,
            )
        except (BaseError, OSError) as error:
            _fail(target, "store", error)


def _key(target: Target) -> str:
    if not target.path.strip("/"):
        raise InvalidArgument(f"{target} names no object; add a key, or ask for all objects (recursive)")
    return target.path.strip("/")


def _open(scheme: str, bucket: str) -> S3Store | GCSStore | AzureStore:
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or os.environ.get("AWS_ENDPOINT", "")
    )
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),  # the operator's explicit choice
        "connect_timeout": timedelta(seconds=CONNECT),
        "read_timeout": timedelta(seconds=SILENCE),
        "timeout": timedelta(seconds=limits.URL_TIME),
    }
    retries: Any = {"max_retries": 100, "retry_timeout": timedelta(seconds=_PATIENCE)}
    try:
        return _STORES[scheme](bucket, client_options=client, retry_config=retries)
    except (BaseError, ValueError) as error:
        text = str(error).partition("\n")[0]
        raise FailedPrecondition(
            f"{scheme}://{bucket} cannot be used: {text}; correct the environment variables of the server"
        ) from error


def _fail(target: Target, verb: str, error: Exception) -> NoReturn:
    """Raise the error for an error of ``obstore``; an error of the pieces to write passes through it."""
    if isinstance(error, FileNotFoundError) and bucket_errors.code_of(error) != "NoSuchBucket":
        raise NotFound(f"{target} does not exist; check the bucket and the key") from error
    if bucket_errors.code_of(error) == "NoSuchBucket":
        raise NotFound(f"cannot {verb} {target}: there is no such bucket; check its name") from error
    place = bucket_errors.Bucket(target.scheme, target.host, "")
    translated = bucket_errors.translate(place, verb, target.path.strip("/"), error)
    if translated is not None:
        raise translated from error
    text = bucket_errors.brief(str(error))
    raise Unavailable(f"cannot {verb} {target}: the store failed ({text}); try again") from error


class Files:
    """Files in folders of the server's machine, which a rule allows.

    A path is judged by the rules as it is written; here, what a link in it leads out of the folder to is refused.

    Args:
        folders: those that rules allow.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]

    def read(self, target: Target) -> Generator[bytes]:
        """See ``ports.Outbound.read``."""
        descriptor = self.opened(target, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb", buffering=0) as file:
            try:
                while piece := file.read(PIECE):
                    cancellation.check()
                    yield piece
            except OSError as error:
                _fail_file(target, "read", error)

    def objects(self, target: Target) -> Iterator[tuple[str, int]]:
        """See ``ports.Outbound.objects``."""
        folder = target.path.rstrip("/")
        os.close(self.opened(target, os.O_RDONLY | os.O_DIRECTORY))
        for parent, _, names in os.walk(folder):
            cancellation.check()
            for name in names:
                path = os.path.join(parent, name)
                if os.path.isfile(path):
                    yield path[len(folder) + 1 :], os.stat(path).st_size

    def write(self, target: Target, pieces: Iterable[bytes], _size: int) -> None:
        """Store an object; see ``ports.Outbound.write``.

        Args:
            target: of the object.
            pieces: its bytes.
            _size: not needed.
        """
        folder, _, name = target.path.rpartition("/")
        self._check(target, os.path.realpath(folder))
        try:
            os.makedirs(folder, exist_ok=True)
            place = self.opened(target._replace(path=folder or "/"), os.O_RDONLY | os.O_DIRECTORY)
            try:
                temporary = f".{uuid.uuid4().hex}"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                try:
                    with open(os.open(temporary, flags, 0o644, dir_fd=place), "wb", buffering=0) as file:
                        for piece in pieces:
                            view = memoryview(piece)
                            while view:
                                view = view[file.write(view) :]
                        os.fsync(file.fileno())
                    os.rename(temporary, name, src_dir_fd=place, dst_dir_fd=place)
                except BaseException:
                    os.unlink(temporary, dir_fd=place)
                    raise
            finally:
                os.close(place)
        except OSError as error:
            _fail_file(target, "write", error)

    def opened(self, target: Target, flags: int) -> int:
        """Open a file that is within the folders; return its descriptor."""
        try:
            descriptor = os.open(target.path, flags | os.O_CLOEXEC)
        except OSError as error:
            _fail_file(target, "read", error)
        try:
            self._check(target, os.readlink(f"/proc/self/fd/{descriptor}"))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, target: Target, real: str) -> None:
        if not any(f"{real}/".startswith(folder.rstrip("/") + "/") for folder in self._folders):
            raise PermissionDenied(
                f"{target} leads out of the folders that this server may use; name another file"
            )


def _fail_file(target: Target, verb: str, error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise NotFound(f"{target} does not exist; check the path") from error
    if isinstance(error, IsADirectoryError):
        raise InvalidArgument(f"{target} is a folder; ask for all files in it (recursive)") from error
    raise PermissionDenied(
        f"cannot {verb} {target}: {error.strerror}; check the server's permissions"
    ) from error
