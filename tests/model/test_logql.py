"""Queries for log lines, as far as they are understood."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import limits, logql

#: With what selectors, filters and strings consist of.
TEXT = st.text(st.sampled_from('ab{}"`\\=,|\n\té'), max_size=6)


def test_a_selector_chooses_by_labels_and_says_nothing_about_labels_that_are_not_there() -> None:
    query = logql.parse('{suite="pachyderm", pipelineName=~"ed.*", pipelineProject!="art"}')

    assert query.selects({"pipelineName": "edges", "pipelineProject": "default"})
    assert not query.selects({"pipelineName": "montage", "pipelineProject": "default"})
    assert not query.selects({"pipelineName": "edges", "pipelineProject": "art"})


def test_line_filters_all_have_to_hold() -> None:
    query = logql.parse('{pipelineName="edges"} |= "err\\"or" != "debug" |~ `code \\d+`')

    assert query.keeps('err"or with code 7')
    assert not query.keeps('err"or with code 7, debug')
    assert not query.keeps('err"or without')


def test_an_empty_query_asks_for_everything() -> None:
    assert logql.parse(" ").keeps("anything")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("edges", "has no selector"),
        ("{pipelineName=edges}", "is broken at 'pipelineName=edges'"),
        ('{pipelineName="edges"} | json', r"continues with '\| json'"),
        ('{pipelineName=~"("}', "broken expression '\\('"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(query: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        logql.parse(query)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("expression", ["(a|a)*b", "(a+)+$b", "(.|.)*~~~$"])
def test_no_expression_takes_more_than_linear_time(expression: str) -> None:
    """With a backtracking engine each of these runs for years, and the server stands still meanwhile."""
    query = logql.parse(f'{{pipelineName=~"{expression}"}} |~ "{expression}"')

    assert not query.selects({"pipelineName": "a" * 60})
    assert not query.keeps("a" * 60_000)


def test_an_expression_that_needs_much_memory_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="broken expression"):
        logql.parse('{a="b"} |~ `(\\pL{500}){900}`')


def test_a_query_beyond_the_limit_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        logql.parse('{a="' + "b" * limits.LOG_QUERY + '"}')


def quoted(text: str) -> str:
    """Write a string as Go's %q does."""
    return json.dumps(text)


@given(
    st.dictionaries(st.sampled_from(["app", "pod", "container"]), st.tuples(st.booleans(), TEXT), max_size=3),
    st.lists(st.tuples(st.sampled_from(["|=", "!="]), TEXT), max_size=3),
    st.fixed_dictionaries({"app": TEXT, "pod": TEXT, "container": TEXT}),
    TEXT,
)
def test_a_query_selects_what_its_matchers_and_filters_say(matchers, filters, labels, line) -> None:
    selector = ", ".join(
        f"{name}{'=' if equal else '!='}{quoted(value)}" for name, (equal, value) in matchers.items()
    )
    text = f"{{{selector}}}" + "".join(f" {operator} {quoted(value)}" for operator, value in filters)

    query = logql.parse(text)

    assert query.selects(labels) is all(
        (labels[name] == value) is equal for name, (equal, value) in matchers.items()
    )
    assert query.keeps(line) is all((value in line) is (operator == "|=") for operator, value in filters)


def test_strings_may_hold_braces_and_the_escapes_of_go() -> None:
    query = logql.parse('{pod=~"a{2}", app=`}`,} |= "\\ttab \\u00e9 \\x41 \\101" |~ `^\\w{3}`')

    assert query.selects({"pod": "aa", "app": "}"})
    assert query.keeps("abc \ttab é A A")
