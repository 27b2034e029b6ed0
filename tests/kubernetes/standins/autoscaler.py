"""Cluster Autoscaler as a cluster sees it, and the node groups that it grows and shrinks.

Its loop, defaults aside, is that of the real one (cluster-autoscaler FAQ and a run of 1.35 beside this cluster):
every scan it takes the pods that the scheduler calls unschedulable, leaves out those that nodes on their way will
hold, packs the rest on the template of each group, and grows the group that wastes least. A node whose pods ask
for less than half of it and could all go elsewhere is unneeded; one that stays so is tainted, emptied and removed.
Messages and taints are the real ones. Left out: several groups in one scan, balancing, priorities, unready nodes,
node groups that fail, PodDisruptionBudgets (the API server itself refuses such evictions).
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from standins.api import NODES, Loop, Recorder, gone_is_fine, is_ready, node, path_of
from trunkline.aws.pods import read_pod
from trunkline.scaling.pods import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from standins.api import Api, Mirror, Object

GROUP = "eks.amazonaws.com/nodegroup"
CANDIDATE = "DeletionCandidateOfClusterAutoscaler"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
MAX_REACHED = "max node group size reached"
NO_SELECTOR = "node(s) didn't match Pod's node affinity/selector"
#: Nodes without pods that are removed at a time (``--max-scale-down-parallelism``); others go one by one.
EMPTY_AT_ONCE = 10
#: Seconds between looks at machines that boot.
PERIOD = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node group: machines of one kind, from zero."""

    name: str
    cpu_millis: int
    memory: int  # bytes
    most: int
    least: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    instance_type: str = "m5.xlarge"
    region: str = "us-east-1"
    #: Seconds from the request until its node registers.
    boot: float = 1.0

    def template(self, name: str) -> Object:
        """Return a node of the group."""
        labels = {
            GROUP: self.name,
            "node.kubernetes.io/instance-type": self.instance_type,
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": f"{self.region}a",
        }
        capacity = {
            "cpu": f"{self.cpu_millis}m",
            "memory": str(self.memory),
            "pods": "58",
            "ephemeral-storage": "80Gi",
        }
        return node(
            name,
            labels=labels | dict(self.labels),
            taints=list(self.taints),
            capacity=capacity,
            provider_id=f"aws:///{self.region}a/i-{name}",
        )


