"""The pages about Kubernetes: their commands for the cluster, in order, against a real API server.

No pod ever runs there, so a deployment is made ready by hand, and what would wait for pods only asks for them. Each
installation of a page is a start of its own: the one before it is removed.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from api_server import ApiServer, missing
from chart import tool
from eks_page import clone, run
from handbook_page import blocks_run_by
from test_eks_page_cluster import STATUS
from test_kubernetes_page import PATHS, VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMESPACE = "kubectl create namespace trunkline"
#: What needs a pod or goes on, and what stands for it here.
SUBSTITUTES = {
    "helm test trunkline --namespace trunkline": "helm get hooks trunkline --namespace trunkline",
    "kubectl --namespace trunkline port-forward service/trunkline 30650:30650": (
        "kubectl --namespace trunkline get service/trunkline --output jsonpath={.spec.ports[*].port}"
    ),
}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    tool("helm")
    with ApiServer() as server:
        yield server


def test_the_commands_for_the_cluster_run(server: ApiServer, tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (eks,) = (values for values in VALUES if "serviceAccount" in values)
    (folder / "values-eks.yaml").write_text(json.dumps(eks))
    (folder / "my-values.yaml").write_text(json.dumps({"image": {"tag": "1"}}))
    environment = {
        "KUBECONFIG": str(server.kubeconfig()),
        "PATH": f"{folder / 'bin'}:{os.environ['KUBEBUILDER_ASSETS']}:{os.environ['PATH']}",
    }
    ready = (
        "kubectl --namespace trunkline patch deployment trunkline --subresource=status --type=merge"
        f" --patch '{json.dumps({'status': STATUS})}'"
    )
    outputs = {}
    lines = [
        line for path in PATHS for block in blocks_run_by(__file__, path) for line in block.text.splitlines()
    ]
    remove = "helm uninstall trunkline --namespace trunkline --ignore-not-found --no-hooks"

    for line in lines:
        command = SUBSTITUTES.get(line, line)
        if line == NAMESPACE and line in outputs:
            continue
        if line.startswith(("helm install", "helm template")):
            run(remove, folder, **environment)
        if line.startswith("helm upgrade"):  # of the installation that the plain manifests stand for
            run("kubectl --namespace trunkline delete -f trunkline.yaml --wait=false", folder, **environment)
            command = f"helm install trunkline charts/trunkline --namespace trunkline && {line}"
        if " rollout status " in line:
            assert run(ready, folder, **environment).returncode == 0
        done = run(command, folder, **environment)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        outputs[line] = done.stdout

    assert "30650" in outputs["kubectl --namespace trunkline port-forward service/trunkline 30650:30650"]
    assert (
        "deployment.apps/trunkline created"
        in outputs["kubectl --namespace trunkline apply -f trunkline.yaml"]
    )
    assert "uninstalled" in outputs["helm uninstall trunkline --namespace trunkline"]
