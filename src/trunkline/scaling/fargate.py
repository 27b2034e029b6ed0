"""Which machine Fargate gives a pod: its size, its storage, and the slightly smaller request that costs much less.

Fargate adds 256 MB to what a pod requests and rounds up to the nearest of a few legal pairs of processors and
memory. Source: "Understand Fargate Pod configuration details", Amazon EKS user guide, read in December 2024;
the page does not say whether its GB are 10^9 or 2^30 bytes, they are read as GiB here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.scaling.pods import GIB, MIB

if TYPE_CHECKING:
    from trunkline.scaling.pods import Pod
    from trunkline.scaling.prices import Prices

#: Bytes that Fargate adds for the kubelet, kube-proxy and containerd.
OVERHEAD = 256 * MIB

#: The legal pairs, December 2024: thousandths of a processor, and the GB that go with them.
GRID: tuple[tuple[int, tuple[float, ...]], ...] = (
    (250, (0.5, 1, 2)),
    (500, (1, 2, 3, 4)),
    (1000, tuple(range(2, 9))),
    (2000, tuple(range(4, 17))),
    (4000, tuple(range(8, 31))),
    (8000, tuple(range(16, 61, 4))),
    (16000, tuple(range(32, 121, 8))),
)
LARGEST_CPU_MILLIS = GRID[-1][0]
LARGEST_MEMORY = int(GRID[-1][1][-1] * GIB) - OVERHEAD  # bytes that a pod can request

#: Storage of a pod, in GiB: what it has without requesting any, and the most it can have. Requesting n provisions
#: n * 1.1 + 5, the page's example being 100 and 115.
STORAGE, MOST_STORAGE = 20.0, 175.0
_STORAGE_FACTOR, _STORAGE_ADDED = 1.1, 5.0
MOST_REQUESTED_STORAGE = (MOST_STORAGE - _STORAGE_ADDED) / _STORAGE_FACTOR  # GiB

#: A smaller size is mentioned when it needs at most this much less of a request and saves this much money.
_NEAR_MEMORY = 512 * MIB  # bytes; the overhead alone is half of it
_NEAR_SHARE = 0.1  # of the request: a tenth is within the accuracy of most requests
_WORTH_SAVING = 0.15  # of the price; steps within a row are below 15 % from 1 vCPU on, cliffs are above 35 %
#: List prices by which sizes are compared when no region's prices are given; the ratio of the two rates is
#: the same in every region of the table.
_VCPU_RATE, _GB_RATE = 0.04048, 0.004445


class Size(Struct, frozen=True, order=True):
    """A legal pair."""

    cpu_millis: int
    gb: float

    @property
    def vcpu(self) -> float:
        """Processors."""
        return self.cpu_millis / 1000

    def __str__(self) -> str:
        """As the annotation CapacityProvisioned of a running pod has it: ``0.25vCPU 0.5GB``."""
        return f"{self.vcpu:g}vCPU {self.gb:g}GB"


class Cliff(Struct, frozen=True, kw_only=True):
    """A size that a slightly smaller request would get, for much less money."""

    size: Size
    #: How much less to request; one of the two is 0.
    less_cpu_millis: int
    less_memory: int  # bytes
    #: Share of the price that is saved, 0 to 1.
    saving: float


class Fit(Struct, frozen=True, kw_only=True):
    """The machine that a pod gets."""

    size: Size
    #: What the pod needs of it, the overhead included.
    cpu_millis: int
    memory: int  # bytes
    #: GiB of storage, provisioned.
    storage: float
    cliff: Cliff | None

    @property
    def unused_cpu_millis(self) -> int:
        """Paid for and not requested."""
        return self.size.cpu_millis - self.cpu_millis

    @property
    def unused_memory(self) -> int:
        """Bytes that are paid for and not requested."""
        return int(self.size.gb * GIB) - self.memory


def smallest(cpu_millis: int, memory: int) -> Size | None:
    """Return the size that Fargate gives, None when there is none large enough.

    >>> str(smallest(1000, 8 * GIB + OVERHEAD))
    '2vCPU 9GB'
    """
    for row, choices in GRID:
        if row >= cpu_millis:
            for gb in choices:
                if gb * GIB >= memory:
                    return Size(row, gb)
    return None


def provisioned_storage(requested: int) -> float:
    """Return the GiB of storage that a pod gets which requests so many bytes."""
    if not requested:
        return STORAGE
    return max(STORAGE, round(requested / GIB * _STORAGE_FACTOR + _STORAGE_ADDED, 2))


def fit(pod: Pod, prices: Prices | None = None) -> Fit | None:
    """Return the machine that a pod gets, None when Fargate has none for it.

    Args:
        pod: what it requests is what counts; limits do not.
        prices: those to judge a cliff by; the ratios of the list prices if None.
    """
    cpu, memory = pod.cpu_millis, pod.memory + OVERHEAD
    size = smallest(cpu, memory)
    storage = provisioned_storage(pod.storage)
    if size is None or storage > MOST_STORAGE:
        return None
    return Fit(
        size=size, cpu_millis=cpu, memory=memory, storage=storage, cliff=_cliff(size, cpu, memory, prices)
    )


def _cliff(size: Size, cpu: int, memory: int, prices: Prices | None) -> Cliff | None:
    """Return the nearest size that saves enough, requesting less of one thing only."""

    def price(size: Size) -> float:
        if prices is None:
            return size.vcpu * _VCPU_RATE + size.gb * _GB_RATE
        return prices.fargate_hour(size.vcpu, size.gb)

    requested = memory - OVERHEAD
    candidates = []
    for row, choices in GRID:
        for gb in choices:
            less_cpu, less_memory = max(0, cpu - row), max(0, memory - int(gb * GIB))
            near_cpu = less_cpu <= _NEAR_SHARE * cpu
            near_memory = less_memory <= max(_NEAR_MEMORY, _NEAR_SHARE * requested)
            saving = 1 - price(Size(row, gb)) / price(size)
            # What remains must still be a request, not nothing.
            if (
                bool(less_cpu) != bool(less_memory)
                and near_cpu
                and near_memory
                and less_memory < requested
                and saving >= _WORTH_SAVING
            ):
                share = less_memory / requested if less_memory else less_cpu / cpu
                cliff = Cliff(
                    size=Size(row, gb), less_cpu_millis=less_cpu, less_memory=less_memory, saving=saving
                )
                candidates.append((share, -saving, cliff))
    # The one that needs the smallest change; a second plan shows the next one.
    return min(candidates, key=lambda each: each[:2])[2] if candidates else None


# Launching many ---------------------------------------------------------------------------------------------


class Quota(Struct, frozen=True, kw_only=True):
    """How many pods an account may launch in one region, and how fast. Accounts differ; AWS raises them on request.

    The rates are those of an account that uses Fargate by EKS alone ("Fargate service quotas", read in
    December 2024: 20 pods at once, then 20 per second; with ECS beside it the burst is 100).
    """

    burst: int = 20
    per_second: float = 20.0
    #: Fargate on-demand vCPUs that may run at once; None when it is not known. New accounts have few.
    vcpus: float | None = None
    #: Free addresses in the profile's subnets, each pod taking one; None when it is not known.
    addresses: int | None = None


def ramp_seconds(pods: int, quota: Quota) -> float:
    """Return the seconds until the last of so many pods requested at once may start launching.

    >>> ramp_seconds(20, Quota()), ramp_seconds(120, Quota())
    (0.0, 5.0)
    """
    return max(0, pods - quota.burst) / quota.per_second


def at_once(size: Size, quota: Quota) -> int | None:
    """Return how many pods of a size may run at once; None when nothing is known to limit them."""
    bounds = []
    if quota.vcpus is not None:
        bounds.append(int(quota.vcpus * 1000) // size.cpu_millis)
    if quota.addresses is not None:
        bounds.append(quota.addresses)
    return min(bounds, default=None)
