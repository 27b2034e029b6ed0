"""Requests of resources for a pipeline's workers, from what its datums have used. Pure.

A request reserves what is usually used, so it is a high quantile with some room; a limit ends what goes wrong, so it
lies above everything that was seen.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Part of the datums whose use a request covers.
COVERED = 0.95
#: Room above the quantile for a request of memory, and above the largest for a limit.
ROOM, LIMIT_ROOM = 1.2, 1.5
#: Bytes and CPUs that proposals are multiples of.
MEMORY_STEP, CPU_STEP = 32 << 20, 0.1


class Usage(NamedTuple):
    """What a datum has used."""

    #: Seconds of processor time, and seconds that its command ran.
    cpu_seconds: float
    seconds: float
    #: Bytes.
    peak_memory: int
    download_bytes: int
    upload_bytes: int

    @property
    def cpus(self) -> float:
        """Return how many CPUs it has used on average."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0


class Quantiles(NamedTuple):
    """A quantity over all datums."""

    median: float
    #: ``COVERED``.
    high: float
    largest: float


class Requests(NamedTuple):
    """What workers should request."""

    cpu: float
    #: Bytes.
    memory: int
    memory_limit: int


def quantiles(values: Sequence[float]) -> Quantiles:
    """Return the quantiles of values, each of which is one of them: the smallest with enough values up to it."""
    ordered = sorted(values)

    def at(part: float) -> float:
        return ordered[max(0, ceil(part * len(ordered)) - 1)]

    return Quantiles(at(0.5), at(COVERED), ordered[-1])


def propose(usages: Sequence[Usage]) -> Requests:
    """Return what workers should request.

    Args:
        usages: of some datums, at least one.
    """
    memory = quantiles([usage.peak_memory for usage in usages])
    cpus = quantiles([usage.cpus for usage in usages])
    return Requests(
        cpu=round(max(1, ceil(cpus.high / CPU_STEP - 1e-9)) * CPU_STEP, 1),
        memory=_rounded(memory.high * ROOM),
        memory_limit=_rounded(memory.largest * LIMIT_ROOM),
    )


def _rounded(size_bytes: float) -> int:
    return max(1, ceil(size_bytes / MEMORY_STEP)) * MEMORY_STEP
