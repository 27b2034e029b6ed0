"""A whole Kubernetes for tests: etcd, API server, controllers, scheduler, nodes real and fake.

The binaries are those of ``KUBEBUILDER_ASSETS``, the folder that tests of Kubernetes controllers use by convention;
a cluster named by ``KUBECONFIG`` takes their place. Everything runs in a ``Machine`` of its own and is gone with it.
The audit log counts what each user asks of the API server.

    python tests/kubernetes/cluster.py          start one to look at, until Ctrl-C
    python tests/kubernetes/cluster.py --check  say what is missing, if something is
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from images import IMAGE_TOOLS, pause
from machine import MACHINE_TOOLS, START_UP, Machine, missing_tools
from node import CNI_FOLDERS, NODE_TOOLS, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from machine import Process

BINARIES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
    "kwok",
)
#: Who asks the API server; each has a token and a kubeconfig of its own, so that the audit log tells them apart.
USERS = ("admin", "controllers", "scheduler", "node", "kwok", "services", "trunkline", "bare")
FAKE_LABEL = "kwok"


class Kubernetes:
    """A cluster that somebody runs; ``kubectl`` talks to it."""

    #: Whether tests may stop its nodes and load images into them.
    ours = False

    def __init__(self, kubeconfig: Path, kubectl: str = "kubectl") -> None:
        self.kubeconfig = kubeconfig
        self._kubectl = kubectl

    def kubectl(self, *arguments: str | Path, feed: str | None = None, check: bool = True) -> str:
        """Run kubectl; return what it prints."""
        command = [self._kubectl, "--kubeconfig", str(self.kubeconfig), *map(str, arguments)]
        done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr or done.stdout}")
        return done.stdout

    def get(self, *what: str) -> Any:
        """Return what ``kubectl get`` finds, as JSON."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def items(self, *what: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        objects: list[dict[str, Any]] = self.get(*what)["items"]
        return objects

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self.kubectl(
            "apply", "-f", "-", feed=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def watch_pods(self, into: IO[str] | int, namespace: str) -> subprocess.Popen[str]:
        """Write a line for each change of a pod, those that are there first, until the process is ended.

        Lines are as the API server sends them; ``pod_change`` reads them.
        """
        path = f"/api/v1/namespaces/{namespace}/pods?watch=true"
        command = [self._kubectl, "--kubeconfig", str(self.kubeconfig), "get", "--raw", path]
        return subprocess.Popen(command, stdout=into, text=True)

    @contextlib.contextmanager
    def forward(self, *what: str) -> Iterator[int]:
        """Reach something in the cluster by a port of this machine while the context is open."""
        command = [self._kubectl, "--kubeconfig", str(self.kubeconfig), "port-forward", *what]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> …
            try:
                yield int(line.split(" -> ")[0].rpartition(":")[2])
            finally:
                process.kill()

    def close(self) -> None:
        """Leave it as it is."""


class Cluster(Kubernetes):
    """A cluster of our own."""

    ours = True

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.machine = Machine()
        self.nodes: dict[str, Node] = {}
        self._tokens = {user: secrets.token_hex(16) for user in USERS}
        self._made_fakes = 0
        super().__init__(self.kubeconfig_of("admin"), str(binaries / "kubectl"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return f"https://{self.machine.address}:6443"

    @property
    def host(self) -> str:
        """The address under which pods reach what listens outside the cluster, such as a server of a test."""
        return self.machine.host

    @property
    def dns(self) -> str:
        return str(self.machine.services[10])

    def kubeconfig_of(self, user: str) -> Path:
        """Return the kubeconfig of a user."""
        return self.machine.root / f"{user}.kubeconfig"

    # --- control plane -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        root = self.machine.root
        pki = root / "pki"
        pki.mkdir()
        key = pki / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens = (f'{token},{user},{user},"{groups_of(user)}"\n' for user, token in self._tokens.items())
        (root / "tokens.csv").write_text("".join(tokens))
        (root / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        for user in USERS:
            self.kubeconfig_of(user).write_text(json.dumps(self._kubeconfig(user)))
        etcd = self._start_etcd()
        self.machine.wait_for(lambda: "true" in self._curl("http://127.0.0.1:2379/health"), etcd)
        self.api_server: Process
        self.start_api_server()
        controllers = self.machine.start(
            "controllers",
            self.binaries / "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig_of('controllers')}",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={pki}/apiserver.crt",
            "--leader-elect=false",
            # So that a thousand pods are limited by what is tested.
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        settings = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {
                "kubeconfig": str(self.kubeconfig_of("scheduler")),
                "qps": 500,
                "burst": 1000,
            },
        }
        (root / "scheduler.json").write_text(json.dumps(settings))
        self.machine.start("scheduler", self.binaries / "kube-scheduler", f"--config={root}/scheduler.json")
        program = Path(__file__).with_name("services.py")
        self.machine.start("services", sys.executable, program, self.url, self._tokens["services"], self.dns)
        self.machine.wait_for(lambda: self._exists("serviceaccount", "default"), controllers)

    def _start_etcd(self) -> Process:
        data = self.machine.root / "etcd"
        # What it holds is thrown away: nothing is gained by waiting for the disk.
        return self.machine.start("etcd", self.binaries / "etcd", f"--data-dir={data}", "--unsafe-no-fsync")

    def start_api_server(self) -> None:
        """Start the API server, anew when it was ended, and wait until it is ready."""
        root = self.machine.root
        pki = root / "pki"
        self.api_server = self.machine.start(
            "api-server",
            self.binaries / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={self.machine.address}",
            f"--advertise-address={self.machine.address}",
            "--secure-port=6443",
            f"--cert-dir={pki}",
            f"--service-cluster-ip-range={self.machine.services}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--token-auth-file={root}/tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={root}/audit.json",
            f"--audit-log-path={root}/audit.log",
            "--audit-log-mode=batch",
        )
        self.machine.wait_for(
            lambda: self.kubectl("get", "--raw", "/readyz", check=False) == "ok", self.api_server
        )

    def _curl(self, url: str) -> str:
        ask = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
        return self.machine.run(sys.executable, "-c", ask, check=False)

    def _exists(self, *what: str) -> bool:
        return bool(self.kubectl("get", *what, "-o", "name", check=False))

    def _kubeconfig(self, user: str) -> dict[str, Any]:
        certificate = str(self.machine.root / "pki" / "apiserver.crt")
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "tests", "cluster": {"server": self.url, "certificate-authority": certificate}}
            ],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [
                {"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": "default"}}
            ],
            "current-context": "tests",
        }

    # --- nodes ---------------------------------------------------------------------------------------------------

    def add_node(self, images: Iterable[Path] = ()) -> Node:
        """Start a real node with the images of these archives; return it when it is ready."""
        number = len(self.nodes)
        node = Node(
            self.machine,
            self.binaries,
            f"node-{number + 1}",
            self.machine.nodes[number],
            self.kubeconfig_of("node"),
            self.dns,
        )
        self.nodes[node.name] = node
        for archive in images:
            node.load(archive)
        node.start_kubelet()
        self.wait_ready(node)
        self.kubectl("label", "node", node.name, "trunkline.test/real=true", "--overwrite")
        return node

    def wait_ready(self, node: Node) -> None:
        """Wait until the API server calls a node ready."""
        self.machine.wait_for(lambda: self.is_ready(node.name), node.kubelet)

    def is_ready(self, name: str) -> bool:
        """Tell whether a node is ready."""
        look = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.kubectl("get", "node", name, "-o", look, check=False) == "True"

    def start_kwok(self) -> None:
        """Start what plays the kubelet of fake nodes."""
        self.kwok = self.machine.start(
            "kwok",
            self.binaries / "kwok",
            f"--kubeconfig={self.kubeconfig_of('kwok')}",
            f"--config={Path(__file__).with_name('kwok.yaml')}",
            "--node-lease-duration-seconds=40",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            f"--node-ip={self.machine.address}",
            "--cidr=10.214.0.1/16",
            environment={"HOME": str(self.machine.root)},
        )

    def add_fake_nodes(
        self, count: int, cpu: str = "64", memory: str = "256Gi", labels: dict[str, str] | None = None
    ) -> list[str]:
        """Add nodes that only pretend to run pods; they are tainted, so that only pods that want it go there."""
        names = [f"fake-{self._made_fakes + number}" for number in range(count)]
        self._made_fakes += count
        capacity = {"cpu": cpu, "memory": memory, "pods": "200", "ephemeral-storage": "500Gi"}
        self.apply(*(fake_node(name, capacity, labels or {}) for name in names))
        self.machine.wait_for(lambda: all(self.is_ready(name) for name in (names[0], names[-1])), self.kwok)
        return names

    # --- what was asked ------------------------------------------------------------------------------------------

    def audited(self, user: str) -> list[dict[str, Any]]:
        """Return the audit log's entries about the requests of a user so far.

        A user is a name or the start of one, such as ``system:serviceaccount:trunkline``. The API server writes its
        log in batches: a request of its own marks the place up to which the log has to be read.
        """
        mark = f"mark-{secrets.token_hex(8)}"
        self.kubectl("get", "configmap", mark, check=False)
        log = self.machine.root / "audit.log"
        until(lambda: mark in log.read_text(), f"the audit log to come up to {mark}")
        entries = (json.loads(line) for line in log.read_text().splitlines() if f'"{user}' in line)
        return [entry for entry in entries if entry["user"]["username"].startswith(user)]

    def asked(self, user: str) -> Counter[tuple[str, str]]:
        """Count the requests of a user so far by verb and resource."""
        return Counter((entry["verb"], resource_of(entry)) for entry in self.audited(user))

    def close(self) -> None:
        """End everything."""
        self.machine.close()


