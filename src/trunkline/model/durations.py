"""Parses and formats the durations of specs: Go's ``1h30m`` and protobuf's JSON form ``"90s"`` in one grammar."""

from __future__ import annotations

import re
from fractions import Fraction

from trunkline.errors import InvalidArgument

#: Nanoseconds.
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,  # the Greek letter, beside the micro sign
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = r"(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})"
_PARTS = re.compile(rf"({_PART})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"([+-]?)(0|(?:{_PART}(?:ns|us|µs|μs|ms|s|m|h)){{1,8}})", re.ASCII)
#: Seconds; the limit of google.protobuf.Duration, about 10,000 years.
_LONGEST = 315_576_000_000


def parse_duration(text: str, where: str) -> float:
    """Return a duration in seconds, to the nanosecond. It may be negative.

    Args:
        text: a duration such as ``1h30m``, ``90s`` or ``250ms``.
        where: the field it comes from, for the message.

    Raises:
        InvalidArgument: ``text`` is not a duration, or is longer than protobuf allows.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f'{where} "{text}" is not a duration; write for example "90s", "1h30m" or "250ms"'
        )
    sign, parts = match.groups()
    nanoseconds = sum(
        (Fraction(number) * _UNITS[unit] for number, unit in _PARTS.findall(parts)), Fraction(0)
    )
    seconds = Fraction(round(nanoseconds), 10**9)
    if seconds > _LONGEST:
        raise InvalidArgument(f'{where} "{text}" is longer than {_LONGEST:,} seconds; write a shorter one')
    return -float(seconds) if sign == "-" else float(seconds)


def format_duration(seconds: float) -> str:
    """Return protobuf's JSON form: ``90s``, ``0.25s``; to the nanosecond."""
    integer, nanoseconds = divmod(round(abs(seconds) * 10**9), 10**9)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{'-' if seconds < 0 and (integer or nanoseconds) else ''}{integer}{fraction}s"
