"""The page of the handbook that explains more about an error than its message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trunkline import handbook_pages
from trunkline.cli.exit_codes import JobFailed, UsageError
from trunkline.errors import InvalidArgument, NotFound, TrunklineError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Pages by the code of an error.
PAGES = {
    "DATA_LOSS": handbook_pages.TROUBLESHOOTING,
    "DEADLINE_EXCEEDED": handbook_pages.TIME_LIMIT,
    "NOT_FOUND": handbook_pages.NOT_FOUND,
    "PERMISSION_DENIED": handbook_pages.SECURITY,
    "RESOURCE_EXHAUSTED": handbook_pages.LIMITS,
    "UNAUTHENTICATED": handbook_pages.SECURITY,
    "UNIMPLEMENTED": handbook_pages.DIFFERENCES,
    "UNKNOWN": handbook_pages.TROUBLESHOOTING,  # a mistake in the server
}
#: Codes that mean something else where no server has answered, such as a local file that is missing.
_OF_SERVERS = frozenset(("NOT_FOUND", "UNKNOWN"))
#: A path of fields: with a dot anywhere in a message, or before a colon.
_FIELD = re.compile(
    r"(?<![\w./@:-])[a-z]\w*(?:\[\d+\])?(?:(?:\.[a-z]\w*(?:\[\d+\])?)+(?![\w/@])|(?=: ))", re.IGNORECASE
)


def page(error: TrunklineError, words: Sequence[str]) -> str:
    """Return the page that helps with an error; empty when the message says everything.

    Args:
        error: that the command ended with.
        words: the command line.
    """
    if words[:1] == ["serve"]:  # no server shows pages
        return ""
    if isinstance(error, JobFailed):
        return handbook_pages.DEBUG_DATUM if error.hint else ""
    if isinstance(error, UsageError):
        return ""
    if isinstance(error, InvalidArgument):
        if not {"pipeline", "apply", "plan"}.isdisjoint(words):
            return _page_of_field(error.message) or (handbook_pages.SPEC if error.answered else "")
        return handbook_pages.REFERENCES if not error.answered and "@" in error.message else ""
    if error.hint or (error.code in _OF_SERVERS and not error.answered):
        return ""
    return PAGES.get(error.code, "")


def _page_of_field(message: str) -> str:
    """Return the section of the first field of a spec that a message names; empty when it names none."""
    from trunkline.model import spec_help

    for path in _FIELD.findall(message):
        words = re.sub(r"\[\d+\]", "", path).split(".")
        while words:
            try:
                field = spec_help.look_up(".".join(words))
            except NotFound:
                words.pop()  # of a map of names, such as transform.env
                continue
            return handbook_pages.page_of_field(spec_help.section(field.path))
    return ""
