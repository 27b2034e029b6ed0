"""Quantities and durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.durations import format_duration, parse_duration
from trunkline.model.quantities import parse_bytes, parse_cpus


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4Gi", 4 * 2**30),
        ("512M", 512_000_000),
        ("64k", 64_000),
        ("1Ki", 1024),
        ("1.5Ki", 1536),
        (".5Ki", 512),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("7Ei", 7 * 2**60),
        ("+2", 2),
        ("100m", 1),
        ("1.", 1),
        ("15e-1", 2),
    ],
)
def test_bytes_are_read_as_kubernetes_reads_them(text: str, size: int) -> None:
    assert parse_bytes(text, "resource_requests.memory") == size


def test_processors_may_be_fractions() -> None:
    assert [parse_cpus(text, "cpu") for text in ("500m", "2", "0.25", "1e1")] == [0.5, 2.0, 0.25, 10.0]


@pytest.mark.parametrize(
    "text", ["4Gigs", "", "Gi", "4 Gi", "4gi", "1e999999999", "4G\n", "٤Gi", "0x10", "1" * 31]
)
def test_a_bad_quantity_names_its_field_and_shows_good_ones(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_bytes(text, "resource_requests.memory")

    assert caught.value.message == (
        f'resource_requests.memory "{text}" is not a quantity; write for example 4Gi, 512Mi or 2G'
    )


def test_a_negative_or_endless_quantity_is_refused() -> None:
    with pytest.raises(InvalidArgument, match='memory "-4Gi" is negative'):
        parse_bytes("-4Gi", "memory")
    with pytest.raises(InvalidArgument, match='memory "8Ei" is more than'):
        parse_bytes("8Ei", "memory")


@given(st.integers(0, 2**62))
def test_a_plain_number_is_itself(size: int) -> None:
    assert parse_bytes(str(size), "memory") == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("0", 0.0),
        ("-2m", -120.0),
        ("+1s", 1.0),
        (".5s", 0.5),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("0.000000001s", 1e-9),
        ("2h3m4s5ms", 7384.005),
    ],
)
def test_durations_of_go_and_of_protobuf_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text, "datum_timeout") == seconds


@pytest.mark.parametrize("text", ["", "5", "1 h", "1d", "s", "1h-5m", "90S", "1s\n"])
def test_a_bad_duration_names_its_field_and_shows_good_ones(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_duration(text, "datum_timeout")

    assert caught.value.message == (
        f'datum_timeout "{text}" is not a duration; write for example "90s", "1h30m" or "250ms"'
    )


def test_a_duration_longer_than_protobuf_allows_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="longer than 315,576,000,000 seconds"):
        parse_duration("999999999h", "job_timeout")


@given(st.integers(-(10**15), 10**15))
def test_a_formatted_duration_reads_back_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9

    assert parse_duration(format_duration(seconds), "x") == seconds


def test_durations_are_written_as_protobuf_writes_them() -> None:
    assert [format_duration(s) for s in (90.0, 0.25, 0.0, -1.5)] == ["90s", "0.25s", "0s", "-1.5s"]
