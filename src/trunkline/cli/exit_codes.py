"""Exit codes, and the exit code of each error; ``cli.help.topics`` has their meanings."""

from __future__ import annotations

from trunkline.errors import TrunklineError

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


def exit_code(error: TrunklineError) -> int:
    """Return the exit code for ``error``."""
    return _BY_CODE.get(error.code, FAILURE)