#: One line per request, when it is answered; a watch counts when it begins.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "users": ["controllers", "scheduler", "node", "kwok", "services"]},
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]},
    ],
}


def pod_change(line: str) -> tuple[str, str, str]:
    """Return what a line of a watch tells: (ADDED, MODIFIED or DELETED, name of the pod, phase)."""
    change = json.loads(line)
    return change["type"], change["object"]["metadata"]["name"], change["object"]["status"].get("phase", "")


def groups_of(user: str) -> str:
    """Return the groups of a user: ``trunkline`` may do what it is granted, the others everything."""
    return "trunkline" if user == "trunkline" else "system:masters"


def resource_of(entry: dict[str, Any]) -> str:
    """Return what an entry of the audit log is about, such as ``pods`` or ``pods/log``."""
    reference = entry.get("objectRef") or {}
    resource = reference.get("resource", entry["requestURI"].partition("?")[0])
    sub = reference.get("subresource")
    return f"{resource}/{sub}" if sub else str(resource)


def stamp(text: str) -> float:
    """Return the seconds since the epoch of ``2026-01-31T12:00:00.123456Z``."""
    return datetime.fromisoformat(text).timestamp()


def fake_node(name: str, capacity: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    """Return a node that kwok plays."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"type": FAKE_LABEL, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            | labels,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def find() -> Kubernetes:
    """Return the cluster to test on: the one named by ``KUBECONFIG``, or one of our own."""
    if lacking := missing():
        raise AssertionError(lacking)
    if named := os.environ.get("KUBECONFIG"):
        return Kubernetes(Path(named))
    return Cluster(Path(os.environ["KUBEBUILDER_ASSETS"]))


def until(look: Callable[[], Any], what: str, seconds: float = START_UP) -> Any:
    """Ask again until the answer is true."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return value


def missing() -> str:
    """Return in a sentence what is missing for a cluster of our own; nothing when nothing is."""
    if os.environ.get("KUBECONFIG"):
        return ""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return "neither KUBEBUILDER_ASSETS (a folder with the binaries) nor KUBECONFIG (a cluster) is set"
    lacking = [name for name in BINARIES if not Path(assets, name).exists()]
    if lacking:
        return f"{assets} lacks {', '.join(lacking)}"
    if os.geteuid() != 0:
        return "real nodes need root"
    tools = missing_tools([*MACHINE_TOOLS, *NODE_TOOLS, *IMAGE_TOOLS, "openssl"])
    if tools:
        return f"not installed: {', '.join(tools)}"
    if not any(Path(folder, "bridge").exists() for folder in CNI_FOLDERS):
        return f"no CNI plugins in {' or '.join(CNI_FOLDERS)}"
    return ""


def main() -> int:
    """Start a cluster to look at."""
    if lacking := missing():
        print(lacking)
        return 1
    if "--check" in sys.argv[1:]:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(os.environ["KUBEBUILDER_ASSETS"]))
        try:
            cluster.add_node([pause(Path(folder))])
            cluster.start_kwok()
            print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.sigwait([signal.SIGINT, signal.SIGTERM])
        finally:
            cluster.close()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    sys.exit(main())
