"""What Fargate refuses or ignores in a pod, or makes expensive: one rule, one sentence with its reason.

Sources: "Fargate considerations" and "Understand Fargate Pod configuration details" in the Amazon EKS user
guide, read in December 2024; what Fargate's scheduler says of a pod it refuses ("Pod not supported on
Fargate: …") in public reports. A rule that is inferred and not documented says "may".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from trunkline.scaling import fargate
from trunkline.scaling.pods import GIB, MIB
from trunkline.scaling.profiles import COMPUTE_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.scaling.pods import Container, Pod

#: refused: the pod never runs there. warning: it runs, and something will surprise. advice: money or speed.
Weight = Literal["refused", "warning", "advice"]

_VOLUMES = frozenset({"emptyDir", "configMap", "secret", "projected", "downwardAPI", "persistentVolumeClaim"})
#: Labels that a Fargate node has, and the values that can be selected; None is any.
_NODE_LABELS: dict[str, frozenset[str] | None] = {
    COMPUTE_TYPE: frozenset({"fargate"}),
    "kubernetes.io/arch": frozenset({"amd64"}),
    "kubernetes.io/os": frozenset({"linux"}),
    "topology.kubernetes.io/zone": None,
    "topology.kubernetes.io/region": None,
    "kubernetes.io/hostname": None,
}


class Finding(Struct, frozen=True, kw_only=True):
    """A rule that a pod breaks, or nearly."""

    weight: Weight
    #: Stable name of the rule, for programs.
    rule: str
    sentence: str


def findings(pod: Pod) -> list[Finding]:
    """Return the rules that a pod breaks on Fargate, refusals first.

    Args:
        pod: as it is sent to the cluster.
    """
    broken = [
        Finding(weight=weight, rule=rule.__name__.strip("_").replace("_", "-"), sentence=sentence)
        for rule in _RULES
        for weight, sentence in rule(pod)
    ]
    order = ("refused", "warning", "advice")
    return sorted(broken, key=lambda finding: order.index(finding.weight))


def _all(pod: Pod) -> tuple[Container, ...]:
    return (*pod.init_containers, *pod.containers)


# What is refused --------------------------------------------------------------------------------------------


def _privileged(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for container in _all(pod):
        if container.privileged:
            yield (
                "refused",
                f'container "{container.name}" is privileged, which Fargate refuses because its machine is AWS\'s '
                "own; remove securityContext.privileged or run it on a node group",
            )


def _gpu(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for container in _all(pod):
        for device in container.devices:
            yield (
                "refused",
                f'container "{container.name}" asks for {device}, and Fargate has no machines with GPUs or other '
                "devices; run it on a node group of GPU instances",
            )


def _daemon_set(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.owner == "DaemonSet":
        yield (
            "refused",
            "a DaemonSet needs a pod on every node, and a Fargate node has room for the one pod it was made for; "
            "make it a sidecar container of the pods that need it",
        )


def _host_network(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.host_network:
        yield (
            "refused",
            "hostNetwork is set, and Fargate does not share its machine's network; remove it, every pod there has "
            "an address of its own",
        )


def _host_port(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for container in _all(pod):
        if container.host_ports:
            ports = ", ".join(map(str, container.host_ports))
            yield (
                "refused",
                f'container "{container.name}" asks for hostPort {ports}, which Fargate refuses; use containerPort, '
                "the pod does not share its machine's address",
            )


def _host_path(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for volume in pod.volumes:
        if volume.kind == "hostPath":
            yield (
                "refused",
                f'volume "{volume.name}" is a hostPath, and Fargate does not share its machine\'s folders; use an '
                "emptyDir",
            )


def _volume(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for volume in pod.volumes:
        if volume.kind == "persistentVolumeClaim":
            yield (
                "warning",
                f'volume "{volume.name}" is a persistent volume: on Fargate it must be a static one on EFS, because '
                "EBS cannot be attached and volumes are not provisioned there",
            )
        elif volume.kind not in _VOLUMES and volume.kind != "hostPath":
            yield (
                "refused",
                f'volume "{volume.name}" is of kind {volume.kind}, which needs a driver on the node that Fargate '
                "cannot have; use emptyDir, configMap, secret, projected, or a static volume on EFS",
            )


def _cpu(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.cpu_millis > fargate.LARGEST_CPU_MILLIS:
        yield (
            "refused",
            f"its containers ask for {pod.cpu_millis / 1000:g} CPUs together, and the largest machine of Fargate has "
            f"{fargate.LARGEST_CPU_MILLIS // 1000}; ask for less or run it on a node group",
        )


def _memory(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.memory > fargate.LARGEST_MEMORY:
        yield (
            "refused",
            f"its containers ask for {gib(pod.memory)} GiB of memory together, and Fargate's largest machine leaves "
            f"{gib(fargate.LARGEST_MEMORY)} of its 120 to them; ask for less or run it on a node group",
        )


def _storage(pod: Pod) -> Iterator[tuple[Weight, str]]:
    requested = pod.storage / GIB
    if fargate.provisioned_storage(pod.storage) > fargate.MOST_STORAGE:
        largest = int(fargate.MOST_REQUESTED_STORAGE)
        yield (
            "refused",
            f"its containers ask for {requested:g} GiB of ephemeral storage, for which Fargate would have to provision "
            f"{fargate.provisioned_storage(pod.storage):g} of {fargate.MOST_STORAGE:g} at most; ask for {largest} or "
            "less, or mount EFS",
        )


def _processor_kind(pod: Pod) -> Iterator[tuple[Weight, str]]:
    architecture = pod.node_selector.get("kubernetes.io/arch")
    system = pod.node_selector.get("kubernetes.io/os")
    if architecture not in (None, "amd64"):
        yield (
            "refused",
            f"it selects {architecture} processors, and EKS on Fargate has x86 only; build the image for amd64 or run "
            "it on a node group",
        )
    if system not in (None, "linux"):
        yield "refused", f"it selects {system}, and EKS on Fargate runs Linux only; run it on a node group"


def _spot(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for key in ("eks.amazonaws.com/capacityType", "karpenter.sh/capacity-type"):
        if pod.node_selector.get(key, "").lower() == "spot":
            yield (
                "refused",
                f"it selects Spot machines ({key}), and EKS on Fargate has none; remove the node selector or run it on "
                "a node group",
            )


def _node_selector(pod: Pod) -> Iterator[tuple[Weight, str]]:
    has_own_rule = ("kubernetes.io/arch", "kubernetes.io/os")
    for key, value in pod.node_selector.items():
        if key in has_own_rule or (value.lower() == "spot"):
            continue
        allowed = _NODE_LABELS.get(key, frozenset())
        if allowed is not None and value not in allowed:
            yield (
                "refused",
                f"its node selector {key}={value} matches no Fargate node, so that it stays Pending although a "
                "profile takes it; select pods by their labels and remove the node selector",
            )


# What is unexpected -----------------------------------------------------------------------------------------


def _unset_requests(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if not pod.cpu_millis and not pod.memory:
        yield (
            "warning",
            "no container requests anything, so that Fargate gives 0.25 vCPU and 0.5 GB, of which 0.25 is its own: "
            "what uses more is ended by the kernel (out of memory, exit code 137); set cpu and memory",
        )
        return
    for container in pod.containers:
        missing = [
            name
            for name, amount in (
                ("cpu", container.requests.cpu_millis),
                ("memory", container.requests.memory),
            )
            if amount is None
        ]
        if missing:
            yield (
                "warning",
                f'container "{container.name}" requests no {" and no ".join(missing)}: it counts as 0 in the size of '
                "the machine and uses what the others leave; set it",
            )


def _limits(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for container in pod.containers:
        ignored = [
            name
            for name, request, limit in (
                ("cpu", container.requests.cpu_millis, container.limits.cpu_millis),
                ("memory", container.requests.memory, container.limits.memory),
            )
            if request is not None and limit is not None and limit != request
        ]
        if ignored:
            yield (
                "warning",
                f'container "{container.name}" has a limit of {" and ".join(ignored)} above its request: Fargate sizes '
                "by the request, and more than that does not exist; set limits equal to requests",
            )


def _tolerations(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if any(toleration.operator == "Exists" and not toleration.key for toleration in pod.tolerations):
        yield (
            "warning",
            "it tolerates every taint (operator Exists without a key), that of Fargate's nodes included: the "
            "ordinary scheduler may put it on another pod's Fargate node, where it fails; tolerate taints by key",
        )


def _affinity(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.affinities:
        yield (
            "warning",
            f"{' and '.join(pod.affinities)} does nothing on Fargate, where every pod has a node of its own; remove "
            "it",
        )


def _job_kept(pod: Pod) -> Iterator[tuple[Weight, str]]:
    if pod.owner == "Job" and pod.seconds_kept_after_end is None:
        yield (
            "warning",
            "it belongs to a Job without ttlSecondsAfterFinished: a finished pod keeps its machine, which is paid "
            "until somebody deletes it; set it to 0",
        )


# What costs -------------------------------------------------------------------------------------------------


def _memory_volume(pod: Pod) -> Iterator[tuple[Weight, str]]:
    for volume in pod.volumes:
        if volume.in_memory:
            yield (
                "advice",
                f'volume "{volume.name}" is in memory: what is written to it counts as the container\'s memory and '
                "must be in its request",
            )


def _cliff(pod: Pod) -> Iterator[tuple[Weight, str]]:
    fitting = fargate.fit(pod)
    if fitting is None or fitting.cliff is None:
        return
    cliff = fitting.cliff
    if cliff.less_memory:
        amount = f"{gib(cliff.less_memory)} GB of memory"
        asked = f"{gib(pod.memory - cliff.less_memory)} GiB"
    else:
        amount = f"{cliff.less_cpu_millis / 1000:g} CPU"
        asked = f"{(pod.cpu_millis - cliff.less_cpu_millis) / 1000:g} CPU"
    yield (
        "advice",
        f"ask for {amount} less and pay {cliff.saving:.0%} less: with {asked} for all containers together it is "
        f"{cliff.size} instead of {fitting.size}",
    )


def gib(amount: float) -> str:
    """Return bytes as GiB, rounded to a MiB."""
    return f"{round(amount / MIB) / 1024:.4g}"


_RULES: tuple[Callable[[Pod], Iterator[tuple[Weight, str]]], ...] = (
    _privileged,
    _gpu,
    _daemon_set,
    _host_network,
    _host_port,
    _host_path,
    _volume,
    _cpu,
    _memory,
    _storage,
    _processor_kind,
    _spot,
    _node_selector,
    _unset_requests,
    _limits,
    _tolerations,
    _affinity,
    _job_kept,
    _memory_volume,
    _cliff,
)
