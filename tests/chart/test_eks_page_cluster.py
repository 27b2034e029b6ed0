"""docs/operate/eks.md: what it does to a cluster, in the page's order, against a real API server.

No pod ever runs there, so what people wait for is made true by hand, and a port is not forwarded but looked for.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from api_server import ApiServer, missing
from chart import CHART, helm, tool
from eks_page import blocks, clone, commands, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = next(values for values in map(yaml.safe_load, blocks("yaml")) if "persistence" in values)
STATUS = {
    "observedGeneration": 1,
    "replicas": 1,
    "updatedReplicas": 1,
    "readyReplicas": 1,
    "availableReplicas": 1,
}


def karpenter(kind: str, group: str, version: str, scope: str = "Cluster") -> dict[str, Any]:
    """Return a definition that lets an API server take objects of a kind, whatever is in them."""
    plural = f"{kind.lower()}{'es' if kind.endswith('s') else 's'}"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": scope,
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
            ],
        },
    }


@pytest.fixture
def server() -> Iterator[ApiServer]:
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    tool("helm")
    with ApiServer() as server:
        kinds = [
            karpenter("NodePool", "karpenter.sh", "v1"),
            karpenter("EC2NodeClass", "karpenter.k8s.aws", "v1"),
        ]
        created = server.kubectl("create", objects=kinds)
        assert created.returncode == 0, created.stderr
        waited = server.kubectl("wait", "--for=condition=Established", "--timeout=30s", objects=kinds)
        assert waited.returncode == 0, waited.stderr
        yield server


def test_the_values_of_the_page_can_be_installed() -> None:
    done = helm("template", "trunkline", CHART, values=VALUES)

    assert done.returncode == 0, done.stderr
    assert VALUES["image"]["repository"] in done.stdout


def test_the_commands_for_the_cluster_do_what_the_page_says(server: ApiServer, tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (folder / "values-eks.yaml").write_text(yaml.safe_dump(VALUES))
    (rendering,) = (
        line for block in blocks("sh") for line in block.splitlines() if line.endswith("> pool.yaml")
    )
    assert run(rendering, folder).returncode == 0
    environment = {
        "KUBECONFIG": str(server.kubeconfig()),
        "PATH": f"{folder / 'bin'}:{os.environ['KUBEBUILDER_ASSETS']}:{os.environ['PATH']}",
    }

    def become_ready() -> None:
        patch = json.dumps({"status": STATUS})
        status_patch = (
            "kubectl --namespace trunkline patch deployment trunkline --subresource=status --type=merge"
        )
        done = run(f"{status_patch} --patch '{patch}'", folder, **environment)
        assert done.returncode == 0, done.stderr

    outputs = {}
    for command in commands(__file__):
        if " rollout status " in command:
            become_ready()
        possible = command.replace(" --watch", "").replace(
            "port-forward service/trunkline 30650:30650",
            "get service/trunkline --output jsonpath={.spec.ports[*].port}",
        )
        done = run(possible, folder, **environment)
        assert done.returncode == 0, f"{possible}\n{done.stderr}"
        outputs[command] = done.stdout

    assert "successfully rolled out" in "".join(outputs.values())
    assert "30650" in outputs["kubectl --namespace trunkline port-forward service/trunkline 30650:30650"]
    assert "nodepool.karpenter.sh/workers created" in outputs["kubectl apply -f pool.yaml"]
