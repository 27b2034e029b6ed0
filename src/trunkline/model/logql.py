"""The supported subset of LogQL: a stream selector and line filters.

Example: ``{pipelineName="edges", pipelineProject="default"} |= "error" != "debug"``. Source of the syntax: Grafana
Loki's documentation of log queries. Parsers, metrics and everything else are refused, never ignored.

Expressions come from clients, so they run in RE2, as in Loki: its time is linear in the length of the text for any
expression. Python's ``re`` can take exponential time and blocks the interpreter meanwhile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import re2

from trunkline.errors import InvalidArgument
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_SELECTOR = re.compile(r"\s*\{([^{}]*)\}")
_MATCHER = re.compile(r'\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_FILTER = re.compile(r'\s*(\|=|\|~|!=|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')
_ESCAPED = re.compile(r"\\(.)")


#: Bytes that RE2 may use for one expression; a larger one is refused.
_EXPRESSION_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class LogQuery:
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
    selector = _SELECTOR.match(query)
    if selector is None:
        raise InvalidArgument(
            f'the log query {query!r} has no selector; begin it like {{pipelineName="edges"}}'
        )
    matchers, inside, at = [], selector.group(1), 0
    while inside[at:].strip():
        match = _MATCHER.match(inside, at)
        if match is None:
            raise InvalidArgument(
                f'the log query {query!r} is broken at {inside[at:].strip()!r}; matchers look like label="value"'
            )
        label, operator, value = match.groups()
        matchers.append((label, _matcher(operator, _ESCAPED.sub(r"\1", value))))
        at = match.end()
    filters, at = [], selector.end()
    while query[at:].strip():
        match = _FILTER.match(query, at)
        if match is None:
            raise InvalidArgument(
                f"the log query {query!r} continues with {query[at:].strip()!r}; only the line filters"
                " |=, !=, |~ and !~ are supported"
            )
        quoted = match.group(2)
        text = _ESCAPED.sub(r"\1", quoted) if quoted is not None else match.group(3)
        filters.append(_line_filter(match.group(1), text))
        at = match.end()
    return LogQuery(tuple(matchers), tuple(filters))


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
