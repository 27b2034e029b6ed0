"""Schedules: when a cron input or a trigger ticks.

Five fields as in Debian's cron (by cronsim; ``?`` is ``*``), ``@every 90s``, ``@yearly`` (``@annually``), ``@monthly``,
``@weekly``, ``@daily`` (``@midnight``), ``@hourly``, and ``@never``. Times are UTC unless the schedule begins with
``CRON_TZ=Europe/Berlin``. Pure: a schedule computes the tick after a moment that is passed in.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.model.durations import parse_duration

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_FIELDS = 5
#: A moment for which a schedule is tried: 2001-01-01.
_SAMPLE = 978_307_200.0
#: Schedules in the cache.
_PARSED = 1024


class Schedule(Protocol):
    """When something ticks."""

    def after(self, moment: float) -> float | None:
        """Return the first tick after a moment, in seconds since the epoch; None when there is none."""


class Every(Struct, frozen=True):
    """Ticks with a fixed distance."""

    #: At least 1.
    seconds: int

    def after(self, moment: float) -> float | None:
        """Return the first tick after a moment, which counts as a tick."""
        return float(moment // 1 + self.seconds)


class Never(Struct, frozen=True):
    """No ticks."""

    def after(self, moment: float) -> float | None:  # noqa: ARG002
        """Return None."""
        return None


class Calendar(Struct, frozen=True):
    """Ticks at times of the calendar."""

    #: Five fields.
    fields: str
    zone: tzinfo

    def after(self, moment: float) -> float | None:
        """Return the first tick after a moment; None when there is none within fifty years."""
        try:
            ticks = CronSim(self.fields, datetime.fromtimestamp(moment, self.zone))
            return next(ticks).timestamp()
        except (
            CronSimError,
            StopIteration,
            OverflowError,
            ValueError,
        ):  # the calendar ends with the year 9999
            return None


@lru_cache(maxsize=_PARSED)
def parse_schedule(text: str, where: str) -> Schedule:
    """Return a schedule.

    Args:
        text: for example ``0 6 * * 1-5`` or ``@every 90s``.
        where: the field that it comes from, for messages.

    Raises:
        InvalidArgument: it is not valid.
    """
    zone: tzinfo = UTC
    expression = text.strip()
    zoned = _ZONE.fullmatch(expression)
    if zoned is not None:
        zone, expression = _zone(zoned[1], text, where), zoned[2]
    if expression == "@never":
        return Never()
    if expression.startswith("@every"):
        seconds = parse_duration(expression.removeprefix("@every").strip(), where)
        if seconds <= 0:
            raise InvalidArgument(f'{where} "{text}" does not move forward; write a time such as "@every 1m"')
        return Every(max(1, int(seconds)))
    if expression.startswith("@"):
        if expression not in _NAMED:
            names = ", ".join(["@every 90s", *_NAMED, "@never"])
            raise InvalidArgument(
                f'{where} "{text[:100]}" is not a schedule; write five fields or one of {names}'
            )
        expression = _NAMED[expression]
    fields = expression.replace("?", "*").split()
    if len(fields) != _FIELDS:
        raise InvalidArgument(
            f'{where} "{text[:100]}" has {len(fields)} field{"s" * (len(fields) != 1)}, but a schedule has 5: minute,'
            ' hour, day of the month, month, day of the week; write for example "0 6 * * 1-5" or "@every 90s"'
        )
    minute, hour, day, month, weekday = fields
    try:
        # The day alone: some write a day that its month does not have, such as 31 February, for no ticks.
        for valid in ((minute, hour, day, "*", weekday), ("0", "0", "1", month, "*")):
            CronSim(" ".join(valid), datetime.fromtimestamp(_SAMPLE, zone))
    except (CronSimError, AssertionError, ValueError) as error:
        raise InvalidArgument(
            f'{where} "{text[:100]}" is not a schedule ({error}); write for example "0 6 * * 1-5" or "@every 90s"'
        ) from error
    schedule = Calendar(" ".join(fields), zone)
    return Never() if schedule.after(_SAMPLE) is None else schedule


def _zone(name: str, text: str, where: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # no such zone, a path, a folder
        raise InvalidArgument(
            f'{where} "{text[:100]}" names an unknown time zone; write one such as CRON_TZ=Europe/Berlin'
        ) from error


def parse_moment(text: str, where: str) -> float:
    """Return a time in seconds since the epoch.

    Args:
        text: a time in the form of RFC 3339.
        where: the field that it comes from, for the message.

    Raises:
        InvalidArgument: it is not such a time.
    """
    moment = moment_of(text)
    if moment is None:
        raise InvalidArgument(
            f'{where} "{text[:60]}" is not a time; write one as in RFC 3339, for example 2024-05-17T08:00:00Z'
        )
    return moment


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def moment_of(text: str) -> float | None:
    """Return a time in the form of RFC 3339 in seconds since the epoch; None for another text."""
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def text_of(moment: float) -> str:
    """Return a time in the form of RFC 3339, UTC, in whole seconds."""
    return datetime.fromtimestamp(moment // 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
