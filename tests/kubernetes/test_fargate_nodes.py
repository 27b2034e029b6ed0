"""The article on AWS Fargate: pods wait for machines, machines come, real workers work, and everything goes.

The cluster is real, Fargate is a stand-in (standins/fargate.py) whose machines come after some seconds, and the
workers on them are processes of this computer that run real commands.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from cluster import until
from installation import EXAMPLE, PodHistory, command_line, local_server, rights
from pachyderm_sdk.api import pps
from servers import ended, files_of, make_repo, put
from standins.fargate import Fargate, Startup, is_fargate
from standins.scene import PATIENCE, USER, Gate, no_pods_left, numbers, reason_of, running
from standins.stage import Stage

from trunkline.drivers.fleets.images import ImageEnvironments, ImageState
from trunkline.rpc.gen import control_pb2
from trunkline.scaling.profiles import Profile, Selector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster import Cluster
    from pachyderm_sdk import Client
    from servers import Server

#: A start of 50 seconds takes 2.
SPEED = 25.0
#: Two workers that ask for nothing take 0.25 vCPU each.
SMALLEST = 0.25


@pytest.fixture(scope="module")
def startup() -> Startup:
    return Startup(speed=SPEED, chance=random.Random(5))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageEnvironments]:
    images = ImageEnvironments(tmp_path_factory.mktemp("images"))
    yield images
    images.close()


@pytest.fixture(scope="module")
def stage(cluster: Cluster, images: ImageEnvironments, startup: Startup) -> Iterator[Stage]:
    stage = Stage(cluster, images=images, pull=lambda _: startup.pull())
    yield stage
    stage.close()


@pytest.fixture
def fargate(stage: Stage, namespace: str, startup: Startup, tmp_path: Path) -> Iterator[Fargate]:
    """Fargate with the article's profile: pods that are labelled ``node=fargate``."""
    selector = Selector(namespace=namespace, labels=(("node", "fargate"),))
    fargate = Fargate(
        stage.api,
        stage.pods,
        stage.nodes,
        host=stage.cluster.host,
        folder=tmp_path,
        profiles=[Profile(name="workers", selectors=(selector,))],
        startup=startup,
    )
    yield fargate
    fargate.close()


@pytest.fixture
def server(cluster: Cluster, fargate: Fargate, namespace: str, tmp_path: Path) -> Iterator[Server]:
    cluster.apply(*rights(namespace, USER))
    server = local_server(cluster, namespace, tmp_path / "data").start()
    yield server
    server.close()
    print(server.log.read_text()[-5000:])


@pytest.fixture
def history(cluster: Cluster, namespace: str) -> Iterator[PodHistory]:
    history = PodHistory(cluster, namespace)
    yield history
    history.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.let_go()


@pytest.fixture
def opencv(images: ImageEnvironments) -> None:
    """The example's image environment, with OpenCV in it."""
    requirements = (EXAMPLE / "image" / "requirements.txt").read_text()
    files = [(f"/{path.name}", path.read_bytes(), 0o644) for path in (EXAMPLE / "image" / "files").iterdir()]
    images.create("pachyderm/opencv", requirements, files)
    built = images.wait("pachyderm/opencv", 300.0)
    assert built is not None
    assert built.state is ImageState.READY, built.reason


def make_pipeline(client: Client, script: str, workers: int, **spec: Any) -> pps.Pipeline:
    pipeline = pps.Pipeline(name="copies")
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pfs=pps.PfsInput(repo="data", glob="/*")),
        transform=pps.Transform(cmd=["sh", "-e", "-c", script]),
        parallelism_spec=pps.ParallelismSpec(constant=workers),
        autoscaling=True,
        datum_set_spec=pps.DatumSetSpec(number=1),
        metadata=pps.Metadata(labels={"node": "fargate"}),
        **spec,
    )
    return pipeline


def fargate_nodes(cluster: Cluster) -> list[str]:
    return [node["metadata"]["name"] for node in cluster.items("nodes") if is_fargate(node)]


def machines_of(server: Server, kind: str) -> list[control_pb2.MachineInfo]:
    """Return the machines of a kind that are ready."""
    response = server.control().ListMachine(control_pb2.ListMachineRequest())
    return [machine for machine in response if machine.kind == kind and machine.ready]


