"""Trunkline on a cluster: its images, its rights, a server beside the cluster, and what commands tell the tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import images
from cluster import pod_change

sys.path += [str(Path(__file__).parents[1] / "e2e"), str(Path(__file__).parents[1])]
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster import Cluster, Kubernetes

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "opencv"
TAG = "test"
WORKER_IMAGE = f"trunkline/worker:{TAG}"
#: As the example names it; without a tag, as people write it.
OPENCV_IMAGE = "docker.io/pachyderm/opencv:latest"


def build_images(out: Path) -> list[Path]:
    """Build the images of server and worker; return their archives."""
    done = subprocess.run(
        [ROOT / "scripts" / "build-images", "--tag", TAG, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"scripts/build-images ended with {done.returncode}: {done.stderr[-3000:]}"
    return [Path(line) for line in done.stdout.splitlines()]


def opencv_image(folder: Path) -> Path:
    """Build the example's image: a Debian, the packages of its requirements, and its files."""
    lines = (EXAMPLE / "image" / "requirements.txt").read_text().splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    files = {f"/{path.name}": path for path in (EXAMPLE / "image" / "files").iterdir()}
    layers = [
        images.debian_layer(),
        images.packages_layer(requirements),
        images.files_layer(folder / "files.tar", files),
    ]
    return images.archive(folder / "opencv.tar", OPENCV_IMAGE, layers)


class Ledger:
    """What commands in pods tell: an HTTP server on which each run of a datum reports, and waits to be let on."""

    def __init__(self, host: str) -> None:
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ledger._hear(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._lock = threading.Lock()
        self._runs: list[tuple[float, str]] = []
        self._open = threading.Event()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _hear(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self._runs.append((time.time(), request.path.strip("/")))
        self._open.wait()
        with contextlib.suppress(OSError):  # the command may be gone by now
            request.send_response(200)
            request.send_header("Content-Length", "0")
            request.end_headers()

    @property
    def runs(self) -> Counter[str]:
        """How often each datum was begun."""
        with self._lock:
            return Counter(name for _, name in self._runs)

    def times(self) -> list[float]:
        """When runs were begun, in seconds since the epoch, in order."""
        with self._lock:
            return [at for at, _ in self._runs]

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._runs.clear()

    def let_go(self) -> None:
        """Let the commands that wait go on, and those that come later pass."""
        self._open.set()

    def script(self, repo: str) -> str:
        """Return a shell script that reports each input file, waits to be let on, and copies it."""
        return (
            f"for file in /pfs/{repo}/*; do wget -q -O /dev/null {self.url}/$(basename $file); "
            "cp $file /pfs/out/; done"
        )

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()


class Forwarder:
    """Takes TCP connections on an address and passes them to a socket of this machine, such as a database's.

    A process of its own: what it leaves open ends with it.
    """

    def __init__(self, host: str, path: str) -> None:
        command = [sys.executable, Path(__file__).with_name("forwarder.py"), host, path]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def rights(
    namespace: str, subject: dict[str, str], leave_out: Sequence[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Return what grants a server its rights; ``leave_out`` names verbs and resources that it does not get."""
    requests = {
        "pods": ["create", "delete", "get", "list", "patch", "watch"],
        "events": ["list", "watch"],
        "secrets": ["create", "delete", "get", "list", "patch", "update"],
    }
    rules = [
        {
            "apiGroups": [""],
            "resources": [resource],
            "verbs": [v for v in verbs if (v, resource) not in leave_out],
        }
        for resource, verbs in requests.items()
    ]
    nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}]
    rbac, name = "rbac.authorization.k8s.io", "trunkline-under-test"
    return [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": namespace},
            "rules": rules,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [subject],
        },
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": nodes},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
        {  # Service accounts have it; the server beside the cluster is a user.
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{name}-keys"},
            "roleRef": {
                "apiGroup": rbac,
                "kind": "ClusterRole",
                "name": "system:service-account-issuer-discovery",
            },
            "subjects": [subject],
        },
    ]


def local_server(
    cluster: Cluster,
    namespace: str,
    data: Path,
    *,
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Server:
    """Return a server beside the cluster, with its workers in a namespace of it. Not started."""
    return Server(
        data,
        environment={"KUBECONFIG": str(cluster.kubeconfig_of("trunkline"))} | (environment or {}),
        options=[
            *("--fleet", "kubernetes", "--namespace", namespace, "--worker-image", WORKER_IMAGE),
            "--insecure",  # an address that pods reach
            *options,
        ],
        listen=f"{cluster.host}:0",
    )


def command_line(server: Server, *arguments: str | Path) -> str:
    """Run the command line against a server; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "trunkline.cli", *map(str, arguments)],
        env=os.environ | {"PACHD_ADDRESS": server.address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"trunkline {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout


def pods_of(cluster: Kubernetes, namespace: str, pipeline: str = "") -> list[dict[str, Any]]:
    """Return the worker pods of a namespace, of one pipeline or of all."""
    labels = "app.kubernetes.io/component=worker" + (
        f",trunkline.dev/pipeline={pipeline}" if pipeline else ""
    )
    return cluster.items("-n", namespace, "pods", "-l", labels)


class PodHistory:
    """Everything that happens to the pods of a namespace from now on, as the API server tells it."""

    def __init__(self, cluster: Kubernetes, namespace: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed with the history
        self._watch = cluster.watch_pods(self._log, namespace)

    def phases(self) -> list[tuple[str, str, str]]:
        """Return what happened, in order: (ADDED, MODIFIED or DELETED, pod, phase)."""
        self._log.seek(0)
        return [pod_change(line) for line in self._log if line.endswith("\n")]

    def most_running(self) -> int:
        """Return how many pods ran at the same time at most."""
        alive: set[str] = set()
        most = 0
        for change, pod, phase in self.phases():
            if change != "DELETED" and phase == "Running":
                alive.add(pod)
            else:
                alive.discard(pod)
            most = max(most, len(alive))
        return most

    def close(self) -> None:
        self._watch.kill()
        self._watch.wait()
        self._log.close()
