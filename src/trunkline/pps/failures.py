"""The error policy of the control loops: how an error of a round is handled, and when the round is tried again.

No other module of the server decides whether an error can be retried. A retryable error (a database or a
store that does not answer) waits longer with each failure in a row. A permanent error ends the job of the step that
raised it. Anything else is a bug. What is tried again shows as the pipeline's reason.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trunkline.errors import TrunklineError, is_retryable
from trunkline.runtime.supervision import describe

#: Seconds until a round that failed is tried again: doubles with each failure in a row, up to the second figure.
FIRST_PAUSE, LAST_PAUSE = 1.0, 60.0
#: Failures in a row from which on a retryable error shows as the pipeline's reason: one lost connection does not.
SHOWN_RETRIES = 2


class FailureKind(StrEnum):
    """How an error is handled."""

    #: The same step may succeed later.
    RETRYABLE = "retryable"
    #: It fails again until a user changes something; the message names it.
    PERMANENT = "permanent"
    #: Not an error of ours: a fault in Trunkline.
    BUG = "bug"


class Failure(Struct, frozen=True):
    """The last of some failures in a row."""

    kind: FailureKind
    reason: str
    #: Failures in a row, this one included.
    count: int

    @property
    def pause(self) -> float:
        """Return the seconds until the next try."""
        return min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** (self.count - 1))

    @property
    def is_shown(self) -> bool:
        """Return whether users must see it by now."""
        return self.kind is not FailureKind.RETRYABLE or self.count >= SHOWN_RETRIES


def kind_of(error: BaseException) -> FailureKind:
    """Return how an error is handled."""
    if not isinstance(error, TrunklineError):
        return FailureKind.BUG
    return FailureKind.RETRYABLE if is_retryable(error) else FailureKind.PERMANENT


def after(error: BaseException, before: Failure | None) -> Failure:
    """Return the failure that ``error`` is when ``before`` was the last one in a row."""
    kind = kind_of(error)
    reason = describe(error)
    if kind is FailureKind.BUG:
        reason = f"a bug in Trunkline: {reason}; report it with the traceback in the server's log"
    return Failure(kind, reason, 1 if before is None else before.count + 1)