# --- good days -----------------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_the_article_is_told_with_machines_that_come_and_go(
    cluster: Cluster,
    stage: Stage,
    fargate: Fargate,
    opencv: None,
    server: Server,
    namespace: str,
    history: PodHistory,
    photographs: dict[str, bytes],
) -> None:
    """Five workers of ``edges`` on Fargate, one of ``montage`` on the machine that is there; 0 -> 5 -> 0."""
    stage.add_node("ip-192-168-1-1.us-east-1.compute.internal", "4", "16Gi")
    client = server.client()
    images = make_repo(client, "images")
    for name in ("edges", "montage"):
        command_line(server, "create", "pipeline", "-f", EXAMPLE / f"{name}.json")
    edges, montage = pps.Pipeline(name="edges"), pps.Pipeline(name="montage")
    before = fargate_nodes(cluster)

    # No machine comes before the reason was read, however busy this computer is.
    fargate.machines_come = False
    commit = put(client, images, photographs)
    waiting = reason_of(client, edges, "Fargate")
    fargate.machines_come = True
    machine = until(lambda: machines_of(server, "fargate"), "machines of Fargate")[0]
    job = ended(client, montage, commit)
    no_pods_left(cluster, namespace)
    until(lambda: not fargate_nodes(cluster), "all machines of Fargate to be gone")

    assert before == []
    assert "Fargate is starting a node" in waiting
    assert machine.group == "workers"
    assert machine.name.startswith("fargate-ip-")
    # 1 CPU and 4 GiB for the whole pod, and 256 MiB of Fargate's.
    assert machine.instance_type == "1vCPU 5GB"
    assert machine.dollars_per_hour == pytest.approx(1 * 0.04048 + 5 * 0.004445, rel=1e-6)
    assert machine.pretended
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert len(files_of(client, "edges@master")) == len(photographs)
    [sheet] = files_of(client, "montage@master").values()
    assert sheet[:8] == b"\x89PNG\r\n\x1a\n"
    on_fargate = {
        life.pipeline for life in stage.kubelet.lives_in(namespace) if life.node.startswith("fargate-")
    }
    assert on_fargate == {"edges"}
    assert len({name for _, name, phase in history.phases() if "-edges-" in name and phase == "Running"}) == 5

    fargate.machines_come = False
    again = put(client, images, {"/more.png": next(iter(photographs.values()))})
    reason = reason_of(client, edges, "Fargate", "starts take about")
    fargate.machines_come = True
    second = ended(client, edges, again)

    assert "worry after" in reason
    assert (second.data_processed, second.data_skipped) == (1, 10)


def test_a_second_batch_while_machines_are_there_pays_for_no_other(
    cluster: Cluster, stage: Stage, server: Server, namespace: str, gate: Gate
) -> None:
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), workers=2)
    first = put(client, data, numbers(4))
    until(lambda: len(gate.begun) == 2, "two commands to run")
    second = put(client, data, numbers(4, start=4))
    gate.let_go()

    jobs = [ended(client, copies, commit) for commit in (first, second)]
    no_pods_left(cluster, namespace)

    assert [job.state for job in jobs] == [pps.JobState.JOB_SUCCESS] * 2
    assert files_of(client, "copies@master") == numbers(8)
    assert len(stage.kubelet.lives_in(namespace)) == 2


# --- bad days ------------------------------------------------------------------------------------------------

REFUSED = {
    "privileged": (
        {"op": "add", "path": "/containers/0/securityContext", "value": {"privileged": True}},
        "invalid SecurityContext fields: Privileged",
    ),
    "host path": (
        {"op": "add", "path": "/volumes/-", "value": {"name": "disk", "hostPath": {"path": "/"}}},
        "volumes not supported: disk is of an unsupported volume Type",
    ),
    "host network": ({"op": "add", "path": "/hostNetwork", "value": True}, "HostNetwork"),
    "GPU": (
        {"op": "add", "path": "/containers/0/resources/limits", "value": {"nvidia.com/gpu": "1"}},
        "nvidia.com/gpu",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_pod_that_fargate_refuses_shows_its_reason(server: Server, what: str) -> None:
    operation, words = REFUSED[what]
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, "true", workers=1, pod_patch=json.dumps([operation]))
    put(client, data, numbers(1))

    reason = reason_of(client, copies, words)
    state = client.pps.inspect_pipeline(pipeline=copies).state

    assert "Fargate does not take this pod: Pod not supported on Fargate: " in reason
    assert state != pps.PipelineState.PIPELINE_FAILURE


def test_a_pipeline_that_was_refused_runs_once_it_is_corrected(server: Server, cluster: Cluster) -> None:
    operation, words = REFUSED["privileged"]
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, "cp /pfs/data/* /pfs/out/", 1, pod_patch=json.dumps([operation]))
    put(client, data, numbers(1))
    reason_of(client, copies, words)

    make_pipeline(client, "cp /pfs/data/* /pfs/out/", 1, update=True)
    until(lambda: files_of(client, "copies@master") == numbers(1), "the corrected pipeline to run", PATIENCE)


