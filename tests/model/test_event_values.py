"""Events as text, positions as clients send them, and filters with the index that finds them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.events import (
    TEXT,
    Event,
    EventFilter,
    EventKind,
    Position,
    event,
    from_text,
    keys_of,
    parse_position,
)

NAMES = st.sampled_from("ab")
SETS = st.frozensets(NAMES)


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(EventKind))
    fields = (
        {"repo": draw(NAMES)} if kind in (EventKind.REPO, EventKind.COMMIT) else {"pipeline": draw(NAMES)}
    )
    if kind is EventKind.COMMIT:
        fields["commit"] = draw(NAMES)
    if kind in (EventKind.JOB, EventKind.DATUM):
        fields["job"] = draw(NAMES)
    return event(kind, 1.5, draw(NAMES), **fields)


FILTERS = st.builds(
    EventFilter,
    kinds=st.frozensets(st.sampled_from(EventKind)),
    projects=SETS,
    repos=SETS,
    pipelines=SETS,
    jobs=SETS,
)


@given(events(), FILTERS)
def test_a_filter_that_admits_an_event_is_found_under_one_key_of_it(
    happened: Event, admitted: EventFilter
) -> None:
    common = set(keys_of(happened)) & set(admitted.keys())

    assert len(common) <= 1
    assert common or not admitted.admits(happened)


def test_a_filter_admits_what_each_of_its_sets_names() -> None:
    commit = event(EventKind.COMMIT, 1.0, "p", repo="images", commit="id")
    job = event(EventKind.JOB, 1.0, "p", pipeline="edges", job="id")

    assert EventFilter().admits(commit)
    assert EventFilter(jobs=frozenset({"id"})).admits(commit)
    assert EventFilter(repos=frozenset({"images"}), pipelines=frozenset({"edges"})).admits(job)
    assert not EventFilter(repos=frozenset({"images"})).admits(job)
    assert not EventFilter(kinds=frozenset({EventKind.JOB}), repos=frozenset({"images"})).admits(commit)
    assert not EventFilter(projects=frozenset({"other"})).admits(job)


def test_an_event_is_one_line_of_ascii_whatever_its_texts_hold() -> None:
    happened = event(
        EventKind.JOB, 1.0, "p", pipeline="ä", job="id", reason="a\nb\r\u2028\0\udcff", state="KILLED"
    )

    assert happened.text.isascii()
    assert len(happened.text.splitlines()) == 1
    assert from_text(happened.text) == happened
    assert json.loads(happened.text)["reason"] == "a\nb\r\u2028\0\udcff"


def test_long_texts_are_cut() -> None:
    happened = event(EventKind.WORKER, 1.0, "p", pipeline="a", reason="x" * 5000)

    reason = json.loads(happened.text)["reason"]
    assert (len(reason), reason[-1]) == (TEXT, "…")


def test_a_position_is_read_as_it_was_written() -> None:
    position = Position("0123abcd", 4711)

    assert parse_position(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "4711", "0123abcd", "0123abcd-", "0123ABCD-1", "0123abcd-01", "x" * 5000]
)
def test_what_is_not_a_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_position(text)
