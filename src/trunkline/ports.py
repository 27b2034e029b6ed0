"""What Trunkline needs from outside, as small protocols. Drivers implement them; only ``app`` knows which.

All methods are synchronous and may block; callers on the event loop run them in a thread. Every method
may be called from several threads at once. Errors of a driver's library surface as ``errors`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.model.workers import WorkerSighting, WorkerSpec


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

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield ``(key, size in bytes)`` of every object whose key starts with ``prefix``, in key order."""


class Fleet(Protocol):
    """Starts and stops workers; knows nothing of pipelines, jobs or datums.

    Level-triggered: the controller compares ``observe()`` with what it wants and calls ``start`` and
    ``stop``; both are idempotent by worker id, so repeating them after a restart changes nothing.
    """

    def start(self, spec: WorkerSpec) -> None:
        """Ask for a worker. Returns at once; it is pending until ``observe`` says otherwise.

        Raises:
            InvalidArgument: this fleet can never run such a worker; the message says why.
        """

    def stop(self, worker_id: str, grace: float) -> None:
        """Ask the worker to finish and go; end it by force after ``grace`` seconds. Unknown ids are ignored."""

    def observe(self) -> Sequence[WorkerSighting]:
        """Return every worker that exists now: pending with its reason, running, or gone with its cause."""

    def close(self) -> None:
        """Stop every worker of this fleet and release what the driver holds."""


class Clock(Protocol):
    """The time, as an input."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
