"""Why pods wait and how they ended, in words. The messages are those that real components gave."""

from __future__ import annotations

import httpx2
import msgspec
import pytest
from lightkube.resources.core_v1 import Node, Pod

from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes import pod_refusals, pod_status
from trunkline.drivers.fleets.kubernetes.machines import machine, with_pod
from trunkline.drivers.fleets.kubernetes.pod_status import Note
from trunkline.drivers.fleets.kubernetes.workers import Worker
from trunkline.model.workers import Machine, WorkerPhase, WorkerSighting


def pod(status: dict | None = None, **spec) -> Pod:
    containers = [
        {
            "name": "user",
            "image": "edges:1",
            "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
        },
        {"name": "worker", "image": "own:1", "resources": {"requests": {"cpu": "50m"}}},
    ]
    return Pod.from_dict(
        {
            "metadata": {"name": "p"},
            "spec": {"containers": containers, **spec},
            "status": {"phase": "Pending", **(status or {})},
        }
    )


def unschedulable(message: str, **spec) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod({"conditions": [condition]}, **spec)


def state(name: str, **state) -> dict:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def on_node(*statuses: dict, phase: str = "Pending", **status) -> Pod:
    return pod({"phase": phase, "containerStatuses": list(statuses), **status}, nodeName="node-1")


def note(message: str, at: float = 100.0, source: str = "") -> Note:
    return Note(message, at, source)


LACK = (
    "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, "
    "2 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/4 nodes are available: "
    "4 Preemption is not helpful for scheduling."
)
LACK_IN_WORDS = (
    "no node fits: 1 of 4 lack cpu (asked for: 2 + 50m), 1 of 4 do not match scheduling_spec.node_selector or "
    "the affinity, 2 of 4 have a taint that tolerations do not name"
)


@pytest.mark.parametrize(
    ("waits", "notes", "sentence", "queued"),
    [
        (pod(), {}, "was created and waits to be placed on a node", False),
        (unschedulable(LACK), {}, LACK_IN_WORDS, True),
        (
            unschedulable('0/1 nodes are available: persistentvolumeclaim "none" not found. not found'),
            {},
            'no node fits: persistentvolumeclaim "none" does not exist; create it, or correct the volume in '
            "pod_spec or pod_patch",
            True,
        ),
        (
            unschedulable("no nodes available to schedule pods"),
            {},
            "no node fits: the cluster has no node that could take pods",
            True,
        ),
        (
            unschedulable("no nodes available to schedule pods"),
            {"TriggeredScaleUp": note("pod triggered scale-up: [{workers 0->3 (max: 4)}]")},
            "no node fits yet; Cluster Autoscaler is adding nodes: [{workers 0->3 (max: 4)}]",
            False,
        ),
        (
            unschedulable(LACK),
            {
                "TriggeredScaleUp": note("pod triggered scale-up: [{workers 0->3 (max: 4)}]", 50),
                "NotTriggerScaleUp": note(
                    "pod didn't trigger scale-up: 1 max node group size reached", 60, "cluster-autoscaler"
                ),
            },
            f"{LACK_IN_WORDS}; Cluster Autoscaler cannot add one: 1 max node group size reached",
            True,
        ),
        (
            unschedulable(LACK),
            {"Nominated": note("Pod should schedule on: nodeclaim/default-8wkqf", 60, "karpenter")},
            "no node fits yet; Karpenter is starting nodeclaim/default-8wkqf",
            False,
        ),
        (
            unschedulable(LACK),
            {
                "FailedScheduling": note(LACK, 70, "default-scheduler"),
                "FailedScheduling of Karpenter": note(
                    "Failed to schedule pod, incompatible with nodepool", 60, "karpenter"
                ),
            },
            f"{LACK_IN_WORDS}; Karpenter cannot add one: Failed to schedule pod, incompatible with nodepool",
            True,
        ),
        (
            pod(schedulerName="fargate-scheduler"),
            {},
            "Fargate is starting a node for it, which takes about a minute",
            False,
        ),
        (
            pod(schedulerName="fargate-scheduler"),
            {"FailedScheduling": note("Pod not supported on Fargate: fields not supported: Privileged")},
            "Fargate does not take this pod: Pod not supported on Fargate: fields not supported: Privileged",
            True,
        ),
        (
            pod(schedulerName="fargate-scheduler"),
            {"FailedScheduling": note("Pod cpu/memory requirement exceeds max Fargate configuration")},
            "Fargate does not take this pod: Pod cpu/memory requirement exceeds max Fargate configuration",
            True,
        ),
        (
            pod(schedulerName="fargate-scheduler"),
            {"FailedScheduling": note("Fargate capacity is unavailable at this time.")},
            "Fargate does not start a node for it yet: Fargate capacity is unavailable at this time",
            True,
        ),
        (on_node(), {}, "is placed on node-1, which has not started it yet", False),
        (
            on_node(state("user", waiting={"reason": "PodInitializing"})),
            {"Pulling": note('Pulling image "edges:1"', 3661.0)},
            'image "edges:1" is being pulled on node-1 since 01:01:01 UTC',
            False,
        ),
        (
            on_node(state("user", waiting={"reason": "ContainerCreating"})),
            {"Pulling": note('Pulling image "edges:1"', 10), "Pulled": note("Successfully pulled", 20)},
            "its containers are being created on node-1",
            False,
        ),
        (
            on_node(state("user", waiting={"reason": "ContainerCreating"})),
            {"FailedCreatePodSandBox": note("no IP addresses available")},
            "node-1 cannot create its sandbox: no IP addresses available",
            False,
        ),
    ],
)
def test_a_wait_that_may_end_has_a_reason_and_is_not_unsatisfiable(waits, notes, sentence, queued):
    assert pod_status.waiting(waits, notes, {}) == (sentence, False, queued, False)


