"""A real node: containerd and a kubelet that start real containers.

The node tells more processors and memory than the machine has, by files laid over the kernel's in its own mount
namespace: a test wants five workers of the published size side by side, and what they cost is time, not room.
Nothing is fetched from anywhere: images come from archives, with the pause container made here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from images import PAUSE
from machine import KERNEL_SETTINGS, make_cgroup

if TYPE_CHECKING:
    from machine import Machine, Process

#: What a node says it has.
CPUS, MEMORY_KIB = 16, 64 << 20
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin")
NODE_TOOLS = ("containerd", "runc", "ctr", "unshare", "findmnt")


class Node:
    """One kubelet with its containerd, in a mount namespace of its own."""

    def __init__(
        self, machine: Machine, binaries: Path, name: str, address: str, kubeconfig: Path, dns: str
    ) -> None:
        self.machine = machine
        self.binaries = binaries
        self.name = name
        self.address = address
        self.kubeconfig = kubeconfig
        self.root = machine.root / name
        self.root.mkdir()
        self.socket = self.root / "containerd.sock"
        # Its own: a kubelet ends what it finds in its cgroup and does not know.
        self.cgroup = f"{machine.name}/{name}"
        make_cgroup(self.cgroup)
        self.kubelet: Process
        self._holder = machine.start(f"{name}-mounts", "unshare", "--mount", "sleep", "infinity")
        self._mount()
        self._write_containerd_configuration()
        self._write_network_configuration()
        self._write_kubelet_configuration(dns)
        self._start_containerd()

    # --- what the node's processes see ---------------------------------------------------------------------------

    def _mount(self) -> None:
        target = self._holder.pid
        while Path(f"/proc/{target}/comm").read_text().strip() != "sleep":
            self._holder.check()
            time.sleep(0.01)
        self._target = target
        for folder in ("/run", "/var/lib", "/var/log"):
            mine = self.root / folder.strip("/").replace("/", "-")
            mine.mkdir()
            self._cover(folder, mine)
        mine = self.root / "kernel"
        for name, value in KERNEL_SETTINGS.items():
            if (setting := Path("/proc/sys") / name).exists():
                self._cover(setting, _written(mine / name, value + "\n"))
        self._cover(
            "/proc/meminfo", _written(mine / "meminfo", _memory_of(Path("/proc/meminfo").read_text()))
        )
        if Path("/sys/devices/system/node").exists():
            self._cover("/sys/devices/system/node", _topology(mine / "topology"))

    def _cover(self, what: Path | str, by: Path) -> None:
        self.run("mount", "--bind", by, what)

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a command where the node's processes run."""
        return self.machine.run(*command, target=self._target, check=check)

    # --- containerd ----------------------------------------------------------------------------------------------

    def _write_containerd_configuration(self) -> None:
        # An overlay cannot lie on an overlay; copies work everywhere.
        below = subprocess.run(
            ["findmnt", "-no", "FSTYPE", "-T", self.root], capture_output=True, text=True, check=True
        ).stdout.strip()
        snapshotter = "native" if below == "overlay" else "overlayfs"
        cni = next(folder for folder in CNI_FOLDERS if Path(folder, "bridge").exists())
        (self.root / "containerd.toml").write_text(f"""
version = 2
root = "{self.root}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Where CAP_SYS_RESOURCE is missing, the score that the kubelet wants for pause may not be set.
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{self.root}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{shutil.which("runc")}"
        SystemdCgroup = false
""")

    def _write_network_configuration(self) -> None:
        bridge = {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": str(self.machine.pods)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                # Shared by the nodes: all pods are on one bridge.
                "dataDir": str(self.machine.root / "addresses"),
            },
        }
        (self.root / "cni").mkdir()
        (self.root / "cni" / "10-pods.conflist").write_text(
            json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]})
        )

    def _start_containerd(self) -> None:
        self.containerd = self.machine.start(
            f"{self.name}-containerd",
            "containerd",
            "--config",
            self.root / "containerd.toml",
            target=self._target,
        )
        self.machine.wait_for(
            lambda: self.socket.exists() and "Version" in self._ctr("version", check=False),
            self.containerd,
        )

    def _ctr(self, *arguments: str | Path, check: bool = True) -> str:
        return self.run("ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments, check=check)

    def load(self, archive: Path) -> None:
        """Import the images of an archive."""
        self._ctr("images", "import", archive)

    # --- kubelet -------------------------------------------------------------------------------------------------

    def _write_kubelet_configuration(self, dns: str) -> None:
        _written(self.root / "resolv.conf", f"nameserver {dns}\n")
        configuration = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "healthzPort": 0,
            # Only this machine reaches the address.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "failCgroupV1": False,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "clusterDNS": [dns],
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.root / "resolv.conf"),
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": str(self.root / "plugins"),
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1Mi"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
            "maxPods": 110,
            "kubeAPIQPS": 100,
            "kubeAPIBurst": 200,
        }
        _written(self.root / "kubelet.json", json.dumps(configuration, indent=1))

    def start_kubelet(self) -> None:
        """Start the kubelet, anew when it was killed."""
        self.kubelet = self.machine.start(
            f"{self.name}-kubelet",
            self.binaries / "kubelet",
            "--config",
            self.root / "kubelet.json",
            "--kubeconfig",
            self.kubeconfig,
            "--hostname-override",
            self.name,
            "--node-ip",
            self.address,
            "--root-dir",
            self.root / "kubelet",
            "--cert-dir",
            self.root / "certificates",
            target=self._target,
        )

    def kill_kubelet(self) -> None:
        """End the kubelet as a crash would; the containers run on."""
        self.kubelet.end(signal.SIGKILL)


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _memory_of(text: str) -> str:
    """Return the kernel's account of memory with more of it."""
    rest = [
        line for line in text.splitlines() if not line.startswith(("MemTotal:", "MemFree:", "MemAvailable:"))
    ]
    totals = [f"{name}: {MEMORY_KIB} kB" for name in ("MemTotal", "MemFree", "MemAvailable")]
    return "\n".join([*totals, *rest]) + "\n"


def _topology(folder: Path) -> Path:
    """Write what the kernel says of one memory node with so many processors.

    The kubelet counts folders and hands the numbers in their names to the kernel, which knows the real ones only: so
    the same number comes several times, with zeros before it.
    """
    node = folder / "node0"
    _written(node / "meminfo", f"Node 0 MemTotal: {MEMORY_KIB} kB\n")
    _written(node / "distance", "10\n")
    (node / "hugepages").mkdir()
    real = sorted(os.sched_getaffinity(0))
    for count in range(max(CPUS, len(real))):
        zeros, place = divmod(count, len(real))
        topology = node / f"cpu{'0' * zeros}{real[place]}" / "topology"
        _written(topology / "core_id", f"{count}\n")
        _written(topology / "physical_package_id", "0\n")
    return folder
