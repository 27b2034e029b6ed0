"""What all stand-ins of one cluster share: the API, copies of pods and nodes, kwok, and kubelets with real workers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from standins.api import NODES, PODS, Api, Mirror, node
from standins.kubelet import Kubelet, is_acted

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster import Cluster

    from standins.api import Object
    from trunkline.drivers.fleets.images import ImageEnvironments


class Stage:
    """Pretended machines in a cluster. One at a time."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        images: ImageEnvironments | None = None,
        pull: Callable[[Object], float] = lambda _: 0.0,
    ) -> None:
        """Begin; see ``Kubelet`` for the arguments."""
        self.cluster = cluster
        self.folder = Path(tempfile.mkdtemp(prefix="trunkline-standins-"))
        self.folder.chmod(0o755)
        if hasattr(cluster, "kwok"):
            cluster.kwok.end()  # it would play kubelet for the same nodes
        self._kwok = cluster.machine.start(
            "kwok-of-standins",
            cluster.binaries / "kwok",
            f"--kubeconfig={cluster.kubeconfig_of('kwok')}",
            f"--config={Path(__file__).with_name('kwok.yaml')}",
            "--node-lease-duration-seconds=40",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            f"--node-ip={cluster.machine.address}",
            "--cidr=10.215.0.1/16",
            environment={"HOME": str(cluster.machine.root)},
        )
        # A user that the audit log leaves out.
        self.api = Api(cluster.kubeconfig_of("services"))
        self.pods = Mirror(self.api, PODS)
        self.nodes = Mirror(self.api, NODES)
        self.kubelet = Kubelet(self.api, self.pods, self.nodes, self.folder, images=images, pull=pull)
        # Real nodes that other tests have left are not on this stage.
        self._cordoned = [
            name
            for name, obj in self.nodes.named().items()
            if not is_acted(obj) and not obj["spec"].get("unschedulable")
        ]
        for name in self._cordoned:
            cluster.kubectl("cordon", name)

    def add_node(self, name: str, cpu: str, memory: str, labels: dict[str, str] | None = None) -> None:
        """Add a machine that is there from the beginning."""
        capacity = {"cpu": cpu, "memory": memory, "pods": "58", "ephemeral-storage": "80Gi"}
        self.api.create(NODES, node(name, labels=labels or {}, taints=[], capacity=capacity))

    def evict(self, namespace: str, pod: str) -> None:
        """Ask the API to evict a pod, as who empties a machine does."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        self.api.create(f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)

    def close(self) -> None:
        """Remove the machines with all that runs on them."""
        self.kubelet.close()
        for name in self._cordoned:
            self.cluster.kubectl("uncordon", name)
        for name, obj in self.nodes.named().items():
            if is_acted(obj):
                self.api.delete(f"{NODES}/{name}")
        self.pods.close()
        self.nodes.close()
        self.api.close()
        self._kwok.end()
        shutil.rmtree(self.folder, ignore_errors=True)