@pytest.mark.parametrize(
    ("waits", "notes", "sentence"),
    [
        (
            on_node(
                state(
                    "user",
                    waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling image "edges:1"'},
                )
            ),
            {"Failed": note('Failed to pull image "edges:1": not found')},
            'image "edges:1" cannot be pulled: not found; '
            "correct transform.image or name image_pull_secrets that give access",
        ),
        (
            on_node(state("worker", waiting={"reason": "ErrImagePull", "message": "denied"})),
            {},
            'image "own:1" cannot be pulled: denied; correct the server\'s --worker-image '
            "or name image_pull_secrets that give access",
        ),
        (
            on_node(state("user", waiting={"reason": "InvalidImageName", "message": "x"})),
            {},
            '"edges:1" is not a valid image name; correct transform.image',
        ),
        (
            on_node(state("user", waiting={"reason": "ErrImageNeverPull", "message": "x"})),
            {},
            'image "edges:1" is not on the node, and it may not be pulled; provide it there',
        ),
        (
            on_node(
                state(
                    "user",
                    waiting={"reason": "CreateContainerConfigError", "message": 'secret "s" not found'},
                )
            ),
            {},
            'container user cannot be set up: secret "s" not found',
        ),
        (
            on_node(state("user", waiting={"reason": "ContainerCreating"})),
            {"FailedMount": note('MountVolume.SetUp failed for volume "s" : secret "s" not found')},
            'a volume cannot be mounted: MountVolume.SetUp failed for volume "s" : secret "s" not found',
        ),
    ],
)
def test_a_wait_that_cannot_end_is_unsatisfiable(waits, notes, sentence):
    assert pod_status.waiting(waits, notes, {}) == (sentence, True, False, False)


