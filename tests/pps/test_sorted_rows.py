"""Rows in key order, of any number."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.pps.sorted_rows import SortedRows

tables = st.dictionaries(st.binary(min_size=1, max_size=8), st.binary(max_size=30), max_size=40)


@given(tables, st.integers(1, 50))
def test_rows_come_in_key_order_however_many_are_held_in_memory(table: dict[bytes, bytes], held: int) -> None:
    with SortedRows(run_rows=held) as rows:
        for key, value in table.items():
            rows.add(key, value)

        assert len(rows) == len(table)
        assert list(rows) == sorted(table.items())
        assert list(rows) == sorted(table.items())  # and again


@pytest.mark.parametrize("held", [10, 1000])
def test_leaving_the_context_frees_the_files(held: int) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with SortedRows(run_rows=held) as rows:
        for number in range(100):
            rows.add(b"%03d" % number, b"")

    assert set(os.listdir("/proc/self/fd")) <= before
    assert list(rows) == []
