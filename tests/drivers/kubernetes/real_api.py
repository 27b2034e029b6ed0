"""A real etcd and a real API server on loopback, from the binaries that ``KUBEBUILDER_ASSETS`` names.

Nothing schedules and no kubelet runs: tests play them, as with the fake, through the same API.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from fake_api import event_about

#: Seconds; a loaded machine needs them.
START_SECONDS = 90.0
#: Service accounts of pods: without one that exists the API server refuses a pod. The controller manager, which does
#: not run here, would create the first.
ACCOUNTS = ("default", "workers")


def binaries() -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS", "")
    path = Path(folder)
    return path if folder and (path / "etcd").exists() and (path / "kube-apiserver").exists() else None


class RealApi:
    real = True

    def __init__(self, folder: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-kube-"))
        self._binaries = folder
        self._processes: list[subprocess.Popen] = []
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        etcd, peer, self.port = (_free_port() for _ in range(3))
        key = self._folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens = self._folder / "tokens"
        tokens.write_text("admin,admin,admin,system:masters\nserver,server,server\nnobody,nobody,nobody\n")
        self._spawn(
            "etcd",
            *("--data-dir", self._folder / "etcd", "--unsafe-no-fsync"),
            *(
                f"--listen-client-urls=http://127.0.0.1:{etcd}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            ),
            *(
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster=default=http://127.0.0.1:{peer}",
            ),
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        )
        self._spawn(
            "kube-apiserver",
            *(f"--etcd-servers=http://127.0.0.1:{etcd}", f"--secure-port={self.port}"),
            *("--bind-address=127.0.0.1", f"--cert-dir={self._folder / 'certificates'}"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *("--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={tokens}"),
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.call("GET", "/readyz", raw=True)
                break
            except (OSError, urllib.error.URLError):
                assert time.monotonic() < deadline, self._log()
                assert all(process.poll() is None for process in self._processes), self._log()
                threading.Event().wait(0.1)
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": "work"}})
        for account in ACCOUNTS:
            self.call("POST", "/api/v1/namespaces/work/serviceaccounts", {"metadata": {"name": account}})
        rights = "/apis/rbac.authorization.k8s.io/v1"
        rules = [
            {
                "apiGroups": [""],
                "resources": ["pods"],
                "verbs": ["create", "delete", "get", "list", "patch", "watch"],
            },
            {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "verbs": ["create", "delete", "get", "list", "update"],
            },
            {"apiGroups": [""], "resources": ["services"], "verbs": ["create", "delete", "list"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        ]
        self.call("POST", f"{rights}/namespaces/work/roles", {"metadata": {"name": "server"}, "rules": rules})
        nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]
        self.call("POST", f"{rights}/clusterroles", {"metadata": {"name": "nodes"}, "rules": nodes})
        subject = {"kind": "User", "name": "server", "apiGroup": "rbac.authorization.k8s.io"}
        for path, kind, role in (
            ("namespaces/work/rolebindings", "Role", "server"),
            ("clusterrolebindings", "ClusterRole", "nodes"),
            # Bound to all service accounts, but this server has none.
            ("clusterrolebindings", "ClusterRole", "system:service-account-issuer-discovery"),
        ):
            reference = {"kind": kind, "name": role, "apiGroup": "rbac.authorization.k8s.io"}
            binding = {
                "metadata": {"name": role.rpartition(":")[2]},
                "roleRef": reference,
                "subjects": [subject],
            }
            self.call("POST", f"{rights}/{path}", binding)

    def _spawn(self, name: str, *arguments: object) -> None:
        with open(self._folder / f"{name}.log", "wb") as log:
            command = [str(self._binaries / name), *map(str, arguments)]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _log(self) -> str:
        return "\n".join(log.read_text("utf-8", "replace")[-2000:] for log in self._folder.glob("*.log"))

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kubeconfig(self, user: str = "server") -> dict:
        address = f"https://127.0.0.1:{self.port}"
        return {
            "clusters": [{"name": "c", "cluster": {"server": address, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": user}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "work"}}],
            "current-context": "c",
        }

    def call(self, method: str, path: str, body: object = None, raw: bool = False, patch: str = "merge"):
        kind = f"application/{patch}-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer admin", "Content-Type": kind},
        )
        with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:
            content = answer.read()
        return content if raw else json.loads(content)

    # what tests do

    def pods(self) -> list[dict]:
        return self.objects("pods")

    def objects(self, resource: str) -> list[dict]:
        where = "" if resource == "nodes" else "/namespaces/work"
        return self.call("GET", f"/api/v1{where}/{resource}")["items"]

    def bind(self, name: str, node: str) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"metadata": {"name": name}, "target": target}
        self.call("POST", f"/api/v1/namespaces/work/pods/{name}/binding", body)

    def set_status(self, name: str, status: dict) -> None:
        self.call("PATCH", f"/api/v1/namespaces/work/pods/{name}/status", {"status": status})

    def finish_deletion(self, name: str) -> None:
        self.delete_pod(name)

    def delete_pod(self, name: str, grace: int = 0) -> None:
        self.call("DELETE", f"/api/v1/namespaces/work/pods/{name}?gracePeriodSeconds={grace}")

    def add(self, resource: str, namespace: str, obj: dict) -> None:
        where = f"/namespaces/{namespace}" if namespace else ""
        created = self.call("POST", f"/api/v1{where}/{resource}", obj)
        if "status" in obj:
            self.call(
                "PATCH",
                f"/api/v1{where}/{resource}/{created['metadata']['name']}/status",
                {"status": obj["status"]},
            )

    def remove(self, resource: str, namespace: str, name: str) -> None:
        where = f"/namespaces/{namespace}" if namespace else ""
        self.call("DELETE", f"/api/v1{where}/{resource}/{name}")

    def add_event(self, pod: str, reason: str, message: str, at: str, component: str = "") -> None:
        self.add("events", "work", event_about(pod, reason, message, at, component))

    def clear(self) -> None:
        for resource in ("pods", "events", "secrets"):
            self.call("DELETE", f"/api/v1/namespaces/work/{resource}?gracePeriodSeconds=0")
        for service in self.objects("services"):  # which have no collection to delete
            self.call("DELETE", f"/api/v1/namespaces/work/services/{service['metadata']['name']}")
        self.call("DELETE", "/api/v1/nodes")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
