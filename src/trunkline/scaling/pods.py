"""A pod as the rules of machines see it: what it requests, and what keeps it from running on a machine.

Amounts are numbers; volumes and tolerations have only what the rules need; nothing is a Kubernetes object.
``aws.pods`` makes a pod from a manifest; the rules in ``fargate``, ``nodes`` and ``placement`` take nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIB = 1 << 20  # bytes
GIB = 1 << 30  # bytes


class Amounts(Struct, frozen=True, kw_only=True):
    """What a container requests, or may use at most. None is unset, which is not the same as 0."""

    #: Thousandths of a processor, as Kubernetes rounds them.
    cpu_millis: int | None = None
    #: Bytes.
    memory: int | None = None
    #: Bytes of the machine's disk.
    storage: int | None = None


class Container(Struct, frozen=True, kw_only=True):
    """A container of a pod."""

    name: str
    requests: Amounts = Amounts()
    limits: Amounts = Amounts()
    privileged: bool = False
    host_ports: tuple[int, ...] = ()
    #: Other resources that it requests, such as ``nvidia.com/gpu``.
    devices: tuple[str, ...] = ()
    #: An init container that keeps running (``restartPolicy: Always``), which Kubernetes calls a native sidecar.
    stays: bool = False


class Volume(Struct, frozen=True, kw_only=True):
    """A volume of a pod."""

    name: str
    #: The key that Kubernetes names the kind by: emptyDir, hostPath, persistentVolumeClaim…
    kind: str
    #: An emptyDir held in memory; what is written to it counts as the containers' memory.
    in_memory: bool = False


class Toleration(Struct, frozen=True, kw_only=True):
    """A taint that a pod tolerates; an empty key with operator Exists is every taint."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Pod(Struct, frozen=True, kw_only=True):
    """A pod, before it has a machine."""

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    #: The kinds of placement rules that it has: nodeAffinity, podAffinity, podAntiAffinity, topologySpreadConstraints.
    affinities: tuple[str, ...] = ()
    host_network: bool = False
    #: Kind of the object that made it, such as DaemonSet or Job; empty for one that was made by name.
    owner: str = ""
    #: A Job's ``ttlSecondsAfterFinished``; None when unset.
    seconds_kept_after_end: int | None = None

    @property
    def cpu_millis(self) -> int:
        """Thousandths of a processor that a machine must have free, as the scheduler counts them."""
        return self._needed(lambda amounts: amounts.cpu_millis or 0)

    @property
    def memory(self) -> int:
        """Bytes of memory that a machine must have free."""
        return self._needed(lambda amounts: amounts.memory or 0)

    @property
    def storage(self) -> int:
        """Bytes of its machine's disk that it requests."""
        return self._needed(lambda amounts: amounts.storage or 0)

    def _needed(self, of: Callable[[Amounts], int]) -> int:
        """Return the larger of what runs together and what runs first.

        An init container that keeps running runs beside every later one and beside the containers (KEP-753): it
        counts in both. Fargate's page does not mention such containers; this is the cautious reading.
        """
        staying, first = 0, 0
        for container in self.init_containers:
            amount = of(container.requests)
            first = max(first, staying + amount)
            staying += amount if container.stays else 0
        return max(first, staying + sum(of(container.requests) for container in self.containers))
