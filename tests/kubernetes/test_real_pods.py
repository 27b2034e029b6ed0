"""Workers as real pods, on good days and on bad ones: every job comes to its right end, no datum counts twice.

The server runs beside the cluster and reaches it with few rights; commands report each run to a ``Ledger``
outside, which holds them until the test has done its harm. So nothing here waits for a time, only for states.
"""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from cluster import until
from images import BUSYBOX
from installation import (
    EXAMPLE,
    Ledger,
    PodHistory,
    command_line,
    local_server,
    pods_of,
    rights,
)
from pachyderm_sdk.api import pps
from servers import ENDS, files_of, make_repo, put

from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster import Cluster
    from node import Node
    from pachyderm_sdk import Client
    from pachyderm_sdk.api import pfs
    from servers import Server

USER = {"kind": "User", "name": "trunkline", "apiGroup": "rbac.authorization.k8s.io"}
#: Seconds that a job may take: some pod starts on a busy machine, and a lease that runs out.
PATIENCE = 120.0
SMALL = pps.ResourceSpec(cpu=0.05, memory="32Mi")


@pytest.fixture
def server(cluster: Cluster, worker_node: Node, namespace: str, tmp_path: Path) -> Iterator[Server]:
    """A server whose workers are pods of the test's namespace."""
    cluster.apply(*rights(namespace, USER))
    server = local_server(cluster, namespace, tmp_path / "data").start()
    yield server
    server.close()
    print(server.log.read_text())


@pytest.fixture
def ledger(cluster: Cluster) -> Iterator[Ledger]:
    ledger = Ledger(cluster.host)
    yield ledger
    ledger.close()


def make_pipeline(
    client: Client, name: str, script: str, repo: str, workers: int = 1, **spec: Any
) -> pps.Pipeline:
    pipeline = pps.Pipeline(name=name)
    transform = {"cmd": ["sh", "-e", "-c", script], "image": BUSYBOX} | spec.pop("transform", {})
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pfs=pps.PfsInput(repo=repo, glob="/*")),
        transform=pps.Transform(**transform),
        parallelism_spec=pps.ParallelismSpec(constant=workers),
        autoscaling=True,
        resource_requests=SMALL,
        datum_set_spec=pps.DatumSetSpec(number=1),
        **spec,
    )
    return pipeline


def ended(client: Client, pipeline: pps.Pipeline, commit: str) -> pps.JobInfo:
    job = pps.Job(pipeline=pipeline, id=commit)

    def look() -> pps.JobInfo | None:
        info = client.pps.inspect_job(job=job, details=True)
        return info if info.state in ENDS else None

    try:
        info: pps.JobInfo = until(look, f"{pipeline.name} to end", PATIENCE)
    except AssertionError as error:
        pipeline_info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        state = pps.PipelineState(pipeline_info.state).name
        raise AssertionError(f"{error}; the pipeline is {state}: {pipeline_info.reason}") from None
    return info


def numbers(count: int, start: int = 0) -> dict[str, bytes]:
    return {f"/{number:02}": b"%d" % number for number in range(start, start + count)}


def no_pods_left(cluster: Cluster, namespace: str) -> None:
    until(lambda: not pods_of(cluster, namespace), "all pods to be gone")


