"""Which EC2 machines fit workers with little waste.

A node has less for pods than its type promises: the kubelet reserves some for itself and the system, and every
node runs the cluster's DaemonSets. What is left is divided by what a worker requests. Sources: the memory and
processor reserve is that of the EKS node images (awslabs/amazon-eks-ami, ``get_memory_mebibytes_to_reserve``
and ``get_cpu_millicores_to_reserve``); the hypervisor's share of memory is Karpenter's default
``vmMemoryOverheadPercent``; addresses per interface are those of EC2's page "Elastic network interfaces".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline.scaling.pods import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.scaling.pods import Pod
    from trunkline.scaling.prices import Prices

#: Share of a type's memory that the machine does not see.
_HYPERVISOR_SHARE = 0.075
#: Bytes below which the kubelet evicts pods (``memory.available``).
_EVICTION = 100 * MIB
#: Share of the first, second, third and fourth, and of every further processor that is reserved.
_CPU_RESERVE = (0.06, 0.01, 0.005, 0.005)
_CPU_RESERVE_BEYOND = 0.0025
#: The largest reduction of a request that is suggested, as a share.
_NEAR_SHARE = 0.1


class InstanceType(Struct, frozen=True, kw_only=True):
    """A size of machine."""

    name: str
    vcpu: int
    memory: int  # bytes, as the type promises
    #: Pods that the VPC network plugin has addresses for.
    pods: int

    @property
    def family(self) -> str:
        """``m5`` of ``m5.xlarge``."""
        return self.name.partition(".")[0]


class DaemonSets(Struct, frozen=True, kw_only=True):
    """What runs on every node.

    The defaults are those of a new EKS cluster: aws-node (50 m) and kube-proxy (100 m) request no memory.
    """

    cpu_millis: int = 150
    memory: int = 0  # bytes
    pods: int = 2


class Tiling(Struct, frozen=True, kw_only=True):
    """How many workers of a pipeline a machine holds."""

    type: InstanceType
    #: Workers that fit; 0 when not even one does.
    workers: int
    #: What the machine has for workers.
    cpu_millis: int
    memory: int  # bytes
    #: What workers leave unused.
    unused_cpu_millis: int
    unused_memory: int
    #: Which runs out first: cpu, memory or pods.
    bound: str
    #: A slightly smaller request with which one more worker fits; None when there is none.
    smaller_cpu_millis: int | None
    smaller_memory: int | None
    #: US dollars per hour on demand, None when the table has no price for it.
    hour: float | None

    def machines(self, workers: int) -> int:
        """Return how many machines so many workers need."""
        return math.ceil(workers / self.workers)

    def hour_of(self, workers: int) -> float | None:
        """Return what an hour of so many workers costs, the empty places on the last machine included."""
        return None if self.hour is None else self.machines(workers) * self.hour

    @property
    def waste(self) -> float:
        """The share of the machine, of the scarcer of processors and memory, that workers leave: 0 is none."""
        if not self.workers:
            return 1.0
        return min(self.unused_cpu_millis / self.cpu_millis, self.unused_memory / self.memory)


def _types() -> tuple[InstanceType, ...]:
    """Return common sizes: gibibytes per vCPU by family, interfaces and addresses by vCPU; as of 2026-03."""
    sizes = {
        "large": 2,
        "xlarge": 4,
        "2xlarge": 8,
        "4xlarge": 16,
        "8xlarge": 32,
        "12xlarge": 48,
        "16xlarge": 64,
    }
    addresses = {2: (3, 10), 4: (4, 15), 8: (4, 15), 16: (8, 30), 32: (8, 30), 48: (8, 30), 64: (15, 50)}
    families = {"m5": 4, "m6i": 4, "m6a": 4, "m7i": 4, "c5": 2, "c6i": 2, "r6i": 8}
    types = []
    for family, ratio in families.items():
        for size, vcpu in sizes.items():
            if family == "c5" and size in ("8xlarge", "16xlarge"):
                continue  # these do not exist
            interfaces, each = addresses[vcpu]
            # One address of each interface is the node's own; two pods use the host's network (aws-node and
            # kube-proxy) and need none.
            pods = interfaces * (each - 1) + 2
            types.append(
                InstanceType(name=f"{family}.{size}", vcpu=vcpu, memory=vcpu * ratio * GIB, pods=pods)
            )
    return tuple(types)


TYPES = _types()


def allocatable(type: InstanceType) -> tuple[int, int]:
    """Return what a node of a type has for pods, DaemonSets included.

    Returns:
        Thousandths of a processor, and bytes.

    >>> [allocatable(each) for each in TYPES if each.name == "m5.xlarge"][0][0]
    3920
    """
    shares = [*_CPU_RESERVE[: type.vcpu], *[_CPU_RESERVE_BEYOND] * (type.vcpu - len(_CPU_RESERVE))]
    seen = int(type.memory * (1 - _HYPERVISOR_SHARE))
    reserve = (11 * type.pods + 255) * MIB
    return type.vcpu * 1000 - round(sum(shares) * 1000), seen - reserve - _EVICTION


def tile(
    pod: Pod, type: InstanceType, prices: Prices | None = None, daemon_sets: DaemonSets | None = None
) -> Tiling:
    """Return how many pods like ``pod`` a machine holds.

    Args:
        pod: the worker.
        type: the machine.
        prices: those of the region; without them the tiling has no price.
        daemon_sets: what runs on every node; the defaults of a new cluster if None.
    """
    daemon_sets = daemon_sets or DaemonSets()
    cpu, memory = allocatable(type)
    cpu, memory = cpu - daemon_sets.cpu_millis, memory - daemon_sets.memory
    room = {
        "cpu": cpu // pod.cpu_millis if pod.cpu_millis else type.pods,
        "memory": memory // pod.memory if pod.memory else type.pods,
        "pods": type.pods - daemon_sets.pods,
    }
    bound = min(room, key=lambda resource: room[resource])
    workers = max(0, room[bound])
    tiling = Tiling(
        type=type,
        workers=workers,
        cpu_millis=cpu,
        memory=memory,
        unused_cpu_millis=cpu - workers * pod.cpu_millis,
        unused_memory=memory - workers * pod.memory,
        bound=bound,
        smaller_cpu_millis=None,
        smaller_memory=None,
        hour=prices.machine_hour(type.family, type.vcpu) if prices else None,
    )
    one_more = workers + 1
    if one_more > room["pods"]:
        return tiling
    # Only the resource that prevents one more worker is reduced; that may be both.
    smaller_cpu = cpu // one_more if room["cpu"] < one_more else pod.cpu_millis
    smaller_memory = memory // one_more // MIB * MIB if room["memory"] < one_more else pod.memory
    if smaller_cpu < (1 - _NEAR_SHARE) * pod.cpu_millis or smaller_memory < (1 - _NEAR_SHARE) * pod.memory:
        return tiling
    return replace(
        tiling,
        smaller_cpu_millis=smaller_cpu if smaller_cpu < pod.cpu_millis else None,
        smaller_memory=smaller_memory if smaller_memory < pod.memory else None,
    )


def tilings(
    pod: Pod,
    prices: Prices | None = None,
    daemon_sets: DaemonSets | None = None,
    types: Iterable[InstanceType] = TYPES,
    workers: int = 1,
) -> list[Tiling]:
    """Return the machines that hold at least one pod, the cheapest for so many workers first.

    A machine that many workers fill may be expensive for a few. Without prices, those with the least waste come
    first.

    Args:
        pod: the worker.
        prices: those of the region.
        daemon_sets: what runs on every node.
        types: the machines to choose from.
        workers: how many are needed.
    """
    candidates = [tile(pod, type, prices, daemon_sets) for type in types]
    fitting = [
        tiling for tiling in candidates if tiling.workers and (prices is None or tiling.hour is not None)
    ]

    def key(tiling: Tiling) -> tuple[float, float, int, str]:
        # Rounded, so that families of one price are ordered by what they leave unused.
        price = round(tiling.hour_of(workers) or 0.0, 4)
        return (price, tiling.waste, tiling.type.vcpu, tiling.type.name)

    return sorted(fitting, key=key)
