"""What the Kubernetes fleet promises, against the fake API server and, when it is there, the real one."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kubernetes_world import containers, exited, make_fleet, name_of, run, sighting, wait_until, worker

from trunkline.drivers.fleets.kubernetes.workers import DELETED
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.spec import Metadata
from trunkline.model.workers import WorkerPhase

sys.path.append(str(Path(__file__).parents[1]))
from fleet_contract import FleetContract

if TYPE_CHECKING:
    from trunkline.drivers.fleets.kubernetes.fleet import KubernetesFleet
    from trunkline.model.workers import WorkerSpec

PENDING, RUNNING, GONE = WorkerPhase.PENDING, WorkerPhase.RUNNING, WorkerPhase.GONE
SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
KARPENTER = "karpenter.sh/do-not-disrupt"


def test_a_worker_is_a_pod_that_is_pending_then_running_then_gone(api, fleet):
    spec = worker()

    fleet.start(spec)
    assert sighting(fleet, spec).phase is PENDING
    wait_until(lambda: len(api.pods()) == 1)
    name = run(api, spec)
    wait_until(lambda: sighting(fleet, spec).phase is RUNNING)
    assert (sighting(fleet, spec).reason, sighting(fleet, spec).machine) == ("", "node-1")
    api.set_status(name, {"phase": "Succeeded", "containerStatuses": containers(exited(0, "Completed"))})

    wait_until(lambda: sighting(fleet, spec).phase is GONE)
    assert sighting(fleet, spec).reason == "ended as asked"
    fleet.stop(spec.worker_id, 0)
    wait_until(lambda: fleet.observe() == [] and api.pods() == [])


def test_starting_a_worker_twice_makes_one_pod(api, fleets):
    fleet, spec = fleets(), worker()
    fleet.start(spec)
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)

    restarted = fleets()
    restarted.start(spec)
    other = worker()
    restarted.start(other)

    wait_until(lambda: len(api.pods()) == 2)
    assert len(restarted.observe()) == 2


def test_a_pod_bears_the_labels_of_its_pipeline_and_ours_win(api, fleet):
    labels = {"node": "fargate", "suite": "mine", "trunkline.dev/worker": "mine"}
    spec = worker(metadata=Metadata(labels=labels, annotations={"team": "vision", SAFE: "true"}))

    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)

    metadata = api.pods()[0]["metadata"]
    assert metadata["name"] == f"default-edges-{spec.worker_id[:12]}"
    assert metadata["labels"]["node"] == "fargate"
    assert metadata["labels"]["suite"] == "pachyderm"
    assert metadata["labels"]["trunkline.dev/worker"] == spec.worker_id
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "trunkline"
    assert metadata["labels"]["pipelineName"] == "edges"
    assert metadata["annotations"]["team"] == "vision"
    assert metadata["annotations"][SAFE] == "false"


def test_an_image_without_a_tag_is_not_asked_for_where_a_node_has_it(api, fleet):
    fleet.start(worker())
    wait_until(lambda: len(api.pods()) == 1)

    [user] = [each for each in api.pods()[0]["spec"]["containers"] if each["name"] == "user"]
    assert (user["image"], user["imagePullPolicy"]) == ("pachyderm/opencv", "IfNotPresent")


@pytest.mark.usefixtures("soon_idle")
def test_a_new_pod_is_protected_and_an_idle_one_is_not(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    run(api, spec)
    assert api.pods()[0]["metadata"]["annotations"].keys() >= {SAFE, KARPENTER}

    fleet.mark(spec.worker_id, busy=False)
    wait_until(lambda: api.pods()[0]["metadata"]["annotations"][SAFE] == "true")
    assert KARPENTER not in api.pods()[0]["metadata"]["annotations"]
    fleet.mark(spec.worker_id, busy=True)

    wait_until(lambda: api.pods()[0]["metadata"]["annotations"].get(SAFE) == "false")
    assert api.pods()[0]["metadata"]["annotations"][KARPENTER] == "true"


def test_a_worker_that_is_idle_for_a_moment_costs_no_call(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    run(api, spec)
    wait_until(lambda: sighting(fleet, spec).phase is RUNNING)
    calls = fleet.connection.calls

    for _ in range(100):
        fleet.mark(spec.worker_id, busy=False)
        fleet.mark(spec.worker_id, busy=True)

    fleet.stop(spec.worker_id, 30)
    wait_until(lambda: api.pods()[0]["metadata"].get("deletionTimestamp"))
    assert fleet.connection.calls - calls == 1  # the delete


@pytest.mark.usefixtures("soon_idle")
def test_a_life_costs_three_calls(api, fleet):
    calls = fleet.connection.calls
    specs = [worker() for _ in range(5)]
    for spec in specs:
        fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 5)
    for spec in specs:
        run(api, spec)
    wait_until(lambda: {each.phase for each in fleet.observe()} == {RUNNING})
    for spec in specs:
        fleet.mark(spec.worker_id, busy=False)
    wait_until(lambda: all(pod["metadata"]["annotations"][SAFE] == "true" for pod in api.pods()))

    for spec in specs:
        fleet.stop(spec.worker_id, 5)
    wait_until(lambda: all(pod["metadata"].get("deletionTimestamp") for pod in api.pods()))
    for pod in api.pods():
        api.finish_deletion(pod["metadata"]["name"])
    wait_until(lambda: fleet.observe() == [])

    assert fleet.connection.calls - calls == 3 * len(specs)


def test_a_running_worker_is_given_its_grace_and_asked_again_only_for_less(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    run(api, spec)
    wait_until(lambda: sighting(fleet, spec).phase is RUNNING)

    fleet.stop(spec.worker_id, 60)
    wait_until(lambda: api.pods()[0]["metadata"].get("deletionGracePeriodSeconds") == 60)
    calls = fleet.connection.calls
    for _ in range(10):
        fleet.stop(spec.worker_id, 60)
    fleet.stop(spec.worker_id, 5)

    wait_until(lambda: api.pods()[0]["metadata"]["deletionGracePeriodSeconds"] == 5)
    assert fleet.connection.calls - calls == 1
    assert sighting(fleet, spec).phase is RUNNING


def test_a_worker_that_waits_is_removed_at_once(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)

    fleet.stop(spec.worker_id, 60)

    wait_until(lambda: api.pods() == [] and fleet.observe() == [])


def test_a_worker_that_is_stopped_before_it_was_created_never_is(api, fleet):
    specs = [worker() for _ in range(20)]
    for spec in specs:
        fleet.start(spec)
        fleet.stop(spec.worker_id, 0)
    last = worker()
    fleet.start(last)

    wait_until(lambda: [each.worker_id for each in fleet.observe()] == [last.worker_id])
    label = "trunkline.dev/worker"
    wait_until(lambda: [pod["metadata"]["labels"][label] for pod in api.pods()] == [last.worker_id])


def test_a_new_server_finds_the_workers_of_the_one_before(api, fleets):
    first, specs = fleets(), [worker() for _ in range(3)]
    for spec in specs:
        first.start(spec)
    wait_until(lambda: len(api.pods()) == 3)
    run(api, specs[0])
    first.close(1.0)
    assert len(api.pods()) == 3

    second = fleets()

    assert sighting(second, specs[0]).phase is RUNNING
    assert sighting(second, specs[1]).phase is PENDING
    second.stop(specs[1].worker_id, 0)
    wait_until(lambda: len(api.pods()) == 2)


def test_pods_of_others_are_left_alone(api, fleets):
    mine, other = fleets(cluster="c1"), fleets(cluster="c2")
    spec = worker()
    other.start(spec)
    stranger = {"metadata": {"name": "stranger"}, "spec": {"containers": [{"name": "a", "image": "i"}]}}
    api.add("pods", "work", stranger)
    wait_until(lambda: len(api.pods()) == 2)

    mine.stop(spec.worker_id, 0)

    assert mine.observe() == []
    assert len(api.pods()) == 2


def test_a_pod_that_somebody_deletes_is_gone_until_it_is_acknowledged(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    name = run(api, spec)
    wait_until(lambda: sighting(fleet, spec).phase is RUNNING)

    api.delete_pod(name)

    wait_until(lambda: sighting(fleet, spec).phase is GONE)
    assert sighting(fleet, spec).reason == DELETED
    fleet.stop(spec.worker_id, 0)
    assert fleet.observe() == []


def test_why_a_worker_waits_is_told_from_conditions_and_events(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    name = name_of(api, spec)
    lack = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available"
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": lack}
    api.set_status(name, {"phase": "Pending", "conditions": [unscheduled]})
    wait_until(lambda: sighting(fleet, spec).reason.startswith("no node fits: 3 of 3 lack cpu"))

    scale_up = "pod triggered scale-up: [{workers 0->3 (max: 4)}]"
    api.add_event(name, "TriggeredScaleUp", scale_up, "2026-01-01T00:00:10Z", "cluster-autoscaler")

    wait_until(lambda: "Cluster Autoscaler is adding nodes" in sighting(fleet, spec).reason)
    assert "[{workers 0->3 (max: 4)}]" in sighting(fleet, spec).reason
    assert not sighting(fleet, spec).unsatisfiable


def test_an_image_that_cannot_be_pulled_is_unsatisfiable(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    name = name_of(api, spec)
    api.bind(name, "node-1")
    pull = {"waiting": {"reason": "ErrImagePull", "message": "pull access denied"}}
    status = {"phase": "Pending", "containerStatuses": containers({"waiting": {}}, user=pull)}
    api.set_status(name, status)

    wait_until(lambda: sighting(fleet, spec).unsatisfiable)

    reason = sighting(fleet, spec).reason
    assert reason.startswith(
        'image "pachyderm/opencv" cannot be pulled: pull access denied; correct transform.image'
    )


def test_a_command_that_ran_out_of_memory_is_told_with_its_limit(api, fleet):
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    name = run(api, spec)
    ends = containers(exited(1), user=exited(137, "OOMKilled"))

    api.set_status(name, {"phase": "Failed", "containerStatuses": ends})

    wait_until(lambda: sighting(fleet, spec).phase is GONE)
    assert sighting(fleet, spec).reason.startswith("container user ran out of memory")


def test_machines_are_those_that_workers_are_on(api, fleet):
    labels = {
        "eks.amazonaws.com/nodegroup": "batch",
        "node.kubernetes.io/instance-type": "m5.xlarge",
        "topology.kubernetes.io/region": "eu-west-1",
        "eks.amazonaws.com/capacityType": "SPOT",
    }
    ready = {"type": "Ready", "status": "True", "reason": "r", "message": ""}
    status = {"allocatable": {"cpu": "3920m", "memory": "15Gi"}, "conditions": [ready]}
    for name in ("node-1", "node-2"):
        api.add("nodes", "", {"metadata": {"name": name, "labels": labels}, "status": status})
    spec = worker()
    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    assert fleet.machines() == []
    run(api, spec)

    wait_until(lambda: fleet.machines() and fleet.machines()[0].ready)

    (machine,) = fleet.machines()
    assert (machine.name, machine.kind, machine.group) == ("node-1", "node group", "batch")
    assert (machine.instance_type, machine.region, machine.spot) == ("m5.xlarge", "eu-west-1", True)
    assert (machine.cpu, machine.memory) == (3.92, 15 << 30)


def test_what_no_pod_can_be_is_refused_at_once(api, fleet):
    for spec, sentence in (
        (worker(pod_patch='[{"op": "remove", "path": "/volumes/9"}]'), "cannot be applied"),
        (worker(pod_patch='[{"op": "replace", "path": "/containers", "value": "x"}]'), "container"),
        (worker(pod_spec='{"hostNetwrk": true}'), 'sets "spec.hostNetwrk", which no pod has'),
        (worker(pod_spec='{"hostNetwork": "yes"}'), "Kubernetes does not know"),
    ):
        with pytest.raises(InvalidArgument, match=sentence):
            fleet.start(spec)

    assert fleet.observe() == []


def test_a_pod_that_the_server_finds_invalid_is_unsatisfiable(api, fleet):
    if not api.real:
        api.refusal = (422, "Invalid", 'Pod "x" is invalid: spec.nodeSelector: Invalid value: "no way"')
    spec = worker(pod_spec='{"nodeSelector": {"a b": "no way"}}')

    fleet.start(spec)

    wait_until(lambda: sighting(fleet, spec).unsatisfiable)
    assert sighting(fleet, spec).reason.startswith("Kubernetes finds the pod invalid: ")
    fleet.stop(spec.worker_id, 0)
    wait_until(lambda: fleet.observe() == [])


def test_a_namespace_that_does_not_exist_is_told_at_the_start(api):
    with pytest.raises(FailedPrecondition, match='namespace "nowhere" does not exist'):
        make_fleet(api, user="admin", namespace="nowhere")


def test_a_missing_right_is_told_at_the_start_with_its_rule(api):
    if not api.real:
        api.forbidden |= {("create", "pods"), ("list", "pods")}

    with pytest.raises(FailedPrecondition, match=r'resources: \["pods"\], verbs: \["list"\]'):
        make_fleet(api, user="nobody")


def test_without_the_right_to_see_nodes_it_works_and_says_so_once(api, fleets, caplog):
    if api.real:
        path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/nodes"
        binding = api.call("GET", path)
        api.call("DELETE", path)
    else:
        api.forbidden |= {("list", "nodes"), ("watch", "nodes")}
    with caplog.at_level(logging.WARNING):
        fleet = fleets()
    if api.real:
        del binding["metadata"]
        api.call("POST", path.rpartition("/")[0], {**binding, "metadata": {"name": "nodes"}})
    spec = worker()

    fleet.start(spec)
    wait_until(lambda: len(api.pods()) == 1)
    run(api, spec)
    wait_until(lambda: fleet.machines())

    assert [machine.name for machine in fleet.machines()] == ["node-1"]
    assert (
        len(
            [
                each
                for each in caplog.messages
                if '["nodes"], verbs: ["list, watch"]' in each or "nodes" in each
            ]
        )
        == 1
    )


@dataclass
class Pods:
    api: object
    fleet: KubernetesFleet

    def spec(self) -> WorkerSpec:
        return worker()

    def let_run(self, spec: WorkerSpec) -> None:
        wait_until(lambda: any(_is_of(pod, spec) for pod in self.api.pods()))
        run(self.api, spec)

    def let_go(self) -> None:
        for pod in self.api.pods():
            if pod["metadata"].get("deletionTimestamp"):
                self.api.finish_deletion(pod["metadata"]["name"])

    def end(self, spec: WorkerSpec) -> None:
        status = {"phase": "Succeeded", "containerStatuses": containers(exited(0, "Completed"))}
        self.api.set_status(name_of(self.api, spec), status)


def _is_of(pod: dict, spec: WorkerSpec) -> bool:
    return pod["metadata"]["labels"]["trunkline.dev/worker"] == spec.worker_id


class TestPods(FleetContract):
    @pytest.fixture
    def subject(self, api, fleet):
        return Pods(api, fleet)
