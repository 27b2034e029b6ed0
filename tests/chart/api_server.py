"""A real API server with its etcd, on loopback: it judges manifests as a cluster would; no pod ever runs.

The binaries are those of ``KUBEBUILDER_ASSETS``. Whoever starts it closes it; nothing is left behind.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patience import eventually

if TYPE_CHECKING:
    from types import TracebackType

BINARIES = ("etcd", "kube-apiserver", "kubectl")


def missing() -> str:
    """Say what is missing to start one, or nothing."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "")
    if not folder:
        return "KUBEBUILDER_ASSETS, the folder with etcd and kube-apiserver, is not set"
    lacking = [name for name in BINARIES if not (Path(folder) / name).is_file()]
    if lacking:
        return f"KUBEBUILDER_ASSETS lacks {', '.join(lacking)}"
    return "" if shutil.which("openssl") else "there is no openssl to make the key of service accounts"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class ApiServer:
    """An API server; a context manager that ends it."""

    def __enter__(self) -> ApiServer:
        assets = Path(os.environ["KUBEBUILDER_ASSETS"])
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-chart-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._begin(assets)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begin(self, assets: Path) -> None:
        folder = self._folder
        client, peer, secure = free_ports(3)
        etcd, self.url = f"http://127.0.0.1:{client}", f"https://127.0.0.1:{secure}"
        self._token = secrets.token_hex(16)
        self._kubectl = assets / "kubectl"
        (folder / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        subprocess.run(
            ["openssl", "genrsa", "-out", folder / "sa.key", "2048"], check=True, capture_output=True
        )
        self._start(
            assets / "etcd",
            f"--data-dir={folder}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )
        server = self._start(
            assets / "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--cert-dir={folder}/pki",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=RBAC",
            # Without controllers no account exists, and pods of none would be refused.
            "--disable-admission-plugins=ServiceAccount",
        )
        eventually(
            lambda: server.poll() is not None or self._answers(), f"API server ready; see {folder}/*.log"
        )
        assert server.poll() is None, (folder / "kube-apiserver.log").read_text()[-2000:]

    def _start(self, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program.name}.log").open("wb") as log:
            process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return process

    def _end(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        try:
            return self.fetch("/readyz") == b"ok"
        except OSError:
            return False

    def fetch(self, path: str) -> bytes:
        """Return what a GET answers."""
        asked = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(asked, timeout=10, context=ssl._create_unverified_context()) as answer:
            content: bytes = answer.read()
        return content

    def kubeconfig(self) -> Path:
        """Return a file by which kubectl and helm find it."""
        path = self._folder / "kubeconfig"
        cluster = {"server": self.url, "insecure-skip-tls-verify": True}
        parts = {"cluster": cluster, "user": {"token": self._token}, "context": {"cluster": "a", "user": "a"}}
        lists = {f"{kind}s": [{"name": "a", kind: part}] for kind, part in parts.items()}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "a", **lists}))
        return path

    def kubectl(self, *arguments: str, objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        """Run kubectl on objects."""
        return subprocess.run(
            [
                *(self._kubectl, f"--server={self.url}", f"--token={self._token}"),
                *("--insecure-skip-tls-verify", "--kubeconfig=/dev/null", *arguments, "-f", "-"),
            ],
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
