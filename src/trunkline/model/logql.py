"""The little of LogQL that asks for lines of pipelines: a selector and line filters.

``{pipelineName="edges", pipelineProject="default"} |= "error" != "debug"``. Source of the syntax: Grafana Loki's
documentation of log queries. What would need Loki itself (parsers, metrics) is refused, never ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.errors import InvalidArgument

_SELECTOR = re.compile(r"\s*\{([^{}]*)\}")
_MATCHER = re.compile(r'\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_FILTER = re.compile(r'\s*(\|=|\|~|!=|!~)\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines are asked for."""

    #: (label, operator, value)
    matchers: tuple[tuple[str, str, str], ...]
    #: (operator, text)
    filters: tuple[tuple[str, str], ...]

    def selects(self, labels: dict[str, str]) -> bool:
        """Tell whether a source of lines is meant; labels that it does not have count as not asked for."""
        return all(
            _holds(operator, value, labels[label])
            for label, operator, value in self.matchers
            if label in labels
        )

    def keeps(self, line: str) -> bool:
        """Tell whether a line passes all filters."""
        return all(_passes(operator, text, line) for operator, text in self.filters)


def parse(query: str) -> LogQuery:
    """Read a query; an empty one asks for everything.

    Raises:
        InvalidArgument: it is broken, or needs more than selectors and line filters.

    >>> parse('{pipelineName="edges"} |= "error"').filters
    (('|=', 'error'),)
    """
    if not query.strip():
        return LogQuery((), ())
    selector = _SELECTOR.match(query)
    if selector is None:
        raise InvalidArgument(
            f'the log query {query!r} has no selector; begin it like {{pipelineName="edges"}}'
        )
    matchers, inside, at = [], selector.group(1), 0
    while inside[at:].strip():
        found = _MATCHER.match(inside, at)
        if found is None:
            raise InvalidArgument(
                f'the log query {query!r} is broken at {inside[at:].strip()!r}; matchers look like label="value"'
            )
        matchers.append((found.group(1), found.group(2), _ESCAPED.sub(r"\1", found.group(3))))
        at = found.end()
    filters, at = [], selector.end()
    while query[at:].strip():
        found = _FILTER.match(query, at)
        if found is None:
            raise InvalidArgument(
                f"the log query {query!r} goes on with {query[at:].strip()!r}, and only the line filters"
                " |=, !=, |~ and !~ are understood here"
            )
        quoted = found.group(2)
        text = _ESCAPED.sub(r"\1", quoted) if quoted is not None else found.group(3)
        filters.append((found.group(1), text))
        at = found.end()
    query_read = LogQuery(tuple(matchers), tuple(filters))
    for _, operator, value in (*query_read.matchers, *(("", *one) for one in query_read.filters)):
        if operator.endswith("~"):
            _checked(value)
    return query_read


def _checked(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"the log query has the broken expression {pattern!r}: {error}") from error


def _holds(operator: str, wanted: str, value: str) -> bool:
    if operator in ("=", "!="):
        return (value == wanted) is (operator == "=")
    return (re.fullmatch(wanted, value) is not None) is (operator == "=~")


def _passes(operator: str, text: str, line: str) -> bool:
    if operator in ("|=", "!="):
        return (text in line) is (operator == "|=")
    return (re.search(text, line) is not None) is (operator == "|~")
