"""The value of a datum row: frozen bytes, and nothing lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DataLoss
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows

DIGESTS = st.binary(min_size=32, max_size=32)
STORED = [DatumState.UNKNOWN, DatumState.FAILED, DatumState.SUCCESS, DatumState.RECOVERED]
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)
ROWS = st.builds(
    datum_rows.DatumRow,
    id=DIGESTS,
    hash=DIGESTS,
    items=st.lists(st.builds(datum_rows.RowItem, TEXT, TEXT, DIGESTS, NUMBERS), max_size=3).map(tuple),
    state=st.sampled_from(STORED),
    job_id=st.just("") | st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex),
    reason=TEXT,
    outputs=st.lists(TEXT, max_size=3).map(tuple),
    download_ns=NUMBERS,
    process_ns=NUMBERS,
    upload_ns=NUMBERS,
    download_bytes=NUMBERS,
    upload_bytes=NUMBERS,
)


def test_the_bytes_of_a_row_are_frozen() -> None:
    """Rows are kept forever: another layout needs another version byte and a reader for this one."""
    row = datum_rows.DatumRow(
        id=bytes(range(32)),
        hash=bytes(range(32, 64)),
        items=(datum_rows.RowItem("images", "/ä.png", b"\x01" * 32, 5),),
        state=DatumState.SUCCESS,
        job_id="00112233445566778899aabbccddeeff",
        outputs=("/out.png",),
        process_ns=7,
    )

    value = datum_rows.encode(row)

    assert value == (
        b"\x01\x02"
        + bytes(range(32, 64))
        + bytes.fromhex("00112233445566778899aabbccddeeff")
        + '{"i":[["images","/ä.png","'.encode()
        + b"01" * 32
        + b'",5]],"o":["/out.png"],"s":[0,7,0,0,0]}'
    )


@given(ROWS)
def test_a_row_comes_back_as_it_was(row: datum_rows.DatumRow) -> None:
    assert datum_rows.decode(row.id, datum_rows.encode(row)) == row


@given(ROWS, DIGESTS)
def test_only_a_success_with_the_same_hash_is_the_same_work(row: datum_rows.DatumRow, other: bytes) -> None:
    value = datum_rows.encode(row)

    assert datum_rows.same_work(value, row.hash) == (row.state is DatumState.SUCCESS)
    assert datum_rows.same_work(value, other) == (row.state is DatumState.SUCCESS and other == row.hash)


def test_a_row_of_a_later_version_is_refused_by_name() -> None:
    value = b"\x09" + datum_rows.encode(datum_rows.DatumRow(bytes(32), bytes(32), ()))[1:]

    with pytest.raises(DataLoss, match="is stored in row version 9; this Trunkline reads version 1"):
        datum_rows.decode(bytes(32), value)
