"""Rows of CSV and JSON files, and their values."""

from __future__ import annotations

import csv
import datetime
import io
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.columns import ColumnKind
from trunkline.pfs.column_values import converted
from trunkline.pfs.row_files import csv_rows, json_rows

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


def pieces_of(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=3)), st.integers(1, 50))
def test_what_the_standard_library_writes_is_read_in_any_pieces(rows, size):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)

    assert [row.values for row in csv_rows(pieces_of(file.getvalue().encode(), size))] == rows


def test_an_empty_field_is_null_unless_it_is_quoted():
    rows = list(csv_rows([b'a,,""\n\n"",,\r\n,x,"y""z"']))

    assert [(row.line, row.values) for row in rows] == [
        (1, ["a", None, ""]),
        (3, ["", None, None]),
        (4, [None, "x", 'y"z']),
    ]


def test_a_field_may_have_lines():
    assert [row.values for row in csv_rows([b'1,"two\nlines"\n2,b\n'])] == [["1", "two\nlines"], ["2", "b"]]


@pytest.mark.parametrize("text", [b'a,"b\nc', b'a,b"c\n', b'a,"b"c\n', b"a,\xff\n"])
def test_text_that_is_not_csv_is_refused_with_its_line(text):
    with pytest.raises(InvalidArgument, match="line"):
        list(csv_rows([text]))


@given(
    st.lists(st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS)),
    st.sampled_from(["", " ", "\n", "\r\n\n"]),
    st.sampled_from([None, 2]),
    st.integers(1, 50),
)
def test_objects_are_read_in_any_pieces(objects, between, indent, size):
    data = between.join(json.dumps(value, indent=indent) for value in objects).encode()

    assert [row.values for row in json_rows(pieces_of(data, size))] == objects


def test_numbers_of_json_are_exact():
    (row,) = json_rows([b'{"a": 0.1, "b": 12345678901234567890}'])

    assert row.values == {"a": Decimal("0.1"), "b": 12345678901234567890}


@pytest.mark.parametrize("text", [b"[1]", b'{"a": 1} 2', b'{"a": ', b'{"a": 1}\n{"a" 2}\n', b"null"])
def test_text_that_is_not_objects_is_refused_with_its_line(text):
    with pytest.raises(InvalidArgument, match="line"):
        list(json_rows([text]))


def test_deep_nesting_is_refused():
    with pytest.raises(InvalidArgument):
        list(json_rows([b'{"a":' * 200_000]))


@pytest.mark.parametrize("reader", [csv_rows, json_rows])
def test_a_row_beyond_the_limit_is_refused(reader, monkeypatch):
    monkeypatch.setattr(limits, "EGRESS_RECORD", limits.Limit(1000, "bytes", "a row"))
    for text in (
        b'{"a": "' + b"x" * 2000,
        b'{"a": "' + b"x\n" * 1000,
        b'"' + b"x" * 2000,
        b'"' + b"x\n" * 1000,
    ):
        with pytest.raises(InvalidArgument):
            list(reader([text]))


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        (None, ColumnKind.INTEGER, None),
        (" 12 ", ColumnKind.INTEGER, 12),
        ("12.0", ColumnKind.INTEGER, 12),
        (True, ColumnKind.INTEGER, 1),
        ("true", ColumnKind.INTEGER, 1),
        ("1.50", ColumnKind.DECIMAL, Decimal("1.50")),
        ("1e3", ColumnKind.FLOAT, 1000.0),
        ("T", ColumnKind.BOOLEAN, True),
        (0, ColumnKind.BOOLEAN, False),
        ("2026-01-02", ColumnKind.DATE, datetime.date(2026, 1, 2)),
        ("2026-01-02T03:04:05Z", ColumnKind.DATE, datetime.date(2026, 1, 2)),
        ("03:04", ColumnKind.TIME, datetime.time(3, 4)),
        (
            "2026-01-02T03:04:05Z",
            ColumnKind.TIMESTAMP,
            datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        ),
        ("AP8=", ColumnKind.BYTES, b"\0\xff"),
        ('{"a": 1}', ColumnKind.JSON, {"a": 1}),
        ({"a": Decimal("1.5")}, ColumnKind.JSON, {"a": 1.5}),
        (Decimal("1.50"), ColumnKind.TEXT, "1.50"),
        ({"a": True}, ColumnKind.TEXT, '{"a": true}'),
        (False, ColumnKind.TEXT, "false"),
    ],
)
def test_values_become_what_the_column_takes(value, kind, result):
    assert converted(value, kind) == result


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", ColumnKind.INTEGER), ("1.5", ColumnKind.INTEGER), ("1e999999", ColumnKind.INTEGER),
        ("NaN", ColumnKind.INTEGER), ("x", ColumnKind.DECIMAL), (True, ColumnKind.FLOAT), ("2", ColumnKind.BOOLEAN),
        ("1.1.2026", ColumnKind.DATE), (5, ColumnKind.TIMESTAMP), ("25:00", ColumnKind.TIME), ("?", ColumnKind.BYTES),
        (1, ColumnKind.BYTES), ("{", ColumnKind.JSON), ("a\0b", ColumnKind.TEXT), ([1], ColumnKind.INTEGER),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(value, kind):
    with pytest.raises(InvalidArgument):
        converted(value, kind)
