"""Small protocols for what the core needs from outside. Drivers implement them; only ``app`` knows which.

All methods are synchronous and may block; callers on the event loop run them in a thread. Every method
may be called from several threads at once. Errors of a driver's library surface as ``errors`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from trunkline.model.columns import ColumnKind
    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import Machine, PublishedService, WorkerSighting, WorkerSpec


class ObjectStore(Protocol):
    """Immutable objects by key. Keys are ``/``-separated printable ASCII without empty parts."""

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Store the concatenation of ``parts`` as one object, atomically and durably on return.

        Raises:
            AlreadyExists: the key exists; the stored object is untouched.
            ResourceExhausted: the disk or quota is full; nothing is visible under the key.
            Unavailable: the store did not answer; the object may or may not exist.
        """

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return bytes of an object.

        Args:
            key: of the object.
            start: offset of the first byte.
            length: number of bytes; None for all until the end.

        Raises:
            NotFound: the object does not exist.
            DataLoss: the object is shorter than requested.
            Unavailable: the store did not answer; the call may be repeated.
        """

    def delete(self, key: str) -> None:
        """Remove the object; succeeds when it does not exist."""

    def size(self, key: str) -> int:
        """Return the size of an object in bytes, at the cost of one request.

        Raises:
            NotFound: the object does not exist.
            Unavailable: the store did not answer; the call may be repeated.
        """

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield ``(key, size in bytes)`` of every object whose key starts with ``prefix``, in no order.

        The listing streams: the first objects come before the last are read, and memory does not grow with
        their number. An object that is stored or deleted meanwhile may be yielded or not.
        """

    def sign(self, key: str, method: Literal["GET", "PUT"], seconds: float) -> str | None:
        """Return a presigned URL, which allows one operation on one object without further credentials.

        Args:
            key: of the object; for PUT a new one, because such a URL may replace an object.
            method: what the URL allows.
            seconds: how long it is valid.

        Returns:
            The URL, or None when the store has no presigned URLs; the bytes go through the server then.
        """


class Fleet(Protocol):
    """Starts and stops workers; knows nothing of pipelines, jobs or datums.

    Level-triggered: the controller compares ``observe()`` with the desired workers and calls ``start`` and
    ``stop``; both are idempotent by worker id, so repeating them after a restart changes nothing.
    """

    @property
    def name(self) -> str:
        """Name of this fleet in records, such as ``processes``."""

    @property
    def startup_prior(self) -> float:
        """Assumed seconds of a start before the first one was measured."""

    def unsupported(self, spec: PipelineSpec) -> Mapping[str, Unsupported]:
        """Return the fields that this fleet does not honour, by their names in a spec.

        Args:
            spec: how its workers would run may decide.
        """

    def check(self, spec: WorkerSpec) -> None:
        """Check that this fleet can run a worker, given enough capacity.

        Raises:
            InvalidArgument: it never can; the message says why.
        """

    def start(self, spec: WorkerSpec) -> None:
        """Request a worker. Returns at once; it is pending until ``observe`` reports another phase.

        Raises:
            InvalidArgument: this fleet can never run such a worker; the message says why.
        """

    def stop(self, worker_id: str, grace: float) -> None:
        """Stop a worker, by force after ``grace`` seconds. Unknown ids are ignored."""

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Record whether a worker is busy, so that the owner of its machine does not evict busy workers.

        Returns at once. Repeated marks and unknown ids are ignored. A new worker counts as busy.
        """

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker that exists now: pending with its reason, running, or ended with its cause."""

    def machines(self) -> Sequence[Machine]:
        """Return the machines that workers run on or that are being created for them."""

    def close(self, grace: float) -> None:
        """Release the driver's resources.

        Workers that depend on this server are stopped, by force after ``grace`` seconds; workers elsewhere continue
        to run and wait for the next server.
        """


class ServicePublisher(Protocol):
    """Publishes the ports of services and spouts on a fleet whose workers do not do so themselves."""

    def publish(self, services: Sequence[PublishedService]) -> Mapping[str, str]:
        """Make exactly these services reachable; those of other pipelines, or of former versions, end.

        Returns:
            Why a service cannot be published, by ``project/pipeline``; services without a fault are left out.

        Raises:
            PermissionDenied: the server is not allowed to.
            Unavailable: what publishes them does not answer; the call may be repeated.
        """


class WorkerIdentity(Protocol):
    """Verifies which worker makes a call. A coroutine, because nearly every call is answered from memory."""

    async def verify(self, worker_id: str, token: str) -> None:
        """Check that a token proves that the caller is a worker.

        Args:
            worker_id: the worker that the caller claims to be.
            token: the proof that came with the call.

        Raises:
            Unauthenticated: it does not, or the worker does not exist (any more); the worker must exit.
            Unavailable: it cannot be checked now; the worker may try again.
        """


class Secrets(Protocol):
    """Secrets for commands: named sets of keys and values. Clients cannot read values back."""

    def create(self, name: str, kind: str, data: Mapping[str, bytes], labels: Mapping[str, str]) -> None:
        """Store a secret, replacing an earlier one that Trunkline created.

        Args:
            name: of the secret.
            kind: its type, as Kubernetes names it.
            data: values by key.
            labels: labels to store with it.

        Raises:
            AlreadyExists: a secret of that name was created by somebody else.
            PermissionDenied: the server is not allowed to.
        """

    def inspect(self, name: str) -> tuple[str, float, Sequence[str]] | None:
        """Return ``(kind, created in seconds since the epoch, keys)``, or None."""

    def list(self) -> Sequence[tuple[str, str, float]]:
        """Return ``(name, kind, created)`` of the secrets that Trunkline created, sorted by name."""

    def delete(self, name: str) -> None:
        """Remove a secret that Trunkline created; succeeds when it does not exist."""

    def values(self, name: str) -> Mapping[str, bytes] | None:
        """Return the values of a secret by key, for the server's own use; None when it does not exist."""


