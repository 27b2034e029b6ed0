"""The supported subset of LogQL: a stream selector and line filters.

Example: ``{pipelineName="edges", pipelineProject="default"} |= "error" != "debug"``. Source of the syntax: Grafana
Loki's documentation of log queries. Strings are Go's, in quotes or in backquotes. Parsers, metrics and everything
else are refused, never ignored.

Expressions come from clients, so they run in RE2, as in Loki: its time is linear in the length of the text for any
expression. Python's ``re`` can take exponential time and blocks the interpreter meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import re2
from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_VALUE = r'(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)'
_OPENED = re.compile(r"\s*\{\s*")
_MATCHER = re.compile(rf"\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*{_VALUE}\s*(?:,\s*|(?=\}}))", re.DOTALL)
_FILTER = re.compile(rf"\s*(\|=|\|~|!=|!~)\s*{_VALUE}", re.DOTALL)
#: Escapes of Go's quoted strings, which Loki's syntax and Go's clients use.
_ESCAPED = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U(0010[0-9A-Fa-f]{4}|000[0-9A-Fa-f]{5})|([0-7]{3})|(.))",
    re.DOTALL,
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

#: Bytes that RE2 may use for one expression; a larger one is refused.
_EXPRESSION_MEMORY = 1 << 20


class LogQuery(Struct, frozen=True):
    """A parsed query."""

    #: Labels, each with the test of its value.
    matchers: tuple[tuple[str, Callable[[str], bool]], ...]
    #: Tests of a line.
    filters: tuple[Callable[[str], bool], ...]

    def selects(self, labels: dict[str, str]) -> bool:
        """Return whether the selector matches a stream; matchers of labels that the stream lacks are ignored."""
        return all(test(labels[label]) for label, test in self.matchers if label in labels)

    def keeps(self, line: str) -> bool:
        """Return whether a line passes all filters."""
        return all(test(line) for test in self.filters)


def parse(query: str) -> LogQuery:
    """Parse a query; an empty one selects everything.

    Raises:
        InvalidArgument: the query is not valid, too long, or uses more than a selector and line filters.

    >>> parse('{pipelineName="edges"} |= "error"').keeps("an error")
    True
    """
    limits.check_text(query, limits.LOG_QUERY, "the log query")
    if not query.strip():
        return LogQuery((), ())
    opened = _OPENED.match(query)
    if opened is None:
        raise InvalidArgument(
            f'the log query {query!r} has no selector; begin it like {{pipelineName="edges"}}'
        )
    matchers, at = [], opened.end()
    while query[at : at + 1] != "}":
        match = _MATCHER.match(query, at)
        if match is None:
            rest = query[at:].partition("}")[0].strip()
            raise InvalidArgument(
                f'the log query {query!r} is broken at {rest!r}; matchers look like label="value"'
            )
        matchers.append((match.group(1), _matcher(match.group(2), _text(match.group(3), match.group(4)))))
        at = match.end()
    filters, at = [], at + 1
    while query[at:].strip():
        match = _FILTER.match(query, at)
        if match is None:
            raise InvalidArgument(
                f"the log query {query!r} continues with {query[at:].strip()!r}; only the line filters"
                " |=, !=, |~ and !~ are supported"
            )
        filters.append(_line_filter(match.group(1), _text(match.group(2), match.group(3))))
        at = match.end()
    return LogQuery(tuple(matchers), tuple(filters))


#: What means the begin or end of the whole text, or switches off that ^ and $ mean those of a line.
_ONE_TEXT = re.compile(r"\\[AzCQ]|\(\?[a-zA-Z]*-")


def line_filter(pattern: str, *, negated: bool) -> Callable[[str], bool]:
    """Return the test of a line by an expression, which may match any part of it.

    Args:
        pattern: the expression, in the syntax of RE2.
        negated: whether lines that match fail the test.

    Raises:
        InvalidArgument: the expression is too long or not valid.
    """
    limits.check_text(pattern, limits.LOG_QUERY, "the expression for log lines")
    return _line_filter("!~" if negated else "|~", pattern)


def block_filter(pattern: str) -> Callable[[str], bool] | None:
    """Return the test of many lines at once: false means that no line of a text matches, true that one may.

    Args:
        pattern: a valid expression, as ``line_filter`` takes it.

    Returns:
        The test; None for an expression that can tell the begin of a line from that of a text.
    """
    if _ONE_TEXT.search(pattern):
        return None
    expression = _compiled(f"(?m){pattern}")
    return lambda text: expression.search(_encoded(text)) is not None


def _text(quoted: str | None, raw: str | None) -> str:
    """Return the text of a string in quotes or in backquotes."""
    return raw or "" if quoted is None else _ESCAPED.sub(_unescaped, quoted)


def _unescaped(match: re.Match[str]) -> str:
    byte, short, long, octal, letter = match.groups()
    if letter is not None:
        return _LETTERS.get(letter, letter)
    return chr(int(octal, 8) if octal else int(byte or short or long, 16))


def _matcher(operator: str, text: str) -> Callable[[str], bool]:
    """Return the test of a label's value; an expression must match all of it."""
    if operator in ("=", "!="):
        return lambda value: (value == text) is (operator == "=")
    expression = _compiled(text)
    return lambda value: (expression.fullmatch(_encoded(value)) is not None) is (operator == "=~")


def _line_filter(operator: str, text: str) -> Callable[[str], bool]:
    """Return the test of a line; an expression may match any part of it."""
    if operator in ("|=", "!="):
        return lambda line: (text in line) is (operator == "|=")
    expression = _compiled(text)
    return lambda line: (expression.search(_encoded(line)) is not None) is (operator == "|~")


def _compiled(text: str) -> Any:
    options = re2.Options()
    options.max_mem = _EXPRESSION_MEMORY
    options.log_errors = False
    try:
        return re2.compile(_encoded(text), options)
    except re2.error as error:
        reason = error.args[0]
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        raise InvalidArgument(f"the log query has the broken expression {text!r}: {reason}") from error


def _encoded(text: str) -> bytes:
    """Return text as RE2 expects it; lone surrogates match only wildcards."""
    return text.encode(errors="replace")