@pytest.mark.parametrize(
    ("code", "reason", "message", "sentence", "unsatisfiable"),
    [
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: exceeded quota: q, requested: pods=1, limited: pods=5',
            "waits for the quota of namespace work: exceeded quota: q, requested: pods=1, limited: pods=5",
            False,
        ),
        (
            403,
            "Forbidden",
            'pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "work"',
            'add to its Role: {apiGroups: [""], resources: ["pods"], verbs: ["create"]}',
            True,
        ),
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: violates PodSecurity "restricted:latest"',
            "forbids such a pod",
            True,
        ),
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: error looking up service account work/x: serviceaccount "x" not found',
            "create the service account in namespace work",
            True,
        ),
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: failed quota: team: must specify limits.memory for: launcher,user,worker',
            "set resource_requests, resource_limits, sidecar_resource_requests and sidecar_resource_limits",
            True,
        ),
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: no PriorityClass with name no-such-class was found',
            "correct scheduling_spec.priority_class_name",
            True,
        ),
        (
            403,
            "Forbidden",
            'pods "p" is forbidden: maximum cpu usage per Container is 200m, but limit is 500m',
            "a LimitRange of namespace work refuses the pod: maximum cpu",
            True,
        ),
        (
            422,
            "Invalid",
            'Pod "p" is invalid: spec.containers[0].resources.requests: Invalid value: "1": must be less than or '
            "equal to cpu limit of 200m",
            "a LimitRange of namespace work adds limits",
            True,
        ),
        (404, "NotFound", 'namespaces "work" not found', "namespace work does not exist; create it", True),
        (
            422,
            "Invalid",
            'Pod "p" is invalid: spec.x: bad',
            "finds the pod invalid: spec.x: bad; correct",
            True,
        ),
        (
            400,
            "BadRequest",
            "admission webhook denied",
            "Kubernetes refuses the pod: admission webhook denied",
            True,
        ),
        (429, "TooManyRequests", "slow down", "waits for the Kubernetes API, which is overloaded", False),
        (500, "InternalError", "etcd", "waits for the Kubernetes API, which answers: etcd", False),
        (
            0,
            "",
            "connection refused",
            "waits for the Kubernetes API, which does not answer: connection refused",
            False,
        ),
    ],
)
def test_a_pod_that_is_not_made_says_why(code, reason, message, sentence, unsatisfiable):
    why = pod_refusals.not_created(code, reason, message, "work")

    assert sentence in why.sentence
    assert why.unsatisfiable == unsatisfiable


def ended(code: int, reason: str = "Error", message: str = "") -> dict:
    return {"exitCode": code, "reason": reason, "message": message}


def disrupted(reason: str, message: str = "") -> Pod:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    return on_node(phase="Failed", conditions=[condition])


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        (
            on_node(
                state("user", terminated=ended(0)), state("worker", terminated=ended(0)), phase="Succeeded"
            ),
            "ended as asked",
        ),
        (
            on_node(
                state("worker", terminated=ended(1)),
                state("user", terminated=ended(137, "OOMKilled")),
                phase="Failed",
            ),
            "container user ran out of memory (limit 1Gi); raise resource_limits.memory",
        ),
        (
            on_node(state("worker", terminated=ended(137, "OOMKilled")), phase="Failed"),
            "container worker ran out of memory, because its node had no more; raise sidecar_resource_requests.memory",
        ),
        (
            on_node(
                state("user", terminated=ended(143)),
                state("worker", terminated=ended(3, message="line\ncannot reach the server\n")),
                phase="Failed",
            ),
            "container worker ended with exit code 3; its last words: cannot reach the server",
        ),
        (
            on_node(state("user", terminated=ended(128, "StartError", "exec format error")), phase="Failed"),
            "container user ended with exit code 128 (StartError); its last words: exec format error",
        ),
        (
            on_node(phase="Failed", reason="Evicted", message="The node was low on resource: memory. "),
            "was evicted from node-1: The node was low on resource: memory",
        ),
        (disrupted("PreemptionByScheduler"), "had to make room for a pod of higher priority"),
        (disrupted("EvictionByEvictionAPI"), "was evicted from node-1, which is being emptied"),
        (disrupted("DeletionByPodGC"), "was lost with its node node-1"),
        (
            disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
            "was removed because its node node-1 is not well: Taint manager: deleting due to NoExecute taint",
        ),
        (
            on_node(phase="Failed", reason="UnexpectedAdmissionError", message="no device"),
            "failed: UnexpectedAdmissionError: no device",
        ),
    ],
)
def test_how_a_worker_ended_is_told(last, sentence):
    assert pod_status.ended(last)
    assert pod_status.ending(last) == sentence


