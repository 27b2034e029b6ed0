"""Removes secrets from what leaves the server for people who help with it: debug dumps.

A spec keeps its structure, numbers and the strings of fields that cannot hold a secret, such as names of repos and
globs; all other strings are replaced (``masked``). Free text loses the strings that were replaced in a spec, and what
looks like a credential (``Redactor``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"
#: Characters; shorter strings of specs are not looked for in free text, because they are parts of words.
SHORTEST = 4
#: Fields of specs, in lower case without underscores, whose strings are kept.
_KEPT = frozenset(
    (
        "branch", "datumtimeout", "duration", "glob", "groupby", "jobtimeout", "joinon", "memory", "disk", "mode",
        "name", "outputbranch", "project", "repo", "repotype", "type", "s3out", "start", "spec", "cronspec", "size",
    )
)  # fmt: skip
#: Fields below which no string is kept, whatever its own field is.
_OPAQUE = frozenset(
    (
        "annotations", "description", "egress", "env", "labels", "metadata", "podpatch", "podspec", "schedulingspec",
        "service", "tfjob", "tolerations", "transform",
    )
)  # fmt: skip
_PATTERNS = (
    # user:password@ of URLs, the values of their queries, headers, and assignments to names of secrets.
    (re.compile(r"(\w[\w+.-]*://)[^\s/@'\"]+@"), rf"\1{MASK}@"),
    (re.compile(r"([?&][\w.%-]+=)[^&\s'\"#]+"), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"([\w.-]*(?:password|passwd|secret|token|credential|api[_-]?key|access[_-]?key)[\w.-]*[\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s,;'\"}]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


def masked(value: Any, strings: set[str]) -> Any:
    """Return a spec without the strings that may be secrets.

    Args:
        value: the spec, in JSON's types.
        strings: receives what was replaced.
    """
    return _masked(value, strings, field="", opaque=False)


def _masked(value: Any, strings: set[str], *, field: str, opaque: bool) -> Any:
    if isinstance(value, dict):
        result = {}
        for name, inner in value.items():
            plain = name.lower().replace("_", "")
            result[name] = _masked(inner, strings, field=plain, opaque=opaque or plain in _OPAQUE)
        return result
    if isinstance(value, list):
        return [_masked(inner, strings, field=field, opaque=opaque) for inner in value]
    if not isinstance(value, str) or not value or (field in _KEPT and not opaque):
        return value
    strings.add(value)
    return MASK


class Redactor:
    """Replaces known secrets and what looks like one in free text."""

    def __init__(self, strings: Iterable[str] = ()) -> None:
        """Create a redactor; ``strings`` are replaced wherever they occur, also line by line."""
        parts = {part for text in strings for part in (text, text.strip(), *text.splitlines())}
        longest_first = sorted((part for part in parts if len(part) >= SHORTEST), key=len, reverse=True)
        self._strings = longest_first

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for part in self._strings:
            if part in text:
                text = text.replace(part, MASK)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text
