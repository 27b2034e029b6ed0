"""Derives machines from nodes. Pure.

The kind of a machine is read from labels: EKS sets them for Fargate and node groups, GKE for node pools, eksctl for
its own groups, Karpenter for its pools.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes, parse_cpus
from trunkline.model.workers import Machine

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import Node, Pod

#: Labels that name the group of a node, the most reliable first.
_GROUPS = (
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "alpha.eksctl.io/nodegroup-name",
)
_SPOT = (
    ("karpenter.sh/capacity-type", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
)
#: Labels of pods on Fargate: the profile's name, and the size that is billed.
_PROFILE, _CAPACITY = "eks.amazonaws.com/fargate-profile", "CapacityProvisioned"
#: Label of nodes that kwok simulates.
_ACTED = ("kwok.x-k8s.io/node", "fake")


def machine(node: Node) -> Machine:
    """Return the machine of a node."""
    metadata = node.metadata
    assert metadata is not None
    labels = metadata.labels or {}
    kind, group = _kind(labels)
    status = node.status
    conditions = {each.type: each.status for each in (status.conditions if status else None) or []}
    allocatable = (status.allocatable if status else None) or {}
    cpu, memory = 0.0, 0
    with contextlib.suppress(InvalidArgument):
        cpu = parse_cpus(str(allocatable.get("cpu", "0")), "cpu")
        memory = parse_bytes(str(allocatable.get("memory", "0")), "memory")
    return Machine(
        name=metadata.name or "",
        kind=kind,
        group=group,
        instance_type=labels.get("node.kubernetes.io/instance-type", ""),
        region=labels.get("topology.kubernetes.io/region", ""),
        spot=any(labels.get(label) == value for label, value in _SPOT),
        cpu=cpu,
        memory=memory,
        created=metadata.creationTimestamp.timestamp() if metadata.creationTimestamp else 0.0,
        ready=conditions.get("Ready") == "True",
        pretended=(metadata.annotations or {}).get(_ACTED[0]) == _ACTED[1],
    )


def with_pod(machine: Machine, pod: Pod) -> Machine:
    """Add the facts that only its pod has: a Fargate node does not name its profile or the size that is billed."""
    if machine.kind != "fargate" or pod.metadata is None:
        return machine
    return replace(
        machine,
        group=(pod.metadata.labels or {}).get(_PROFILE, machine.group),
        instance_type=(pod.metadata.annotations or {}).get(_CAPACITY, machine.instance_type),
    )


def _kind(labels: dict[str, str]) -> tuple[str, str]:
    if labels.get("eks.amazonaws.com/compute-type") == "fargate":
        return "fargate", labels.get(_PROFILE, "")
    if pool := labels.get("karpenter.sh/nodepool"):
        return "karpenter", pool
    for label in _GROUPS:
        if group := labels.get(label):
            return "node group", group
    return "node", ""
