"""Workers on nodes that autoscalers make and take away: pods bring nodes, idle ones let them go, busy ones do not.

The scheduler is the real one. Cluster Autoscaler is a stand-in (standins/autoscaler.py). Karpenter is the real one with
its own provider of machines that do not exist, where its command is (standins/karpenter.py).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from cluster import until
from installation import command_line, local_server, pods_of, rights
from pachyderm_sdk.api import pps
from servers import ended, files_of, make_repo, put
from standins import karpenter as karpenters
from standins.autoscaler import GROUP, M5_XLARGE, ClusterAutoscaler, Group, is_unschedulable
from standins.scene import PATIENCE, USER, Gate, no_pods_left, numbers, reason_of, running
from standins.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cluster import Cluster
    from pachyderm_sdk import Client
    from servers import Server

#: Two workers of this size fill an m5.xlarge, beside the worker's own 0.05.
HALF = 1.9


@pytest.fixture(scope="module")
def stage(cluster: Cluster) -> Iterator[Stage]:
    stage = Stage(cluster)
    yield stage
    stage.close()


@pytest.fixture
def labels(namespace: str) -> dict[str, str]:
    """Of the nodes that the pods of a test may be on."""
    return {"pool": namespace}


@pytest.fixture
def group(labels: dict[str, str]) -> Group:
    return Group(name="workers", most=4, labels=labels, **M5_XLARGE)


@pytest.fixture
def start_autoscaler(stage: Stage, group: Group) -> Iterator[Callable[[], ClusterAutoscaler]]:
    with contextlib.ExitStack() as started:

        def start() -> ClusterAutoscaler:
            autoscaler = ClusterAutoscaler(
                stage.api, stage.pods, stage.nodes, [group], scan=0.5, unneeded=2.0
            )
            started.callback(autoscaler.close)
            return autoscaler

        yield start
    for name in group_nodes(stage.cluster):
        stage.cluster.kubectl("delete", "node", name, "--wait=false")


@pytest.fixture
def autoscaler(start_autoscaler: Callable[[], ClusterAutoscaler]) -> ClusterAutoscaler:
    return start_autoscaler()


@pytest.fixture
def server(cluster: Cluster, stage: Stage, namespace: str, tmp_path: Path) -> Iterator[Server]:
    cluster.apply(*rights(namespace, USER))
    server = local_server(cluster, namespace, tmp_path / "data").start()
    yield server
    server.close()
    print(server.log.read_text()[-5000:])


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.let_go()


def make_pipeline(
    client: Client, script: str, labels: dict[str, str], workers: int, cpu: float = HALF, **spec: Any
) -> pps.Pipeline:
    pipeline = pps.Pipeline(name="copies")
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pfs=pps.PfsInput(repo="data", glob="/*")),
        transform=pps.Transform(cmd=["sh", "-e", "-c", script]),
        parallelism_spec=pps.ParallelismSpec(constant=workers),
        datum_set_spec=pps.DatumSetSpec(number=1),
        resource_requests=pps.ResourceSpec(cpu=cpu, memory="1Gi"),
        scheduling_spec=pps.SchedulingSpec(node_selector=labels),
        **{"autoscaling": True} | spec,
    )
    return pipeline


def group_nodes(cluster: Cluster) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.items("nodes", "-l", GROUP)]


def places(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the node of each pod that has one."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in pods_of(cluster, namespace)
        if pod["spec"].get("nodeName")
    }


def unschedulable(stage: Stage, namespace: str) -> list[str]:
    """Return the pods for which the scheduler has found no node."""
    pods = [pod for pod in stage.pods.all() if is_unschedulable(pod)]
    return [pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == namespace]


def taints_of(cluster: Cluster, name: str) -> set[str]:
    return {taint["key"] for taint in cluster.get("node", name)["spec"].get("taints", [])}


def pass_scans(autoscaler: ClusterAutoscaler, number: int) -> None:
    """Wait until the autoscaler has looked so many times more."""
    until(lambda end=autoscaler.scans + number: autoscaler.scans >= end, f"{number} scans")


# --- Cluster Autoscaler --------------------------------------------------------------------------------------


def test_pods_bring_nodes_and_nodes_go_when_the_work_is_done(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    start_autoscaler: Callable[[], ClusterAutoscaler],
    gate: Gate,
) -> None:
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=5)
    before = group_nodes(cluster)

    # Its first scan sees all pods, and no machine comes before the reason was read.
    commit = put(client, data, numbers(10))
    until(lambda: len(unschedulable(stage, namespace)) == 5, "five pods that fit nowhere")
    autoscaler = start_autoscaler()
    autoscaler.machines_come = False
    reason = reason_of(client, copies, "Cluster Autoscaler")
    autoscaler.machines_come = True
    until(lambda: len(gate.begun) == 5, "five commands to run")
    nodes = group_nodes(cluster)
    listed = command_line(server, "list", "node")
    gate.let_go()
    job = ended(client, copies, commit)
    no_pods_left(cluster, namespace)
    until(lambda: not group_nodes(cluster), "all nodes of the group to be gone", PATIENCE)

    assert before == []
    assert "no node fits yet; Cluster Autoscaler is adding nodes: [{workers 0->3 (max: 4)}]" in reason
    assert len(nodes) == 3
    assert "node group (pretended)" in listed
    assert "m5.xlarge" in listed
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 10)
    assert files_of(client, "copies@master") == numbers(10)
    assert len(gate.begun) == 10


def test_a_busy_worker_keeps_its_node_and_lets_it_go_when_its_work_is_done(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    autoscaler: ClusterAutoscaler,
    gate: Gate,
) -> None:
    """Its pod takes little of the node and would fit elsewhere: only its mark protects it."""
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=1, cpu=0.5)
    commit = put(client, data, numbers(2))
    until(lambda: gate.begun, "the command to run")
    [(pod, home)] = places(cluster, namespace).items()
    spare = f"spare-{namespace}"
    stage.add_node(spare, "4", "16Gi", labels)

    pass_scans(autoscaler, 10)
    taints = taints_of(cluster, home)
    pods = running(cluster, namespace)
    gate.let_go()
    job = ended(client, copies, commit)
    until(lambda: home not in group_nodes(cluster), "the node to go", PATIENCE)

    assert taints == set()
    assert pods == [pod]
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 2)
    assert gate.begun == ["00", "01"]
    cluster.kubectl("delete", "node", spare)


def test_an_idle_worker_that_is_always_wanted_moves_and_lets_its_node_go(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    autoscaler: ClusterAutoscaler,
) -> None:
    client = server.client()
    make_repo(client, "data")
    make_pipeline(client, "true", labels, workers=1, cpu=0.5, autoscaling=False)
    until(lambda: running(cluster, namespace), "the worker to run")
    [(pod, home)] = places(cluster, namespace).items()
    spare = f"spare-{namespace}"
    stage.add_node(spare, "4", "16Gi", labels)

    until(lambda: home not in group_nodes(cluster), "the node to go", PATIENCE)
    moved = until(
        lambda: pod not in running(cluster, namespace) and places(cluster, namespace), "another pod"
    )
    state = client.pps.inspect_pipeline(pipeline=pps.Pipeline(name="copies")).state

    assert set(moved.values()) == {spare}
    assert state == pps.PipelineState.PIPELINE_RUNNING
    cluster.kubectl("delete", "node", spare)


def test_a_group_that_is_at_its_largest_is_named_and_the_job_goes_on_with_what_there_is(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    gate: Gate,
) -> None:
    small = Group(name="workers", most=1, labels=labels, **M5_XLARGE)
    autoscaler = ClusterAutoscaler(stage.api, stage.pods, stage.nodes, [small], scan=0.5, unneeded=2.0)
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=4)
    try:
        commit = put(client, data, numbers(6))
        reason = reason_of(client, copies, "Cluster Autoscaler cannot add one")
        until(lambda: len(gate.begun) == 2, "two commands to run")
        gate.let_go()
        job = ended(client, copies, commit)
        until(lambda: not group_nodes(cluster), "the node to go", PATIENCE)
    finally:
        autoscaler.close()

    assert "1 max node group size reached" in reason
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 6)
    assert len([life for life in stage.kubelet.lives_in(namespace) if life.running]) == 2


def test_a_group_whose_machines_no_worker_fits_is_told_with_what_is_missing(
    server: Server, labels: dict[str, str], autoscaler: ClusterAutoscaler
) -> None:
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, "true", labels, workers=1, cpu=6)
    put(client, data, numbers(1))

    reason = reason_of(client, copies, "Cluster Autoscaler cannot add one")

    assert "1 Insufficient cpu" in reason


# --- Karpenter -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def karpenter(cluster: Cluster, stage: Stage) -> Iterator[karpenters.Karpenter]:
    if lacking := karpenters.missing(cluster.binaries):
        pytest.skip(lacking)
    provisioner = karpenters.Karpenter(cluster)
    yield provisioner
    print(provisioner.tail())
    provisioner.close()


def disruptions_blocked(cluster: Cluster) -> list[str]:
    """Return why Karpenter has left machines alone so far."""
    blocked = cluster.items("-A", "events", "--field-selector", "reason=DisruptionBlocked")
    return [event["message"] for event in blocked]


@pytest.fixture
def pool(karpenter: karpenters.Karpenter, namespace: str, labels: dict[str, str]) -> Iterator[str]:
    """A node pool for the test's pods, of four machines at most."""
    karpenter.add_pool(namespace, labels, cpu=16)
    yield namespace
    karpenter.remove_pool(namespace)


