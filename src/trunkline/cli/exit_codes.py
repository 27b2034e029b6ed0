"""Exit codes, and the exit code of each error; ``cli.help.topics`` has their meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import handbook_pages
from trunkline.errors import InvalidArgument, TrunklineError

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 0
FAILURE = 1
USAGE = 2
NOT_FOUND = 3
CONFLICT = 4
DENIED = 5
UNAVAILABLE = 6
JOB_FAILED = 7
SERVICE_LOST = 8
TIMEOUT = 124  # as timeout(1) does
INTERRUPTED = 130  # 128 + SIGINT, as shells do

_BY_CODE = {
    "USAGE": USAGE,
    "INVALID_ARGUMENT": USAGE,
    "JOB_FAILED": JOB_FAILED,
    "NOT_FOUND": NOT_FOUND,
    "ALREADY_EXISTS": CONFLICT,
    "FAILED_PRECONDITION": CONFLICT,
    "ABORTED": CONFLICT,
    "PERMISSION_DENIED": DENIED,
    "UNAUTHENTICATED": DENIED,
    "UNAVAILABLE": UNAVAILABLE,
    "DEADLINE_EXCEEDED": TIMEOUT,
    "SERVICE_LOST": SERVICE_LOST,
}
#: Failures whose cause is in the server or its surroundings, not in the command.
_SERVER_CODES = frozenset(("DATA_LOSS", "INTERNAL"))


class UsageError(TrunklineError):
    """The command line is not valid."""

    code = "USAGE"


class JobFailed(TrunklineError):
    """A job or commit that was waited for has failed."""

    code = "JOB_FAILED"

    def __init__(self, message: str, hint: str = "") -> None:
        """Describe the failure.

        Args:
            message: what failed, and why.
            hint: the command that shows more; empty for none.
        """
        super().__init__(message)
        self.hint = hint


def page(error: TrunklineError, words: Sequence[str]) -> str:
    """Return the page of the handbook that helps with an error; empty when the message says everything.

    Args:
        error: that the command ended with.
        words: the command line.
    """
    if words[:1] == ["serve"]:  # no server shows pages
        return ""
    if isinstance(error, JobFailed):
        return handbook_pages.DEBUG_DATUM if error.hint else ""
    if isinstance(error, InvalidArgument) and error.answered and "pipeline" in words:
        return handbook_pages.SPEC
    return handbook_pages.TROUBLESHOOTING if error.code in _SERVER_CODES else ""


def exit_code(error: TrunklineError) -> int:
    """Return the exit code for ``error``."""
    return _BY_CODE.get(error.code, FAILURE)