@dataclass(slots=True)
class Room:
    """What a node has left, and which pods it would take."""

    name: str
    cpu_millis: int
    memory: int
    labels: Mapping[str, str]
    taints: Sequence[Object]

    def lacks(self, pod: Object) -> str:
        """Say in the scheduler's words why a pod does not fit; nothing when it does."""
        read = read_pod(pod)
        if any(self.labels.get(key) != value for key, value in read.node_selector.items()):
            return NO_SELECTOR
        for taint in self.taints:
            if taint["effect"] != "PreferNoSchedule" and not tolerates(pod, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if read.cpu_millis > self.cpu_millis:
            return "Insufficient cpu"
        return "Insufficient memory" if read.memory > self.memory else ""

    def take(self, pod: Object) -> None:
        read = read_pod(pod)
        self.cpu_millis -= read.cpu_millis
        self.memory -= read.memory


class ClusterAutoscaler:
    """The loop, and the cloud that it asks for machines."""

    def __init__(
        self,
        api: Api,
        pods: Mirror,
        nodes: Mirror,
        groups: Sequence[Group],
        *,
        scan: float = 2.0,
        unneeded: float = 10.0,
        after_add: float = 0.0,
        threshold: float = 0.5,
    ) -> None:
        """Begin.

        Args:
            api: the API server.
            pods: a copy of all pods.
            nodes: a copy of all nodes.
            groups: the node groups, all empty.
            scan: seconds between scans (``--scan-interval``, 10 by default).
            unneeded: seconds that a node must be unneeded (``--scale-down-unneeded-time``, 600).
            after_add: seconds after growing in which nothing shrinks (``--scale-down-delay-after-add``, 600).
            threshold: share below which a node's pods may be moved (``--scale-down-utilization-threshold``).
        """
        self._api = api
        self._pods = pods
        self._nodes = nodes
        self._groups = {group.name: group for group in groups}
        self._unneeded_time = unneeded
        self._after_add = after_add
        self._threshold = threshold
        self._recorder = Recorder(api, "cluster-autoscaler")
        self._boots: dict[str, tuple[float, Group]] = {}  # node -> when it registers, and its group
        self._unneeded: dict[str, float] = {}  # node -> since when
        self._going: set[str] = set()
        self._added_at = float("-inf")
        self._node_number = 0
        #: Whether machines that have booted join the cluster; else they do when this becomes true.
        self.machines_come = True
        #: Scans so far, for who waits for some to have passed.
        self.scans = 0
        self._scan = Loop("cluster-autoscaler", self.scan, scan)
        self._cloud = Loop("node groups", self._register, PERIOD)
        self._scan.start()
        self._cloud.start()

    def scan(self) -> None:
        """Grow, else shrink."""
        pods, nodes = self._pods.all(), self._nodes.named()
        self._scale_up(pods, nodes)
        self._scale_down(pods, nodes)
        self.scans += 1

    # --- up ------------------------------------------------------------------------------------------------------

    def _scale_up(self, pods: Sequence[Object], nodes: Mapping[str, Object]) -> None:
        rooms = [self._room(node, pods) for node in nodes.values() if self._takes_pods(node)]
        rooms += [
            room_of(group.template(name)) for name, (_, group) in self._boots.items() if name not in nodes
        ]
        waiting = [pod for pod in pods if is_unschedulable(pod) and not packed(pod, rooms)]
        if not waiting:
            return
        options = [
            option for group in self._groups.values() if (option := self._option(group, waiting, nodes))
        ]
        if options:
            _, group, number, helped = min(options, key=lambda option: option[0])
            size = self._size(group, nodes)
            message = (
                f"pod triggered scale-up: [{{{group.name} {size}->{size + number} (max: {group.most})}}]"
            )
            self._grow(group, number)
            for pod in helped:
                self._recorder.event(pod, "TriggeredScaleUp", message)
            return
        for pod in waiting:
            whys = Counter(
                room_of(group.template("template")).lacks(pod) or MAX_REACHED
                for group in self._groups.values()
            )
            reasons = ", ".join(f"{number} {why}" for why, number in sorted(whys.items()))
            self._recorder.event(pod, "NotTriggerScaleUp", f"pod didn't trigger scale-up: {reasons}")

    def _option(
        self, group: Group, waiting: Sequence[Object], nodes: Mapping[str, Object]
    ) -> tuple[float, Group, int, list[Object]] | None:
        """Return how growing a group would help: its waste, the group, by how many, and whom."""
        allowed = group.most - self._size(group, nodes)
        new: list[Room] = []
        helped = []
        for pod in sorted(waiting, key=lambda pod: -read_pod(pod).cpu_millis):
            if packed(pod, new):
                helped.append(pod)
                continue
            room = room_of(group.template(f"new-{len(new)}"))
            if len(new) < allowed and not room.lacks(pod):
                room.take(pod)
                new.append(room)
                helped.append(pod)
        if not new:
            return None
        cpu = sum(room.cpu_millis for room in new) / (len(new) * group.cpu_millis)
        memory = sum(room.memory for room in new) / (len(new) * group.memory)
        return cpu + memory, group, len(new), helped

    def _size(self, group: Group, nodes: Mapping[str, Object]) -> int:
        members = {name for name, node in nodes.items() if group_of(node) == group.name} - self._going
        coming = {name for name, (_, of) in self._boots.items() if of.name == group.name}
        return len(members | coming)

    def _grow(self, group: Group, number: int) -> None:
        self._added_at = time.time()
        for _ in range(number):
            self._node_number += 1
            name = (
                f"ip-10-1-{self._node_number >> 8}-{self._node_number & 0xFF}.{group.region}.compute.internal"
            )
            self._boots[name] = (time.time() + group.boot, group)

    def _register(self) -> None:
        """Let machines that have booted join the cluster."""
        present = self._nodes.named()
        for name, (due, group) in list(self._boots.items()):
            if name in present:
                del self._boots[name]
            elif self.machines_come and time.time() >= due:
                with gone_is_fine():
                    self._api.create(NODES, group.template(name))

    # --- down ----------------------------------------------------------------------------------------------------

    def _scale_down(self, pods: Sequence[Object], nodes: Mapping[str, Object]) -> None:
        mine = {name: node for name, node in nodes.items() if group_of(node) in self._groups}
        self._going &= set(mine)
        for name in sorted(self._going):
            self._finish(nodes[name], pods)
        if time.time() < self._added_at + self._after_add:
            return
        unneeded = self._unneeded_nodes(mine, pods, nodes)
        now = time.time()
        for name in set(self._unneeded) - unneeded:
            del self._unneeded[name]
            if name in nodes:
                self._taint(nodes[name], CANDIDATE, None)
        for name in unneeded:
            if name not in self._unneeded:
                self._unneeded[name] = now
                self._taint(nodes[name], CANDIDATE, "PreferNoSchedule")
        due = sorted(name for name in unneeded if now >= self._unneeded[name] + self._unneeded_time)
        empty = [name for name in due if not on_node(name, pods)][:EMPTY_AT_ONCE]
        others = [name for name in due if name not in empty][: 0 if self._draining(pods) else 1]
        for name in [*empty, *others]:
            del self._unneeded[name]
            self._going.add(name)
            self._taint(nodes[name], TO_BE_DELETED, "NoSchedule")
            self._recorder.event(nodes[name], "ScaleDown", "marked the node as toBeDeleted/unschedulable")
            self._finish(nodes[name], pods)

    def _unneeded_nodes(
        self, mine: Mapping[str, Object], pods: Sequence[Object], nodes: Mapping[str, Object]
    ) -> set[str]:
        """Return the nodes that could go now, of each group as many as its minimum allows."""
        unneeded: set[str] = set()
        spare = {name: self._size(group, nodes) - group.least for name, group in self._groups.items()}
        rooms = {name: self._room(each, pods) for name, each in nodes.items() if self._takes_pods(each)}
        for name, each in mine.items():
            group = self._groups[group_of(each)]
            own_pods = on_node(name, pods)
            if name in self._going or not is_ready(each) or spare[group.name] < 1:
                continue
            if share(own_pods, group) >= self._threshold or any(blocks(pod) for pod in own_pods):
                continue
            others = {
                other: replace(room)
                for other, room in rooms.items()
                if other != name and other not in unneeded
            }
            if all(packed(pod, others.values()) for pod in own_pods):
                rooms |= others
                unneeded.add(name)
                spare[group.name] -= 1
        return unneeded

    def _finish(self, node: Object, pods: Sequence[Object]) -> None:
        """Empty a node that is to go, and remove it when it is empty."""
        own_pods = on_node(node["metadata"]["name"], pods)
        for pod in own_pods:
            if "deletionTimestamp" in pod["metadata"]:
                continue
            self._recorder.event(pod, "ScaleDown", "deleting pod for node scale down")
            metadata = pod["metadata"]
            names = {"name": metadata["name"], "namespace": metadata["namespace"]}
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": names}
            with gone_is_fine():
                self._api.create(f"{path_of(pod)}/eviction", eviction)
        if not own_pods:
            self._recorder.event(node, "ScaleDown", "node removed by cluster autoscaler")
            self._api.delete(path_of(node))

    def _draining(self, pods: Sequence[Object]) -> bool:
        return any(on_node(name, pods) for name in self._going)

    def _taint(self, node: Object, key: str, effect: str | None) -> None:
        """Put a taint on a node, or take it away."""
        taints = [taint for taint in node["spec"].get("taints", []) if taint["key"] != key]
        change: Object = {"taints": taints}
        if effect is not None:
            taints.append({"key": key, "value": str(int(time.time())), "effect": effect})
        if key == TO_BE_DELETED:
            change["unschedulable"] = True
        self._api.merge(path_of(node), {"spec": change})

    def _room(self, node: Object, pods: Sequence[Object]) -> Room:
        room = room_of(node)
        for pod in on_node(node["metadata"]["name"], pods):
            room.take(pod)
        return room

    def _takes_pods(self, node: Object) -> bool:
        # A node that has just joined is not ready yet, and will take what it was made for.
        return node["metadata"]["name"] not in self._going and not node["spec"].get("unschedulable")

    def close(self) -> None:
        """End; nodes stay."""
        self._scan.close()
        self._cloud.close()


# --- rules ---------------------------------------------------------------------------------------------------


def group_of(node: Object) -> str:
    """Return the group of a node, or nothing."""
    labels: dict[str, str] = node["metadata"].get("labels", {})
    return labels.get(GROUP, "")


def is_unschedulable(pod: Object) -> bool:
    """Return whether the scheduler has found no node for the pod."""
    conditions = pod.get("status", {}).get("conditions", [])
    return (
        not pod["spec"].get("nodeName")
        and "deletionTimestamp" not in pod["metadata"]
        and pod["spec"].get("schedulerName", "default-scheduler") == "default-scheduler"
        and any(
            each["type"] == "PodScheduled" and each.get("reason") == "Unschedulable" for each in conditions
        )
    )


def on_node(name: str, pods: Iterable[Object]) -> list[Object]:
    """Return the pods that take room on a node."""
    return [
        pod
        for pod in pods
        if pod["spec"].get("nodeName") == name and pod["status"].get("phase") not in ("Succeeded", "Failed")
    ]


def room_of(node: Object) -> Room:
    """Return the room of an empty node. What every node has while it joins is no obstacle."""
    pseudo = {
        "metadata": {},
        "spec": {"containers": [{"resources": {"requests": node["status"]["allocatable"]}}]},
    }
    read = read_pod(pseudo)
    taints = [
        taint
        for taint in node["spec"].get("taints", [])
        if not taint["key"].startswith("node.kubernetes.io/")
    ]
    return Room(
        name=node["metadata"]["name"],
        cpu_millis=read.cpu_millis,
        memory=read.memory,
        labels=node["metadata"].get("labels", {}),
        taints=taints,
    )


def packed(pod: Object, rooms: Iterable[Room]) -> bool:
    """Put a pod into the first room that takes it; returns whether one did."""
    for room in rooms:
        if not room.lacks(pod):
            room.take(pod)
            return True
    return False


def tolerates(pod: Object, taint: Object) -> bool:
    """Return whether a pod may be on a node with a taint."""
    for each in pod["spec"].get("tolerations", []):
        if each.get("effect") not in (None, "", taint["effect"]):
            continue
        if each.get("operator") == "Exists" and each.get("key", "") in ("", taint["key"]):
            return True
        if each.get("key") == taint["key"] and each.get("value", "") == taint.get("value", ""):
            return True
    return False


def blocks(pod: Object) -> bool:
    """Return whether a pod keeps its node from going, as Cluster Autoscaler's FAQ has it."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    safe = pod["metadata"].get("annotations", {}).get(SAFE_TO_EVICT)
    if safe in ("true", "false"):
        return safe == "false"
    owners = pod["metadata"].get("ownerReferences", [])
    if any(owner["kind"] == "DaemonSet" for owner in owners):
        return False
    return not any(owner.get("controller") for owner in owners) or any(
        is_local(volume) for volume in pod["spec"].get("volumes", [])
    )


def is_local(volume: Object) -> bool:
    """Return whether a volume is lost with its node."""
    return "hostPath" in volume or (
        "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory"
    )


def share(pods: Iterable[Object], group: Group) -> float:
    """Return the part of a node that its pods ask for, of what they ask for most."""
    reads = [read_pod(pod) for pod in pods]
    return max(
        sum(read.cpu_millis for read in reads) / group.cpu_millis,
        sum(read.memory for read in reads) / group.memory,
    )


#: An m5.xlarge as its kubelet offers it to pods.
M5_XLARGE = {"cpu_millis": 3920, "memory": 14 * GIB + 500 * MIB}