class Column(NamedTuple):
    """A column of a table outside."""

    name: str
    kind: ColumnKind
    #: Whether the table may have no value there.
    nullable: bool = True


class OutboundDatabase(Protocol):
    """A transaction in a database that a client has named. Used by one thread."""

    def columns(self, table: str) -> Sequence[Column]:
        """Return the columns of a table in their order; ``SCHEMA.TABLE`` names one of another schema.

        Raises:
            NotFound: there is no such table.
            Unavailable: the database did not answer.
        """

    def clear(self, table: str) -> None:
        """Delete all rows of a table whose columns have been asked for."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows.

        Args:
            table: whose columns have been asked for.
            columns: names of columns of it.
            rows: a value for each of the columns: of Python's types, None for NULL.

        Raises:
            InvalidArgument: the database does not accept a value.
            Unavailable: the connection is lost.
        """


class Outbound(Protocol):
    """Connects to what clients name by URLs, within the rules of the server (docs/design/outbound.md).

    Every method raises InvalidArgument for a URL that is not valid or not supported, PermissionDenied for one that no
    rule allows, and Unavailable when the other end does not answer; those that transfer end early when the work that
    called them is cancelled. Messages contain no credentials.
    """

    def check(self, url: str) -> None:
        """Check a URL by itself, without connecting."""

    def turn(self) -> AbstractContextManager[None]:
        """Hold a place among the transfers that run at the same time.

        Raises:
            ResourceExhausted: there are too many.
        """

    def read(self, url: str) -> Generator[bytes]:
        """Yield the bytes at a URL in pieces.

        Raises:
            NotFound: there is nothing.
            InvalidArgument: it is longer than its limit.
        """

    def objects(self, url: str) -> Iterator[tuple[str, int]]:
        """Yield the names and sizes of the objects below a URL; a name is what follows the URL and a slash."""

    def write(self, url: str, pieces: Iterable[bytes], size: int) -> None:
        """Store an object, complete or not at all, in place of what is there.

        Args:
            url: of the object.
            pieces: its bytes.
            size: how many there are.
        """

    def database(self, url: str, password: str) -> AbstractContextManager[OutboundDatabase]:
        """Begin a transaction in a database; leaving the context without an error commits it.

        Args:
            url: of the database, without a password.
            password: empty for none.

        Raises:
            PermissionDenied: also when the database refuses the user.
        """


class LineageCollector(Protocol):
    """Takes events of OpenLineage. Blocks."""

    def send(self, event: bytes) -> None:
        """Send an event in JSON.

        Raises:
            Unavailable: it was not accepted.
        """


class Programs(Protocol):
    """Runs programs that clients send, with limits of processor time, memory and output. Blocks."""

    def filter(self, expression: str) -> AbstractContextManager[Callable[[Sequence[str]], Sequence[bool]]]:
        """Start a jq filter; return a function that says which of some messages, each in JSON, it lets through.

        Raises:
            InvalidArgument: the filter is not valid, or fails on a message.
            ResourceExhausted: it needs too much time or memory.
        """

    def render(self, template: str, arguments: Mapping[str, str]) -> str:
        """Return the JSON that a jsonnet template makes of its arguments.

        Args:
            template: a function in jsonnet.
            arguments: its arguments by name.

        Raises:
            InvalidArgument: the template is not valid, or fails.
            ResourceExhausted: it needs too much time or memory.
            Unimplemented: the server has no library for templates.
        """


class Clock(Protocol):
    """The time, passed in so that tests can control it."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC: for display and for stored times."""

    def monotonic(self) -> float:
        """Return seconds on a clock that is never set: for leases and time limits."""


class ServerAddress(NamedTuple):
    """How workers reach the server."""

    #: ``HOST:PORT``, ``grpcs://HOST:PORT`` or ``unix:PATH``.
    address: str
    #: File with the certificates of CAs by which they verify it; empty without TLS. Replaced when they change.
    ca: str = ""
    #: Name that its certificate must be for.
    name: str = ""


class HttpServer(Protocol):
    """An ASGI server that listens. The exception among ports: it belongs to the event loop, and blocks nowhere.

    It serves HTTP/2 with trailers, and HTTP/1.1. It cancels the task of a request when the client disconnects or
    resets the stream. ``send`` waits while the client takes nothing, and ``receive`` takes nothing from a client beyond
    a window of bytes until it is called. Error responses to what is not HTTP are the server's own.
    """

    #: ``HOST:PORT`` with the real port, or ``unix:PATH``: all addresses, and the one that workers use.
    addresses: Sequence[str]
    address: str

    async def start(self, application: Callable[..., Awaitable[None]]) -> None:
        """Accept requests for an ASGI application, which has no lifespan; returns when it does."""

    async def renew_certificate(self) -> None:
        """Use the certificate and key that their files contain now for new connections; running requests go on.

        Raises:
            InvalidArgument: they cannot be used; the old ones stay in use.
        """

    def refuse(self) -> None:
        """Accept no more connections, and tell clients to send no more requests."""

    async def close(self) -> None:
        """Wait until running requests have ended, and free the address."""
