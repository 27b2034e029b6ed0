"""Specs as pods, and manifests as the rules see them."""

from __future__ import annotations

import json

import pytest

from trunkline.app import worker_pods
from trunkline.aws.pods import read_pod
from trunkline.model import spec_rules
from trunkline.model.workers import memory_request
from trunkline.scaling import fargate
from trunkline.scaling.fargate_rules import findings
from trunkline.scaling.pods import GIB, MIB


def spec(**changes):
    written = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        **changes,
    }
    return spec_rules.load(written)


def pod_of(**changes):
    return read_pod(worker_pods.manifest(spec(**changes), "jobs"))


def test_a_worker_is_the_command_and_trunklines_own_container_together():
    pod = pod_of(resource_requests={"cpu": 1, "memory": "4Gi"}, metadata={"labels": {"node": "fargate"}})

    assert [container.name for container in pod.containers] == ["user", "worker"]
    assert [container.name for container in pod.init_containers] == ["launcher"]
    assert (pod.namespace, pod.labels["node"]) == ("jobs", "fargate")
    assert pod.cpu_millis == 1000
    assert pod.memory == 4 * GIB + 128 * MIB


def test_a_worker_whose_spec_asks_for_nothing_gets_a_small_machine_and_no_finding_of_unset_requests():
    pod = pod_of()

    fitting = fargate.fit(pod)
    assert fitting is not None
    assert str(fitting.size) == "0.25vCPU 1GB"
    assert "unset-requests" not in {finding.rule for finding in findings(pod)}


def test_a_plan_counts_the_memory_that_the_controller_asks_for():
    for changes in ({}, {"resource_requests": {"memory": "3Gi"}}, {"resource_requests": {"cpu": 2}}):
        user = pod_of(**changes).containers[0]

        assert user.requests.memory == memory_request(spec(**changes))


@pytest.mark.parametrize(
    ("patch", "rule"),
    [
        ([{"op": "add", "path": "/hostNetwork", "value": True}], "host-network"),
        ([{"op": "add", "path": "/containers/0/securityContext/privileged", "value": True}], "privileged"),
        (
            [{"op": "add", "path": "/volumes/-", "value": {"name": "d", "hostPath": {"path": "/d"}}}],
            "host-path",
        ),
        (
            [{"op": "add", "path": "/containers/0/ports", "value": [{"containerPort": 1, "hostPort": 1}]}],
            "host-port",
        ),
    ],
)
def test_what_a_pod_patch_adds_is_judged_too(patch, rule):
    pod = pod_of(resource_requests={"cpu": 0.5, "memory": "1Gi"}, pod_patch=json.dumps(patch))

    assert rule in {finding.rule for finding in findings(pod) if finding.weight == "refused"}


def test_what_a_spec_itself_can_ask_for_is_judged():
    gpu = pod_of(resource_limits={"gpu": {"type": "nvidia.com/gpu", "number": 1}})
    tolerant = pod_of(tolerations=[{"operator": "EXISTS"}])
    arm = pod_of(scheduling_spec={"node_selector": {"kubernetes.io/arch": "arm64"}})
    in_memory = pod_of(transform={"cmd": ["true"], "memory_volume": True})

    for pod, rule in (
        (gpu, "gpu"),
        (tolerant, "tolerations"),
        (arm, "processor-kind"),
        (in_memory, "memory-volume"),
    ):
        assert rule in {finding.rule for finding in findings(pod)}


def test_any_manifest_can_be_read():
    pod = read_pod(
        {
            "metadata": {"name": "p", "ownerReferences": [{"kind": "DaemonSet"}]},
            "spec": {
                "initContainers": [
                    {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "0.1"}}}
                ],
                "containers": [
                    {
                        "name": "a",
                        "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "amd.com/gpu": "1"}},
                    }
                ],
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{}]}},
                "topologySpreadConstraints": [{}],
                "volumes": [
                    {"name": "v", "csi": {"driver": "x"}},
                    {"name": "m", "emptyDir": {"medium": "Memory"}},
                ],
            },
        }
    )

    assert pod.namespace == "default"
    assert pod.owner == "DaemonSet"
    assert pod.cpu_millis == 600
    assert pod.containers[0].requests.memory == GIB  # a limit stands for the request that is not there
    assert pod.containers[0].devices == ("amd.com/gpu",)
    assert pod.affinities == ("podAntiAffinity", "topologySpreadConstraints")
    assert [(volume.kind, volume.in_memory) for volume in pod.volumes] == [("csi", False), ("emptyDir", True)]


def test_an_empty_or_unusual_manifest_can_be_read():
    assert read_pod({}).containers == ()
    odd = read_pod(
        {"spec": {"containers": [{"resources": {"requests": {"cpu": "lots"}}}], "volumes": [{"name": "x"}]}}
    )
    assert odd.containers[0].requests.cpu_millis is None
