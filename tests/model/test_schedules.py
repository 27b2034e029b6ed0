"""Schedules of cron inputs and triggers."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.schedules import moment_of, parse_moment, parse_schedule, text_of


def ticks(schedule: str, start: str, number: int) -> list[str]:
    """Return the first ticks after a time."""
    parsed, at = parse_schedule(schedule, "spec"), parse_moment(start, "start")
    texts: list[str] = []
    while len(texts) < number:
        tick = parsed.after(at)
        if tick is None:
            break
        at = tick
        texts.append(text_of(at))
    return texts


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("@every 90s", ["2024-02-28T23:58:59Z", "2024-02-29T00:00:29Z"]),
        ("@every 100ms", ["2024-02-28T23:57:30Z", "2024-02-28T23:57:31Z"]),
        ("@hourly", ["2024-02-29T00:00:00Z", "2024-02-29T01:00:00Z"]),
        ("@daily", ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"]),
        ("@midnight", ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"]),
        ("@weekly", ["2024-03-03T00:00:00Z", "2024-03-10T00:00:00Z"]),
        ("@monthly", ["2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"]),
        ("@yearly", ["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]),
        ("0 6 29 2 *", ["2024-02-29T06:00:00Z", "2028-02-29T06:00:00Z"]),
        ("*/20 0 * * ?", ["2024-02-29T00:00:00Z", "2024-02-29T00:20:00Z"]),
        ("0 0 1 * MON", ["2024-03-01T00:00:00Z", "2024-03-04T00:00:00Z"]),  # either day
        ("CRON_TZ=Europe/Berlin 0 6 * * *", ["2024-02-29T05:00:00Z", "2024-03-01T05:00:00Z"]),
        ("@never", []),
        ("0 0 31 2 *", []),
        ("0 0 30 FEB ?", []),
    ],
)
def test_a_schedule_ticks_at_its_times(schedule: str, expected: list[str]) -> None:
    assert ticks(schedule, "2024-02-28T23:57:29.5Z", 2) == expected


def test_a_daily_time_stays_when_the_clocks_change() -> None:
    """In Berlin, on 31 March 2024, the clocks went forward."""
    assert ticks("TZ=Europe/Berlin 0 6 * * *", "2024-03-30T00:00:00Z", 2) == [
        "2024-03-30T05:00:00Z",
        "2024-03-31T04:00:00Z",
    ]


@pytest.mark.parametrize(
    "schedule",
    ["", "x", "* * * *", "* * * * * *", "60 * * * *", "0 0 32 2 *", "0 0 1 13 *", "@sometimes", "@every", "@every -1s",
     "@every x", "TZ=No/Where * * * * *", "TZ=../zone * * * * *"],
)  # fmt: skip
def test_what_is_not_a_schedule_is_refused_with_its_field(schedule: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^input\.cron\.spec"):
        parse_schedule(schedule, "input.cron.spec")


@pytest.mark.parametrize("text", ["", "2024-02-30T00:00:00Z", "2024-02-03", "2024-02-03T00:00:00", "now"])
def test_what_is_not_a_time_is_none(text: str) -> None:
    assert moment_of(text) is None


def test_a_time_with_an_offset_is_one_in_utc() -> None:
    assert text_of(parse_moment("2024-05-17T08:00:00.5+02:00", "start")) == "2024-05-17T06:00:00Z"
