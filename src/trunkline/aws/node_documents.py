"""Machines for workers as files: a node group for Cluster Autoscaler, or Karpenter's node pool. Pure.

Both start with no machine, accept only pods that tolerate their taint, and are removed soon after their last worker
has ended, because nothing else runs on them. Sources: eksctl's ClusterConfig schema; Cluster Autoscaler's
README for AWS (tags that describe a group without nodes, and options per group); Karpenter's pages
"NodePools" and "NodeClasses" (v1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline.aws.documents import yaml_text
from trunkline.scaling.placement import CONSOLIDATE_AFTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TAG = "k8s.io/cluster-autoscaler"


class Group(Struct, frozen=True, kw_only=True):
    """A group of machines for workers."""

    cluster: str
    region: str
    name: str
    #: Names of instance types. For Cluster Autoscaler all of one size: it looks only at the first.
    types: tuple[str, ...]
    #: Maximum number of machines.
    max_machines: int
    #: Maximum number of vCPUs, Karpenter's measure.
    max_vcpus: int
    #: GiB of disk of a machine, for images and the datums that workers process.
    disk: int = 80
    spot: bool = False
    #: Labels of the nodes, which pods select.
    labels: Mapping[str, str]
    #: Key and value of the taint that keeps other pods away; empty for none.
    taint: tuple[str, str] | tuple[()] = ()
    #: Seconds without a worker after which Cluster Autoscaler removes a machine.
    unneeded: float


def cluster_autoscaler(group: Group) -> str:
    """Return an eksctl file with the node group.

    It is not a managed group: the tags of a managed group stay on the EKS object, and Cluster Autoscaler reads the
    tags of the Auto Scaling group.
    """
    tags = {
        f"{_TAG}/enabled": "true",
        f"{_TAG}/{group.cluster}": "owned",
        f"{_TAG}/node-template/autoscaling-options/scaledownunneededtime": _duration(group.unneeded),
        f"{_TAG}/node-template/resources/ephemeral-storage": f"{group.disk}Gi",
        **{f"{_TAG}/node-template/label/{key}": value for key, value in group.labels.items()},
    }
    node_group: dict[str, Any] = {
        "name": group.name,
        "minSize": 0,
        "desiredCapacity": 0,
        "maxSize": group.max_machines,
        "volumeSize": group.disk,
        "privateNetworking": True,
        "labels": dict(group.labels),
    }
    if len(group.types) == 1 and not group.spot:
        node_group["instanceType"] = group.types[0]
    else:
        node_group["instancesDistribution"] = {
            "instanceTypes": list(group.types),
            "onDemandBaseCapacity": 0,
            "onDemandPercentageAboveBaseCapacity": 0 if group.spot else 100,
            **({"spotAllocationStrategy": "price-capacity-optimized"} if group.spot else {}),
        }
    if group.taint:
        key, value = group.taint
        node_group["taints"] = [{"key": key, "value": value, "effect": "NoSchedule"}]
        tags[f"{_TAG}/node-template/taint/{key}"] = f"{value}:NoSchedule"
    node_group["tags"] = tags
    config = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": {"name": group.cluster, "region": group.region},
        "nodeGroups": [node_group],
    }
    return "# eksctl create nodegroup -f THIS_FILE\n" + yaml_text(config)


def karpenter(group: Group) -> str:
    """Return the NodePool and its EC2NodeClass, for kubectl apply."""
    pool: dict[str, Any] = {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": group.name},
        "spec": {
            "template": {
                "metadata": {"labels": dict(group.labels)},
                "spec": {
                    "nodeClassRef": {
                        "group": "karpenter.k8s.aws",
                        "kind": "EC2NodeClass",
                        "name": group.name,
                    },
                    "requirements": [
                        _requirement("kubernetes.io/arch", ["amd64"]),
                        _requirement("kubernetes.io/os", ["linux"]),
                        _requirement(
                            "karpenter.sh/capacity-type",
                            ["spot", "on-demand"] if group.spot else ["on-demand"],
                        ),
                        _requirement("node.kubernetes.io/instance-type", list(group.types)),
                    ],
                    # Machines are removed when empty. Expiry by age would remove them under a running worker,
                    # because it ignores budgets.
                    "expireAfter": "Never",
                },
            },
            "limits": {"cpu": str(group.max_vcpus)},
            "disruption": {
                # The default, "WhenEmptyOrUnderutilized", moves the last workers of every job to other machines,
                # and a worker that is moved starts its datum again.
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": _duration(CONSOLIDATE_AFTER),
                # All empty machines may be removed at once.
                "budgets": [{"nodes": "100%"}],
            },
        },
    }
    if group.taint:
        key, value = group.taint
        pool["spec"]["template"]["spec"]["taints"] = [{"key": key, "value": value, "effect": "NoSchedule"}]
    discovery = [{"tags": {"karpenter.sh/discovery": group.cluster}}]
    node_class = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": group.name},
        "spec": {
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "role": f"KarpenterNodeRole-{group.cluster}",
            "subnetSelectorTerms": discovery,
            "securityGroupSelectorTerms": discovery,
            "blockDeviceMappings": [
                {
                    "deviceName": "/dev/xvda",
                    "ebs": {
                        "volumeSize": f"{group.disk}Gi",
                        "volumeType": "gp3",
                        "deleteOnTermination": True,
                    },
                }
            ],
        },
    }
    return "# kubectl apply -f THIS_FILE\n" + yaml_text(pool, node_class)


def _requirement(key: str, values: Sequence[str]) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": list(values)}


def _duration(seconds: float) -> str:
    """Return a duration in Go's format."""
    return f"{round(seconds)}s"
