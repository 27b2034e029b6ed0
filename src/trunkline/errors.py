"""The errors that Trunkline raises on purpose.

::

    TrunklineError
    ├── InvalidArgument        the request itself is wrong; a retry does not help
    ├── NotFound               a named thing does not exist
    ├── AlreadyExists          a name is taken
    ├── FailedPrecondition     the state does not allow the request
    │   └── CommitFinished     a write to a commit that is finished
    ├── Aborted                another writer was first; try again
    ├── PermissionDenied       the caller may not do this
    ├── Unauthenticated        the caller has not proved who it is
    ├── ResourceExhausted      a disk, quota or limit is full
    ├── Unavailable            a required server does not answer; try again
    ├── DeadlineExceeded       the time limit of the call has passed; the work may be done or not
    ├── Cancelled              the caller has cancelled the request
    ├── Unimplemented          part of the API that is not built yet
    └── DataLoss               stored bytes are missing or do not match their address

A message says what is wrong, where (with the values) and how to fix it, in one sentence for people. The class
decides the status code (``rpc/status.py``), the exit code (``cli/exit_codes.py``) and whether a retry can help
(``retryable``). Errors of libraries become these where they enter, with the cause chained. A bug keeps its own
class.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class TrunklineError(Exception):
    """An error with a message meant for the user."""

    #: Stable name of the kind, equal to the gRPC status code's name.
    code: ClassVar[str] = "UNKNOWN"
    #: Whether the same request may succeed later without being changed.
    retryable: ClassVar[bool] = False
    #: What to do about it in general, for the reference; the message says what to do about one error.
    remedy: ClassVar[str] = "Read the message."

    #: A command that helps, where the command line knows one.
    hint: str = ""
    #: Whether a server returned it; false for errors that are noticed before anything is sent.
    answered = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@contextmanager
def at(place: str) -> Iterator[None]:
    """Let errors name a place, such as the path of a field, before what they say."""
    try:
        yield
    except TrunklineError as error:
        raise type(error)(f"{place}: {error.message}") from error


def is_retryable(error: BaseException | None) -> bool:
    """Return whether the operation that failed with ``error`` may succeed later without being changed."""
    return isinstance(error, TrunklineError) and error.retryable


class InvalidArgument(TrunklineError):
    """The request itself is wrong."""

    code = "INVALID_ARGUMENT"
    remedy = "Correct what the message names, and send the request again."


class NotFound(TrunklineError):
    """A named thing does not exist."""

    code = "NOT_FOUND"
    remedy = "Check the name; the list commands show what exists."


class AlreadyExists(TrunklineError):
    """The name is taken."""

    code = "ALREADY_EXISTS"
    remedy = "Choose another name, or update what exists."


class FailedPrecondition(TrunklineError):
    """The request is valid but the state does not allow it."""

    code = "FAILED_PRECONDITION"
    remedy = "Do first what the message names, such as finishing a commit."


class CommitFinished(FailedPrecondition):
    """A finished commit cannot be changed."""

    remedy = "Start another commit."


class Aborted(TrunklineError):
    """Another writer was first; the request may be sent again."""

    code = "ABORTED"
    retryable = True
    remedy = "Send the request again."


class PermissionDenied(TrunklineError):
    """The caller may not do this."""

    code = "PERMISSION_DENIED"
    remedy = "Ask whoever operates the server; it does not allow this to the caller."


class Unauthenticated(TrunklineError):
    """The caller has not proved who it is."""

    code = "UNAUTHENTICATED"
    remedy = "Send a valid token; `config get context` shows which one is in use."


class ResourceExhausted(TrunklineError):
    """A disk, a quota or a limit is full; the request may succeed when there is room."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True
    remedy = "Make room or wait, and send the request again."


class Unavailable(TrunklineError):
    """A required server does not answer."""

    code = "UNAVAILABLE"
    retryable = True
    remedy = "Check that the server runs and that its address is right, and send the request again."


class DeadlineExceeded(TrunklineError):
    """The time limit of the call has passed; whether the work was done is not known."""

    code = "DEADLINE_EXCEEDED"
    remedy = "Look whether it was done, and try again with more time."


class Cancelled(TrunklineError):
    """The request was cancelled before it was answered."""

    code = "CANCELLED"
    remedy = "Send the request again if it is still wanted."


class Unimplemented(TrunklineError):
    """Part of the API that is not built yet."""

    code = "UNIMPLEMENTED"
    remedy = "Use what the message names instead."


class DataLoss(TrunklineError):
    """Stored bytes are missing or do not match their address."""

    code = "DATA_LOSS"
    remedy = "Restore the object store; `trunkline fsck` names what is missing."