@pytest.mark.timeout(400)
def test_a_machine_that_does_not_come_becomes_worrying_and_is_used_when_it_comes(
    cluster: Cluster, fargate: Fargate, server: Server, namespace: str
) -> None:
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, "cp /pfs/data/* /pfs/out/", workers=1)
    ended(client, copies, put(client, data, numbers(1)))
    no_pods_left(cluster, namespace)

    fargate.machines_come = False
    commit = put(client, data, numbers(1, start=1))
    at_first = reason_of(client, copies, "worry after")
    later = reason_of(client, copies, "for longer than usual", seconds=PATIENCE)
    fargate.machines_come = True
    job = ended(client, copies, commit)

    assert "Fargate is starting a node" in at_first
    assert "Fargate is starting a node" in later
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason


def test_a_quota_that_is_reached_is_told_and_the_job_goes_on_with_what_there_is(
    cluster: Cluster, stage: Stage, fargate: Fargate, server: Server, namespace: str, gate: Gate
) -> None:
    fargate.vcpus = 2 * SMALLEST
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), workers=4)
    commit = put(client, data, numbers(6))
    until(lambda: len(gate.begun) == 2, "two commands to run")

    reason = reason_of(client, copies, "quota")
    fargate.vcpus = 3 * SMALLEST
    until(lambda: len(running(cluster, namespace)) == 3, "a third machine when the quota grows")
    gate.let_go()
    job = ended(client, copies, commit)
    no_pods_left(cluster, namespace)

    assert "vCPU" in reason
    assert (job.state, job.data_processed, job.data_failed) == (pps.JobState.JOB_SUCCESS, 6, 0)
    assert files_of(client, "copies@master") == numbers(6)
    assert len([life for life in stage.kubelet.lives_in(namespace) if life.running]) == 3


def test_a_machine_that_is_lost_while_busy_loses_no_result(
    cluster: Cluster, stage: Stage, server: Server, namespace: str, gate: Gate
) -> None:
    """Its node is deleted under a running command, as when a machine fails; another runs the datum again."""
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), workers=2)
    commit = put(client, data, numbers(4))
    until(lambda: len(gate.begun) == 2, "two commands to run")

    victim = fargate_nodes(cluster)[0]
    cluster.kubectl("delete", "node", victim)
    until(lambda: len(gate.begun) > 2, "the lost datum to run again", PATIENCE)
    gate.let_go()
    job = ended(client, copies, commit)
    no_pods_left(cluster, namespace)

    assert (job.state, job.data_processed, job.data_failed) == (pps.JobState.JOB_SUCCESS, 4, 0)
    assert files_of(client, "copies@master") == numbers(4)
    assert len(gate.begun) == 5


def test_a_worker_that_is_evicted_for_a_patch_of_its_machine_hands_in_what_it_has(
    cluster: Cluster, stage: Stage, server: Server, namespace: str, gate: Gate
) -> None:
    """AWS patches machines by evicting their pods: the command ends in its grace, and nothing runs twice."""
    client = server.client()
    data = make_repo(client, "data")
    copies = make_pipeline(client, gate.script("data"), workers=2)
    commit = put(client, data, numbers(4))
    until(lambda: len(gate.begun) == 2, "two commands to run")

    victim = running(cluster, namespace)[0]
    stage.evict(namespace, victim)
    until(lambda: victim not in running(cluster, namespace), "the pod to be asked to go")
    gate.let_go()
    job = ended(client, copies, commit)
    no_pods_left(cluster, namespace)

    assert (job.state, job.data_processed, job.data_failed) == (pps.JobState.JOB_SUCCESS, 4, 0)
    assert files_of(client, "copies@master") == numbers(4)
    assert gate.begun == [name[1:] for name in numbers(4)]


def test_pods_that_no_profile_takes_stay_on_the_nodes_that_are_there(
    cluster: Cluster, fargate: Fargate, namespace: str
) -> None:
    other = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": namespace, "labels": {"node": "elsewhere"}},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }

    cluster.apply(other)
    pod = cluster.get("-n", namespace, "pod", "other")

    assert pod["spec"]["schedulerName"] == "default-scheduler"
    assert "CapacityProvisioned" not in pod["metadata"].get("annotations", {})
    cluster.kubectl("-n", namespace, "delete", "pod", "other", "--force", "--grace-period=0")