def test_an_eviction_from_a_spot_machine_says_so():
    labels = {"karpenter.sh/capacity-type": "spot", "karpenter.sh/nodepool": "batch"}
    node = machine(Node.from_dict({"metadata": {"name": "node-1", "labels": labels}}))
    assert (node.kind, node.group, node.spot) == ("karpenter", "batch", True)

    reason = pod_status.ending(disrupted("EvictionByEvictionAPI"), node)

    assert reason.endswith("(a spot machine: its owner may have taken it back)")


def test_a_worker_has_ended_when_its_container_has_though_the_launcher_waits_on():
    running = {"startedAt": "2026-01-01T00:00:00Z"}
    last = on_node(
        state("user", running=running), state("worker", terminated=ended(0, "Completed")), phase="Running"
    )

    assert pod_status.ended(last)
    assert pod_status.ending(last) == "ended as asked"


@pytest.mark.parametrize(
    ("labels", "kind", "group"),
    [
        ({}, "node", ""),
        ({"eks.amazonaws.com/compute-type": "fargate"}, "fargate", ""),
        ({"karpenter.sh/nodepool": "default"}, "karpenter", "default"),
        ({"eks.amazonaws.com/nodegroup": "batch"}, "node group", "batch"),
        ({"cloud.google.com/gke-nodepool": "pool-1"}, "node group", "pool-1"),
        ({"alpha.eksctl.io/nodegroup-name": "ng"}, "node group", "ng"),
    ],
)
def test_the_kind_of_a_machine_is_read_from_its_labels(labels, kind, group):
    acted = {"kwok.x-k8s.io/node": "fake"}

    read = machine(Node.from_dict({"metadata": {"name": "n", "labels": labels, "annotations": acted}}))

    assert (read.kind, read.group, read.pretended) == (kind, group, True)


def test_what_karpenter_says_is_kept_beside_what_the_scheduler_repeats():
    first = pod_status.key("FailedScheduling", note("Failed to schedule pod", 60, "karpenter"))
    other = pod_status.key("FailedScheduling", note(LACK, 70, "default-scheduler"))

    assert first != other
    assert pod_status.key("Nominated", note("Pod should schedule on", 60, "karpenter")) == "Nominated"


def test_of_two_answers_of_the_same_second_the_one_heard_last_counts():
    notes = {
        "Nominated": note("Pod should schedule on: nodeclaim/default-8wkqf", 60, "karpenter"),
        "FailedScheduling of Karpenter": note("Failed to schedule pod, limits", 60, "karpenter"),
    }

    why = pod_status.waiting(unschedulable(LACK), notes, {})

    assert why.sentence == f"{LACK_IN_WORDS}; Karpenter cannot add one: Failed to schedule pod, limits"


def test_a_machine_of_fargate_is_of_the_profile_and_the_size_that_its_pod_tells():
    node = machine(
        Node.from_dict(
            {"metadata": {"name": "fargate-ip-1", "labels": {"eks.amazonaws.com/compute-type": "fargate"}}}
        )
    )
    pod = Pod.from_dict(
        {
            "metadata": {
                "labels": {"eks.amazonaws.com/fargate-profile": "batch"},
                "annotations": {"CapacityProvisioned": "2vCPU 5GB"},
            }
        }
    )

    read = with_pod(node, pod)

    assert (read.kind, read.group, read.instance_type) == ("fargate", "batch", "2vCPU 5GB")


