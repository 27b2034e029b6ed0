"""What the other tests stand on: the cluster starts real containers, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import Cluster, until
from images import BUSYBOX
from machine import PREFIX, cgroup_hierarchies, remove_leftovers

if TYPE_CHECKING:
    from node import Node


def pod(name: str, namespace: str, script: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, "restartPolicy": "Never"}
        | spec,
    }


def phase(cluster: Cluster, namespace: str, name: str) -> str:
    return cluster.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}", check=False)


def test_a_pod_reaches_another_by_the_name_of_its_service(
    cluster: Cluster, node: Node, namespace: str
) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "pages", "namespace": namespace},
        "spec": {"selector": {"app": "pages"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    serve = "mkdir /tmp/www && echo read me > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
    ask = f"until wget -q -O- http://pages.{namespace}.svc.cluster.local/; do sleep 0.2; done"

    cluster.apply(service, pod("pages", namespace, serve), pod("reader", namespace, ask))
    until(lambda: phase(cluster, namespace, "reader") == "Succeeded", "the reader to have read")

    assert cluster.kubectl("-n", namespace, "logs", "reader").splitlines()[-1] == "read me"


def test_containers_outlive_their_kubelet(cluster: Cluster, node: Node, namespace: str) -> None:
    cluster.apply(pod("sleeper", namespace, "exec sleep 1000"))
    until(lambda: phase(cluster, namespace, "sleeper") == "Running", "the sleeper to run")
    look = ["-n", namespace, "get", "pod", "sleeper", "-o", "jsonpath={.status.containerStatuses[0]}"]
    before = json.loads(cluster.kubectl(*look))

    node.kill_kubelet()
    node.start_kubelet()
    cluster.wait_ready(node)

    until(
        lambda: cluster.kubectl("-n", namespace, "exec", "sleeper", "--", "echo", "here", check=False), "exec"
    )
    assert json.loads(cluster.kubectl(*look)) == before


def test_requests_are_counted_by_who_made_them(cluster: Cluster) -> None:
    before = cluster.asked("admin")["get", "namespaces"]

    for _ in range(3):
        cluster.kubectl("get", "namespace", "default")

    assert cluster.asked("admin")["get", "namespaces"] == before + 3


def test_a_killed_run_leaves_nothing_after_the_next(cluster: Cluster) -> None:
    """The processes go with the run; folder and cgroups with the next machine."""
    code = (
        "import machine, signal; m = machine.Machine(); machine.make_cgroup(m.name + '/node'); "
        "print(m.name, m.pid, flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", code]
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as run:
        assert run.stdout is not None
        name, pid = run.stdout.readline().split()
        assert any((hierarchy / name / "node").exists() for hierarchy in cgroup_hierarchies())
        link = "tlk" + name[-8:]
        links = ["ip", "-o", "link", "show"]
        assert link in subprocess.run(links, capture_output=True, text=True, check=True).stdout
        run.send_signal(signal.SIGKILL)

    until(lambda: not Path("/proc", pid).exists(), "the machine's first process to end")
    remove_leftovers()

    assert name.startswith(PREFIX)
    assert not (Path(tempfile.gettempdir()) / name).exists()
    assert not any((hierarchy / name).exists() for hierarchy in cgroup_hierarchies())
    until(
        lambda: link not in subprocess.run(links, capture_output=True, text=True, check=True).stdout,
        "the kernel to take back the link",
    )