def running(cluster: Cluster, namespace: str, pipeline: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in pods_of(cluster, namespace, pipeline)
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def two(pods: list[str]) -> list[str]:
    return pods if len(pods) == 2 else []


# --- good days -----------------------------------------------------------------------------------------------


def test_the_example_runs_as_it_is_written(
    cluster: Cluster,
    worker_node: Node,
    opencv: str,
    server: Server,
    namespace: str,
    photographs: dict[str, bytes],
) -> None:
    """The published spec by the command line: no pods, five pods that find real edges, no pods."""
    client = server.client()
    history = PodHistory(cluster, namespace)
    images = make_repo(client, "images")
    command_line(server, "create", "pipeline", "-f", EXAMPLE / "edges.json")
    edges = pps.Pipeline(name="edges")
    before = pods_of(cluster, namespace)

    first = put(client, images, photographs)
    job = ended(client, edges, first)
    no_pods_left(cluster, namespace)
    second = put(client, images, {"/more.png": next(iter(photographs.values()))})
    again = ended(client, edges, second)
    no_pods_left(cluster, namespace)

    assert before == []
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert (job.data_processed, job.data_skipped) == (10, 0)
    assert (again.data_processed, again.data_skipped) == (1, 10)
    assert history.most_running() == 5
    contents = files_of(client, "edges@master")
    assert len(contents) == 11
    assert all(data.startswith(b"\x89PNG\r\n\x1a\n") for data in contents.values())
    logs = [line.message for line in client.pps.get_logs(job=pps.Job(pipeline=edges, id=first)) if line.user]
    assert len(logs) >= 10
    history.close()


def test_a_pod_carries_what_the_spec_says(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    labels = pps.Metadata(labels={"node": "fargate"}, annotations={"who": "me"})
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", metadata=labels)

    commit = put(client, images, numbers(1))
    until(lambda: ledger.runs, "the command to run")
    [pod] = pods_of(cluster, namespace, "copies")
    ledger.let_go()
    job = ended(client, copies, commit)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert pod["metadata"]["labels"]["node"] == "fargate"
    assert pod["metadata"]["annotations"]["who"] == "me"
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    user = next(each for each in pod["spec"]["containers"] if each["name"] == "user")
    assert user["resources"]["requests"] == {"cpu": "50m", "memory": "32Mi"}


def test_secrets_reach_the_command_as_variables_and_files(
    server: Server, namespace: str, cluster: Cluster
) -> None:
    client = server.client()
    client.pps.create_secret(name="vault", data={"key": "sesame"})
    images = make_repo(client, "images")
    mounts = [
        pps.SecretMount(name="vault", key="key", env_var="VAULT"),
        pps.SecretMount(name="vault", mount_path="/run/vault"),
    ]
    script = "echo $VAULT > /pfs/out/variable; cp /run/vault/key /pfs/out/file"
    pipeline = make_pipeline(client, "shown", script, "images", transform={"secrets": mounts})

    job = ended(client, pipeline, put(client, images, numbers(1)))

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert files_of(client, "shown@master") == {"/variable": b"sesame\n", "/file": b"sesame"}
    assert [info.secret.name for info in client.pps.list_secret().secret_info] == ["vault"]


def batch(
    client: Client, cluster: Cluster, namespace: str, repo: pfs.Repo, pipeline: pps.Pipeline, first: int
) -> list[str]:
    """Run a batch of ten new datums from zero workers to zero; return the pods that it started."""
    history = PodHistory(cluster, namespace)
    job = ended(client, pipeline, put(client, repo, numbers(10, first)))
    no_pods_left(cluster, namespace)
    pods = sorted({pod for change, pod, _ in history.phases() if change == "ADDED"})
    history.close()
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 10), job.reason
    return pods


def decisions(server: Server, pipeline: pps.Pipeline, after: int = 0) -> list[control_pb2.Decision]:
    """Return what ``explain pipeline`` prints of the time after so many nanoseconds, oldest first."""
    request = control_pb2.ExplainPipelineRequest(project="default", pipeline=pipeline.name, number=100)
    newest_first = list(server.control().ExplainPipeline(request))
    return [decision for decision in reversed(newest_first) if decision.at.ToNanoseconds() > after]


def test_a_second_batch_starts_all_its_pods_in_one_step_like_the_first(
    cluster: Cluster, server: Server, namespace: str
) -> None:
    """Its times are known by then: with fewer pods than the first batch it would take longer."""
    client = server.client()
    images = make_repo(client, "images")
    work = "sleep 3; cp /pfs/images/* /pfs/out/"  # what the times of datums are measured by
    copies = make_pipeline(client, "copies", work, "images", workers=5)

    first = batch(client, cluster, namespace, images, copies, 0)
    between = decisions(server, copies)[-1].at.ToNanoseconds()
    second = batch(client, cluster, namespace, images, copies, 10)
    starts = [decision for decision in decisions(server, copies, between) if decision.target]

    assert (len(first), len(second)) == (5, 5)
    assert starts[0].target == 5
    assert files_of(client, "copies@master") == numbers(20)


def test_a_second_batch_that_one_pod_ends_as_soon_says_what_the_others_would_cost(
    cluster: Cluster, server: Server, namespace: str
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", "cp /pfs/images/* /pfs/out/", "images", workers=5)

    first = batch(client, cluster, namespace, images, copies, 0)
    between = decisions(server, copies)[-1].at.ToNanoseconds()
    second = batch(client, cluster, namespace, images, copies, 10)
    starts = [decision for decision in decisions(server, copies, between) if decision.target]

    assert len(second) < len(first)
    assert re.search(r"\d more would end the job at most .* and cost \d", starts[0].sentence)


def test_workers_pass_the_strictest_pod_security(server: Server, namespace: str, cluster: Cluster) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", "id -u > /pfs/out/uid", "images")

    job = ended(client, copies, put(client, images, numbers(1)))

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert files_of(client, "copies@master") == {"/uid": b"1000\n"}


# --- bad days ------------------------------------------------------------------------------------------------


def test_a_server_killed_while_a_job_runs_is_replaced_and_nothing_runs_twice(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", workers=3)
    commit = put(client, images, numbers(9))
    until(lambda: len(ledger.runs) == 3, "three commands to run")
    server.kill()
    server.start()
    ledger.let_go()
    client = server.client()
    job = ended(client, copies, commit)
    no_pods_left(cluster, namespace)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert (job.data_processed, job.data_failed) == (9, 0)
    assert files_of(client, "copies@master") == numbers(9)
    assert ledger.runs == dict.fromkeys((name[1:] for name in numbers(9)), 1)


def test_a_worker_pod_that_is_deleted_costs_time_and_nothing_else(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", workers=2)
    commit = put(client, images, numbers(4))
    until(lambda: len(ledger.runs) == 2, "two commands to run")

    [victim, _] = until(lambda: two(running(cluster, namespace, "copies")), "both pods to be seen running")
    cluster.kubectl("-n", namespace, "delete", "pod", victim, "--grace-period=0", "--force")
    until(lambda: sum(ledger.runs.values()) > 2, "the datum to run again elsewhere")
    ledger.let_go()
    job = ended(client, copies, commit)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert (job.data_processed, job.data_failed) == (4, 0)
    assert files_of(client, "copies@master") == numbers(4)
    assert sum(ledger.runs.values()) == 5


def test_a_node_drained_while_busy_lets_commands_end_and_loses_nothing(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger, spare_node: Node
) -> None:
    """What runs when the node is drained is reported from there; the rest runs on the other node."""
    client = server.client()
    images = make_repo(client, "images")
    pod_patch = json.dumps({"nodeSelector": {"kubernetes.io/hostname": spare_node.name}})
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", workers=2, pod_spec=pod_patch)
    commit = put(client, images, numbers(6))
    until(lambda: len(ledger.runs) == 2, "two commands to run")

    drain = [
        "drain",
        spare_node.name,
        "--force",
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=1s",
    ]
    cluster.kubectl(*drain, check=False)  # asks the pods to go, and does not wait for them
    until(
        lambda: all(
            "deletionTimestamp" in pod["metadata"] for pod in pods_of(cluster, namespace, "copies")[:2]
        ),
        "the pods to be asked to go",
    )
    cluster.kubectl("uncordon", spare_node.name)
    ledger.let_go()
    job = ended(client, copies, commit)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert (job.data_processed, job.data_failed) == (6, 0)
    assert files_of(client, "copies@master") == numbers(6)
    assert ledger.runs == dict.fromkeys((name[1:] for name in numbers(6)), 1)


def test_a_kubelet_killed_and_restarted_during_a_job_changes_nothing(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger, worker_node: Node
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", workers=2)
    commit = put(client, images, numbers(6))
    until(lambda: len(ledger.runs) == 2, "two commands to run")

    worker_node.kill_kubelet()
    ledger.let_go()
    job = ended(client, copies, commit)
    worker_node.start_kubelet()
    cluster.wait_ready(worker_node)
    no_pods_left(cluster, namespace)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert ledger.runs == dict.fromkeys((name[1:] for name in numbers(6)), 1)
    assert files_of(client, "copies@master") == numbers(6)


def test_an_api_server_that_is_away_during_a_job_changes_nothing(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", ledger.script("images"), "images", workers=2)
    commit = put(client, images, numbers(6))
    until(lambda: len(ledger.runs) == 2, "two commands to run")

    cluster.api_server.end(signal.SIGKILL)
    ledger.let_go()
    job = ended(client, copies, commit)
    cluster.start_api_server()
    no_pods_left(cluster, namespace)

    assert job.state == pps.JobState.JOB_SUCCESS, job.reason
    assert ledger.runs == dict.fromkeys((name[1:] for name in numbers(6)), 1)
    assert files_of(client, "copies@master") == numbers(6)


# --- what users see -------------------------------------------------------------------------------------


def reason_of(client: Client, pipeline: pps.Pipeline, *words: str) -> str:
    """Wait until the pipeline says why it waits, in sentences that hold these words."""

    def look() -> str:
        reason = client.pps.inspect_pipeline(pipeline=pipeline, details=True).reason
        return reason if all(word in reason for word in words) else ""

    try:
        text: str = until(look, f"a reason with {words}", 60.0)
    except AssertionError as error:
        info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        raise AssertionError(f"{error}; it says {info.reason!r}") from None
    return text


def test_a_pod_that_fits_nowhere_says_what_is_missing_and_runs_when_it_is_there(
    cluster: Cluster, server: Server, namespace: str, worker_node: Node
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    pod_patch = json.dumps({"nodeSelector": {"colour": namespace}})
    copies = make_pipeline(client, "copies", "cp /pfs/images/* /pfs/out/", "images", pod_spec=pod_patch)
    commit = put(client, images, numbers(1))

    reason = reason_of(client, copies, "node")
    state = client.pps.inspect_pipeline(pipeline=copies).state
    cluster.kubectl("label", "node", worker_node.name, f"colour={namespace}")
    job = ended(client, copies, commit)

    assert "selector" in reason
    assert state != pps.PipelineState.PIPELINE_CRASHING
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason


def test_an_image_that_does_not_exist_is_named(server: Server) -> None:
    client = server.client()
    images = make_repo(client, "images")
    missing = {"image": "trunkline.test/no-such-image:1"}
    copies = make_pipeline(client, "copies", "true", "images", transform=missing)
    put(client, images, numbers(1))

    assert "trunkline.test/no-such-image:1" in reason_of(client, copies, "no-such-image")


def test_a_quota_that_is_used_up_is_named_and_the_job_goes_on_when_it_grows(
    cluster: Cluster, server: Server, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.apply(quota)
    until(
        lambda: cluster.get("-n", namespace, "resourcequota", "few").get("status", {}).get("hard"),
        "the quota to count",
    )
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", "cp /pfs/images/* /pfs/out/", "images")
    commit = put(client, images, numbers(1))

    reason = reason_of(client, copies, "quota")
    cluster.apply(quota | {"spec": {"hard": {"pods": "10"}}})
    job = ended(client, copies, commit)

    assert "few" in reason
    assert job.state == pps.JobState.JOB_SUCCESS, job.reason


def refusal(cluster: Cluster, namespace: str, data: Path) -> str:
    """Start a server that must not start; return what it says."""
    server = local_server(cluster, namespace, data)
    with pytest.raises(AssertionError, match="did not get ready") as refused:
        server.start()
    assert server.process is not None
    assert server.process.wait(PATIENCE) != 0
    return str(refused.value)


def test_a_server_without_a_right_is_refused_with_the_rule_that_grants_it(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    cluster.apply(*rights(namespace, USER, leave_out=[("create", "pods")]))

    message = refusal(cluster, namespace, tmp_path / "data")

    assert "create pods" in message
    assert '{apiGroups: [""], resources: ["pods"], verbs: ["create"]}' in message


def test_a_server_for_a_namespace_that_does_not_exist_is_refused(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    cluster.apply(*rights(namespace, USER))

    assert "no-such-namespace" in refusal(cluster, "no-such-namespace", tmp_path / "data")


def test_nodes_are_listed_with_what_runs_on_them(
    cluster: Cluster, server: Server, namespace: str, ledger: Ledger, worker_node: Node
) -> None:
    client = server.client()
    images = make_repo(client, "images")
    copies = make_pipeline(client, "copies", ledger.script("images"), "images")
    commit = put(client, images, numbers(1))
    until(lambda: ledger.runs, "the command to run")

    listed = command_line(server, "list", "node")
    ledger.let_go()
    ended(client, copies, commit)

    assert worker_node.name in listed