CAUSE = 'failed to resolve reference "trunkline.test/none:1": dial tcp: lookup trunkline.test: i/o timeout'
#: The kubelet's events about one failed pull, in the order in which Kubernetes 1.35 sends them.
PULL_EVENTS = [
    ("Pulling", 'Pulling image "edges:1"'),
    ("Failed", f'Failed to pull image "edges:1": rpc error: code = Unknown desc = {CAUSE}'),
    ("Failed", "Error: ErrImagePull"),
    ("BackOff", 'Back-off pulling image "edges:1"'),
    ("Failed", "Error: ImagePullBackOff"),
]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", f"rpc error: code = Unknown desc = {CAUSE}"),
        ("ImagePullBackOff", f'Back-off pulling image "edges:1": ErrImagePull: {CAUSE}'),
        # Before Kubernetes 1.31.
        ("ImagePullBackOff", 'Back-off pulling image "edges:1"'),
        ("ErrImagePull", ""),
    ],
)
def test_the_cause_of_a_failed_pull_stays_whatever_the_kubelet_reports_after_it(reason, message):
    worker = Worker("w", "p", None, WorkerSighting(worker_id="w", phase=WorkerPhase.PENDING))
    worker.record_pod(on_node(state("user", waiting={"reason": reason, "message": message})), 1.0, {})

    for number, (event, text) in enumerate(PULL_EVENTS):
        worker.record_event(event, note(text, 100.0 + number, "kubelet"), {})

    assert f'image "edges:1" cannot be pulled: {CAUSE}; ' in worker.sighting.reason
    assert worker.sighting.unsatisfiable


NODES = {
    name: Machine(name=name, kind="node", cpu=cpu, memory=memory << 30)
    for name, cpu, memory in (("small", 2.0, 4), ("large", 8.0, 16))
}


@pytest.mark.parametrize(
    ("requests", "message", "reason", "lacks_machine"),
    [
        ({"cpu": "500"}, "1 Insufficient cpu", "the largest node, large, has 8", True),
        ({"memory": "2Ti"}, "1 Insufficient memory", "the largest node, large, has 16Gi", True),
        # It would fit the larger node if that were empty: others may end.
        ({"cpu": "4"}, "2 Insufficient cpu", "the largest node, large, has 8", False),
        ({"cpu": "1"}, "2 node(s) had untolerated taint(s)", "a taint that tolerations do not name", False),
    ],
)
def test_a_pod_that_no_node_could_hold_names_the_largest(requests, message, reason, lacks_machine):
    waits = unschedulable(f"0/2 nodes are available: {message}.")
    user, sidecar = waits.spec.containers
    user.resources.requests, sidecar.resources.requests = requests, {"cpu": "0", "memory": "128Mi"}

    answer = pod_status.waiting(waits, {}, NODES)

    assert reason in answer.sentence
    assert "+ 0" not in answer.sentence
    assert (answer.lacks_machine, answer.queued) == (lacks_machine, True)


def test_only_after_a_minute_without_an_autoscaler_is_a_lack_of_machines_unsatisfiable():
    worker = Worker("w", "p", None, WorkerSighting(worker_id="w", phase=WorkerPhase.PENDING))
    tiny = {"tiny": Machine(name="tiny", kind="node", cpu=1.0, memory=1 << 30)}
    worker.record_pod(unschedulable(LACK), 0.0, tiny)

    worker.overdue(10.0)
    assert worker.sighting.lacks_machine
    assert not worker.sighting.unsatisfiable
    worker.overdue(69.9)
    assert not worker.sighting.unsatisfiable
    worker.overdue(70.0)
    assert worker.sighting.unsatisfiable
    worker.record_event("TriggeredScaleUp", note("pod triggered scale-up: [{workers 0->1 (max: 4)}]"), tiny)

    assert not worker.sighting.lacks_machine
    assert not worker.sighting.unsatisfiable


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx2.ReadTimeout(""), "no answer within 10 s"),
        (httpx2.ConnectTimeout(""), "no connection within 10 s"),
        (TimeoutError(), "no answer within 10 s"),
        (httpx2.ReadError(""), "the connection broke"),
        (msgspec.DecodeError(), "the answer cannot be read"),
        (httpx2.ConnectError("All connection attempts failed"), "All connection attempts failed"),
    ],
)
def test_an_error_without_words_gets_some(error, words):
    assert kube.message(error) == words
