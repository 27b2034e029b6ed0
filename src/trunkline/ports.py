"""What Trunkline needs from outside, as small protocols. Drivers implement them; only ``app`` knows which.

All methods are synchronous and may block; callers on the event loop run them in a thread. Every method
may be called from several threads at once. Errors of a driver's library surface as ``errors`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trunkline.model.field_support import Unsupported
    from trunkline.model.workers import Machine, WorkerSighting, WorkerSpec


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
        """Return ``length`` bytes from ``start`` (to the end when None).

        Raises:
            NotFound: no such object.
            DataLoss: the object is shorter than asked for.
            Unavailable: the store did not answer; the call may be repeated.
        """

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there succeeds."""

    def size(self, key: str) -> int:
        """Return the bytes of an object, at the cost of one request.

        Raises:
            NotFound: no such object.
            Unavailable: the store did not answer; the call may be repeated.
        """

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield ``(key, size in bytes)`` of every object whose key starts with ``prefix``, in no order.

        The listing streams: the first objects come before the last are read, and memory does not grow with
        their number. An object that is stored or deleted meanwhile may be yielded or not.
        """

    def sign(self, key: str, method: Literal["GET", "PUT"], seconds: float) -> str | None:
        """Return a presigned URL: whoever has it can do one thing to one object.

        Args:
            key: of the object; for PUT a new one, because such a URL may replace an object.
            method: what the URL allows.
            seconds: how long it is valid.

        Returns:
            The URL, or None when the store has none; the bytes go through the server then.
        """


class Fleet(Protocol):
    """Starts and stops workers; knows nothing of pipelines, jobs or datums.

    Level-triggered: the controller compares ``observe()`` with what it wants and calls ``start`` and
    ``stop``; both are idempotent by worker id, so repeating them after a restart changes nothing.
    """

    @property
    def name(self) -> str:
        """What records call this fleet, such as ``processes``."""

    @property
    def startup_prior(self) -> float:
        """Seconds that a start is taken to last before one was seen."""

    @property
    def unsupported(self) -> Mapping[str, Unsupported]:
        """The fields of a spec that this fleet does not honour, by their names in the spec."""

    def check(self, spec: WorkerSpec) -> None:
        """Refuse a worker that this fleet can never run, whatever its capacity becomes.

        Raises:
            InvalidArgument: the message says why.
        """

    def start(self, spec: WorkerSpec) -> None:
        """Ask for a worker. Returns at once; it is pending until ``observe`` says otherwise.

        Raises:
            InvalidArgument: this fleet can never run such a worker; the message says why.
        """

    def stop(self, worker_id: str, grace: float) -> None:
        """Ask the worker to finish and go; end it by force after ``grace`` seconds. Unknown ids are ignored."""

    def mark(self, worker_id: str, *, busy: bool) -> None:
        """Note whether a worker holds work, so that whoever owns its machine spares the busy ones.

        Returns at once; a mark that is there already and unknown ids are ignored. A new worker counts as busy.
        """

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker that exists now: pending with its reason, running, or gone with its cause."""

    def machines(self) -> Sequence[Machine]:
        """Return the machines that workers run on or that are being made for them."""

    def close(self, grace: float) -> None:
        """Release what the driver holds.

        Workers that cannot live without this server are asked to finish and are ended after ``grace`` seconds;
        workers elsewhere run on and wait for the next server.
        """


class WorkerIdentity(Protocol):
    """Verifies which worker makes a call. Its method is a coroutine: nearly every call is answered from memory."""

    async def verify(self, worker_id: str, token: str) -> None:
        """Check that a token proves that the caller is a worker.

        Args:
            worker_id: the worker that the caller says it is.
            token: the proof that came with the call.

        Raises:
            Unauthenticated: it does not, or there is no such worker (any more); the worker must exit.
            Unavailable: it cannot be checked now; the worker may try again.
        """


class Secrets(Protocol):
    """Where secrets for commands are kept: named sets of keys and values. Values never come back."""

    def create(self, name: str, kind: str, data: Mapping[str, bytes], labels: Mapping[str, str]) -> None:
        """Store a secret, replacing one of that name that was made here.

        Raises:
            AlreadyExists: somebody else made a secret of that name.
            PermissionDenied: the server may not.
        """

    def inspect(self, name: str) -> tuple[str, float, Sequence[str]] | None:
        """Return ``(kind, created in seconds since the epoch, keys)``, or None."""

    def list(self) -> Sequence[tuple[str, str, float]]:
        """Return ``(name, kind, created)`` of those that were made here, by name."""

    def delete(self, name: str) -> None:
        """Remove a secret that was made here; removing what is not there succeeds."""


class Clock(Protocol):
    """The time, as an input."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC: for people, and for what is stored."""

    def monotonic(self) -> float:
        """Return seconds on a clock that is never set: for leases and time limits."""
