"""How fast a job goes, how long it still takes, and which of its datums are late. Pure.

The seconds of the latest datums are the sample. Work that is left takes its mean, shared by the workers, and no less
than a long datum. Sums of many datums spread with the square root of their number (the central limit theorem); the
long datum that may come last is added to what suffices nine times of ten.
"""

from __future__ import annotations

import math
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A datum is late when it runs this many times the median, and at least so many seconds.
LATE_TIMES, LEAST_LATE = 3.0, 1.0
#: Standard deviations above the mean below which nine of ten values of a normal distribution are.
_NINE_OF_TEN = 1.2816


class Outlook(Struct, frozen=True):
    """What a sample of datum times says of a job."""

    #: Seconds of a datum: half of them take at most this long, nine of ten, 99 of 100. 0 without a sample.
    median: float
    most: float
    nearly_all: float
    #: Datums per second of the workers that are at work; 0 without any.
    rate: float
    #: Seconds until the last datum is done, which are as likely too many as too few; and those that suffice nine times
    #: of ten. None when nothing is known.
    seconds_left: float | None
    seconds_at_most: float | None


def outlook(sample: Sequence[float], remaining: int, workers: int) -> Outlook:
    """Return what is to be expected of a job.

    Args:
        sample: seconds of datums that are done, the latest ones of the job or of one before.
        remaining: datums without a result.
        workers: workers that run them.

    >>> outlook([2.0] * 10, 100, 4).seconds_left
    50.0
    """
    if not remaining:
        ordered = sorted(sample)
        return Outlook(quantile(ordered, 0.5), quantile(ordered, 0.9), quantile(ordered, 0.99), 0.0, 0.0, 0.0)
    if not sample:
        return Outlook(0.0, 0.0, 0.0, 0.0, None, None)
    ordered = sorted(sample)
    mean, spread = fmean(ordered), pstdev(ordered)
    median, most, nearly_all = (quantile(ordered, part) for part in (0.5, 0.9, 0.99))
    busy = min(workers, remaining)
    if not busy:
        return Outlook(median, most, nearly_all, 0.0, None, None)
    rate = busy / mean if mean else 0.0
    # It takes as long as its longest datum at least: about the largest of so many values of the sample.
    longest = quantile(ordered, remaining / (remaining + 1))
    seconds_left = max(remaining * mean / busy, longest)
    sure = max((remaining * mean + _NINE_OF_TEN * spread * math.sqrt(remaining)) / busy, seconds_left) + max(
        0.0, nearly_all - mean
    )
    return Outlook(median, most, nearly_all, rate, seconds_left, sure)


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which a part of a sorted sample is; 0 of an empty one.

    >>> quantile([1.0, 2.0, 3.0], 0.5)
    2.0
    """
    if not ordered:
        return 0.0
    at = part * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def is_late(seconds: float, median: float) -> bool:
    """Return whether a datum runs much longer than others.

    Args:
        seconds: how long it has run.
        median: of the datums of its job; 0 when nothing is known.
    """
    return median > 0 and seconds >= max(LEAST_LATE, LATE_TIMES * median)
