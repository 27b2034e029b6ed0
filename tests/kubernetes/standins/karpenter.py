"""The real Karpenter, with its own provider for machines that do not exist.

Its command comes from the module ``sigs.k8s.io/karpenter`` (package ``kwok``) and is looked for, with the CRDs of the
same module, in the folder of the other binaries: ``karpenter-kwok`` and ``karpenter-crds/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster import until

if TYPE_CHECKING:
    from pathlib import Path

    from cluster import Cluster

COMMAND, CRDS = "karpenter-kwok", "karpenter-crds"
POOL_LABEL = "karpenter.sh/nodepool"


def missing(binaries: Path) -> str:
    """Return in a sentence what is missing for Karpenter; nothing when nothing is."""
    lacking = [name for name in (COMMAND, CRDS) if not (binaries / name).exists()]
    return f"{binaries} lacks {', '.join(lacking)}" if lacking else ""


class Karpenter:
    """Karpenter, running against a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for path in sorted((cluster.binaries / CRDS).glob("*.yaml")):
            cluster.kubectl("apply", "--server-side", "-f", path)
        kinds = ("nodepools.karpenter.sh", "nodeclaims.karpenter.sh", "kwoknodeclasses.karpenter.kwok.sh")
        for kind in kinds:
            cluster.kubectl("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=60s")
        self._process = cluster.machine.start(
            "karpenter",
            cluster.binaries / COMMAND,
            "--disable-leader-election",
            environment={
                "KUBECONFIG": str(cluster.kubeconfig_of("services")),
                "SYSTEM_NAMESPACE": "kube-system",
                "METRICS_PORT": "0",
                "HEALTH_PROBE_PORT": "0",
                "LOG_LEVEL": "info",
                # Seconds that it waits for more pods before it makes machines: 1 and 10 by default.
                "BATCH_IDLE_DURATION": "0.5s",
                "BATCH_MAX_DURATION": "2s",
                "HOME": str(cluster.machine.root),
            },
        )
        node_class = {
            "apiVersion": "karpenter.kwok.sh/v1alpha1",
            "kind": "KWOKNodeClass",
            "metadata": {"name": "default"},
            "spec": {},
        }
        cluster.apply(node_class)

    def add_pool(self, name: str, labels: dict[str, str], cpu: int, consolidate_after: str = "1s") -> None:
        """Make a node pool for machines of 4 CPUs, ``cpu`` of them at most."""
        spec: dict[str, Any] = {
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeClassRef": {
                        "group": "karpenter.kwok.sh",
                        "kind": "KWOKNodeClass",
                        "name": "default",
                    },
                    "requirements": [
                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
                        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                        {
                            "key": "node.kubernetes.io/instance-type",
                            "operator": "In",
                            "values": ["s-4x-amd64-linux"],
                        },
                    ],
                },
            },
            "disruption": {
                "consolidationPolicy": "WhenEmptyOrUnderutilized",
                "consolidateAfter": consolidate_after,
                # All at once; 10 % by default.
                "budgets": [{"nodes": "100%"}],
            },
            "limits": {"cpu": str(cpu)},
        }
        pool = {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec}
        self.cluster.apply(pool)

    def remove_pool(self, name: str) -> None:
        """Remove a node pool and its machines."""
        self.cluster.kubectl("delete", "nodepool", name, "--wait=false")
        until(lambda: not self.nodes(name), f"the machines of pool {name} to go")

    def nodes(self, pool: str) -> list[str]:
        """Return the nodes of a pool."""
        return [
            each["metadata"]["name"] for each in self.cluster.items("nodes", "-l", f"{POOL_LABEL}={pool}")
        ]

    def tail(self) -> str:
        """Return the end of its log."""
        return self._process.tail(60)

    def close(self) -> None:
        """End it."""
        self._process.end()
