"""A thousand workers in one step, on nodes that pretend: what the server asks of the cluster, and what it tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cluster import FAKE_LABEL, until
from images import BUSYBOX
from installation import local_server, pods_of, rights
from pachyderm_sdk.api import pps
from servers import make_repo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster import Cluster
    from pachyderm_sdk import Client
    from servers import Server

USER = {"kind": "User", "name": "trunkline", "apiGroup": "rbac.authorization.k8s.io"}
MANY = 1000
#: Seconds for a thousand pods to come or go on a busy machine.
PATIENCE = 400.0
FAKE = {
    "nodeSelector": {"type": FAKE_LABEL},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
}


@pytest.fixture(scope="module")
def fakes(cluster: Cluster) -> list[str]:
    """Ten fake nodes for 200 pods each."""
    cluster.start_kwok()
    return cluster.add_fake_nodes(10)


@pytest.fixture
def server(cluster: Cluster, fakes: list[str], namespace: str, tmp_path: Path) -> Iterator[Server]:
    cluster.apply(*rights(namespace, USER))
    server = local_server(cluster, namespace, tmp_path / "data").start()
    yield server
    server.close()
    print(server.log.read_text()[-5000:])


def make_pipeline(client: Client, workers: int, cpu: float = 0.01, name: str = "each") -> pps.Pipeline:
    make_repo(client, "data")
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pfs=pps.PfsInput(repo="data", glob="/*")),
        transform=pps.Transform(cmd=["true"], image=BUSYBOX),
        parallelism_spec=pps.ParallelismSpec(constant=workers),
        resource_requests=pps.ResourceSpec(cpu=cpu, memory="16Mi"),
        pod_spec=json.dumps(FAKE),
    )
    return pipeline


def phases(cluster: Cluster, namespace: str) -> list[str]:
    return [pod["status"].get("phase", "") for pod in pods_of(cluster, namespace)]


@pytest.mark.timeout(900)
def test_a_thousand_workers_come_in_one_step_and_go_in_one(
    cluster: Cluster, server: Server, namespace: str
) -> None:
    """Each worker costs its create and its delete; what is read comes by one watch."""
    before = cluster.asked("trunkline")
    client = server.client()

    each = make_pipeline(client, MANY)
    until(lambda: phases(cluster, namespace).count("Running") == MANY, f"{MANY} pods to run", PATIENCE)
    asked = cluster.asked("trunkline") - before
    client.pps.stop_pipeline(pipeline=each)
    until(lambda: not phases(cluster, namespace), "all pods to be gone", PATIENCE)
    after = cluster.asked("trunkline") - before

    assert asked["create", "pods"] == MANY
    assert asked["delete", "pods"] == 0
    assert sum(asked.values()) <= 1.1 * MANY
    assert after["create", "pods"] == MANY
    assert after["delete", "pods"] == MANY
    assert sum(after.values()) <= 6 * MANY


def test_workers_that_fit_nowhere_say_what_is_missing(
    cluster: Cluster, server: Server, namespace: str
) -> None:
    client = server.client()

    pipeline = make_pipeline(client, 3, cpu=100)

    def reason() -> str:
        text: str = client.pps.inspect_pipeline(pipeline=pipeline, details=True).reason
        return text if "cpu" in text.lower() else ""

    shown_reason = until(reason, "the reason")
    info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
    assert "10 of 1" in shown_reason  # ten fake nodes lack it; there are real ones besides
    assert info.state not in (pps.PipelineState.PIPELINE_CRASHING, pps.PipelineState.PIPELINE_FAILURE)
    assert phases(cluster, namespace) == ["Pending"] * 3
