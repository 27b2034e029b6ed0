"""Every error Trunkline raises on purpose, and nothing else.

::

    TrunklineError
    ├── InvalidArgument        the request itself is wrong; no retry will help
    ├── NotFound               a named thing does not exist
    ├── AlreadyExists          a name is taken
    ├── FailedPrecondition     right request, wrong moment or state
    │   └── CommitFinished     a write to a commit that is finished
    ├── Aborted                another writer won; try again
    ├── PermissionDenied       the caller may not do this
    ├── Unauthenticated        the caller did not say who it is
    ├── ResourceExhausted      a disk, quota or limit is full
    ├── Unavailable            a needed server does not answer; try again
    ├── DeadlineExceeded       the time the caller gave is over; the work may be done or not
    ├── Cancelled              the caller took the request back
    ├── Unimplemented          part of the API that is not built yet
    └── DataLoss               stored bytes are gone or do not match their address

A message says what is wrong, where (with the values) and how to fix it, in one sentence for people. The class
decides the status code (``rpc/status.py``), the exit code (``cli/exit_codes.py``) and whether a retry can help
(``retryable``). Errors of libraries become these where they enter, with the cause chained. A bug keeps its own
class.
"""

from __future__ import annotations

from typing import ClassVar


class TrunklineError(Exception):
    """An error with a message meant for the user."""

    #: Stable name of the kind, equal to the gRPC status code's name.
    code: ClassVar[str] = "UNKNOWN"
    #: Whether the same request may succeed later without being changed.
    retryable: ClassVar[bool] = False

    #: Whether a server answered it; false for what was noticed before anything was sent.
    answered = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def is_retryable(error: BaseException | None) -> bool:
    """Return whether what failed with ``error`` may succeed later without being changed."""
    return isinstance(error, TrunklineError) and error.retryable


class InvalidArgument(TrunklineError):
    """The request itself is wrong."""

    code = "INVALID_ARGUMENT"


class NotFound(TrunklineError):
    """A named thing does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(TrunklineError):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(TrunklineError):
    """The request is right but the state does not allow it."""

    code = "FAILED_PRECONDITION"


class CommitFinished(FailedPrecondition):
    """A finished commit cannot be changed."""


class Aborted(TrunklineError):
    """Another writer won the race; the request may be sent again."""

    code = "ABORTED"
    retryable = True


class PermissionDenied(TrunklineError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"


class Unauthenticated(TrunklineError):
    """The caller did not say who it is, or not convincingly."""

    code = "UNAUTHENTICATED"


class ResourceExhausted(TrunklineError):
    """A disk, a quota or a limit is full; the request may succeed when there is room."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True


class Unavailable(TrunklineError):
    """A server that is needed does not answer."""

    code = "UNAVAILABLE"
    retryable = True


class DeadlineExceeded(TrunklineError):
    """The time the caller gave is over; whether the work was done is not known."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(TrunklineError):
    """The request was taken back before it was answered."""

    code = "CANCELLED"


class Unimplemented(TrunklineError):
    """Part of the API that is not built yet."""

    code = "UNIMPLEMENTED"


class DataLoss(TrunklineError):
    """Stored bytes are gone or do not match their address."""

    code = "DATA_LOSS"
