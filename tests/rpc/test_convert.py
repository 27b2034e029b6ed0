"""Values on their way to and from messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from trunkline.rpc import convert


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_time_comes_back_as_the_same_number(microseconds: int) -> None:
    """Clients send times that they got, as bounds of lists; what was made at that time is not before it."""
    message = Timestamp()
    convert.set_time(message, microseconds / 1e6)

    assert convert.seconds_of_time(message, "started_time") == microseconds / 1e6