@pytest.mark.timeout(400)
def test_karpenter_makes_machines_for_pods_and_takes_them_away_when_they_are_empty(
    cluster: Cluster,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    karpenter: karpenters.Karpenter,
    pool: str,
    gate: Gate,
) -> None:
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=5)

    commit = put(client, data, numbers(10))
    reason = reason_of(client, copies, "Karpenter")
    until(lambda: len(gate.begun) == 5, "five commands to run")
    nodes = karpenter.nodes(pool)
    listed = command_line(server, "list", "node")
    gate.let_go()
    job = ended(client, copies, commit)
    until(lambda: not karpenter.nodes(pool), "all machines to be gone", PATIENCE)

    assert "no node fits yet; Karpenter is starting nodeclaim/" in reason
    assert len(nodes) == 3
    assert "karpenter (pretended)" in listed
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 10)
    assert files_of(client, "copies@master") == numbers(10)
    assert len(gate.begun) == 10


@pytest.mark.timeout(400)
def test_karpenter_leaves_a_busy_worker_alone_and_consolidates_when_it_is_done(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    karpenter: karpenters.Karpenter,
    pool: str,
    gate: Gate,
) -> None:
    """Its pod would fit on a node that is there and free: only its mark protects it."""
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=1, cpu=0.5)
    commit = put(client, data, numbers(2))
    until(lambda: gate.begun, "the command to run")
    [home] = places(cluster, namespace).values()
    spare = f"spare-{namespace}"
    stage.add_node(spare, "4", "16Gi", labels)

    until(lambda: disruptions_blocked(cluster), "Karpenter to think of taking the machine", PATIENCE)
    taints = taints_of(cluster, home)
    gate.let_go()
    job = ended(client, copies, commit)
    until(lambda: not karpenter.nodes(pool), "the machine to go", PATIENCE)

    assert taints == set()
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 2)
    assert gate.begun == ["00", "01"]
    cluster.kubectl("delete", "node", spare)


@pytest.mark.timeout(400)
def test_a_pool_that_is_at_its_limit_is_told_and_the_job_goes_on_with_what_there_is(
    cluster: Cluster,
    stage: Stage,
    server: Server,
    namespace: str,
    labels: dict[str, str],
    karpenter: karpenters.Karpenter,
    gate: Gate,
) -> None:
    karpenter.add_pool(namespace, labels, cpu=4)
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), labels, workers=4)
    try:
        commit = put(client, data, numbers(6))
        until(lambda: len(gate.begun) == 2, "two commands to run")
        reason = reason_of(client, copies, "Karpenter cannot add one", "limit")
        gate.let_go()
        job = ended(client, copies, commit)
    finally:
        gate.let_go()  # Karpenter waits for busy workers even when its pool is removed
        karpenter.remove_pool(namespace)

    assert "2 workers wait" in reason
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 6)
    assert len([life for life in stage.kubelet.lives_in(namespace) if life.running]) == 2
