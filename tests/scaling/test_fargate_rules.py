"""What Fargate refuses, ignores or makes dear: each rule has a pod that breaks it and a sentence."""

from __future__ import annotations

import pytest

from trunkline.scaling.fargate_rules import findings
from trunkline.scaling.pods import GIB, Amounts, Container, Pod, Toleration, Volume

WELL = Amounts(cpu_millis=1000, memory=2 * GIB)


def pod(**changes) -> Pod:
    container = changes.pop("container", {})
    defaults = {"name": "user", "requests": WELL, **container}
    settings = {"containers": (Container(**defaults),), **changes}
    return Pod(name="p", namespace="default", **settings)


def storage(gib: int) -> Amounts:
    return Amounts(cpu_millis=1000, memory=2 * GIB, storage=gib * GIB)


def test_a_plain_pod_breaks_no_rule():
    volumes = tuple(
        Volume(name=kind, kind=kind)
        for kind in ("emptyDir", "configMap", "secret", "projected", "downwardAPI")
    )
    selector = {"kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "us-east-1a"}

    assert findings(pod(volumes=volumes, node_selector=selector)) == []


@pytest.mark.parametrize(
    ("rule", "broken", "words"),
    [
        ("privileged", pod(container={"privileged": True}), 'container "user" is privileged'),
        ("gpu", pod(container={"devices": ("nvidia.com/gpu",)}), "asks for nvidia.com/gpu"),
        ("daemon-set", pod(owner="DaemonSet"), "a DaemonSet needs a pod on every node"),
        ("host-network", pod(host_network=True), "hostNetwork is set"),
        ("host-port", pod(container={"host_ports": (80, 443)}), "asks for hostPort 80, 443"),
        ("host-path", pod(volumes=(Volume(name="d", kind="hostPath"),)), 'volume "d" is a hostPath'),
        (
            "volume",
            pod(volumes=(Volume(name="d", kind="awsElasticBlockStore"),)),
            "of kind awsElasticBlockStore",
        ),
        ("volume", pod(volumes=(Volume(name="d", kind="csi"),)), "needs a driver on the node"),
        (
            "cpu",
            pod(container={"requests": Amounts(cpu_millis=17_000, memory=GIB)}),
            "ask for 17 CPUs together, and the largest machine of Fargate has 16",
        ),
        (
            "memory",
            pod(container={"requests": Amounts(cpu_millis=1000, memory=121 * GIB)}),
            "ask for 121 GiB of memory together, and Fargate's largest machine leaves 119.8",
        ),
        ("storage", pod(container={"requests": storage(160)}), "ask for 160 GiB of ephemeral storage"),
        ("processor-kind", pod(node_selector={"kubernetes.io/arch": "arm64"}), "selects arm64 processors"),
        ("processor-kind", pod(node_selector={"kubernetes.io/os": "windows"}), "runs Linux only"),
        ("spot", pod(node_selector={"karpenter.sh/capacity-type": "spot"}), "selects Spot machines"),
        ("spot", pod(node_selector={"eks.amazonaws.com/capacityType": "SPOT"}), "selects Spot machines"),
        ("node-selector", pod(node_selector={"disk": "ssd"}), "disk=ssd matches no Fargate node"),
    ],
)
def test_what_fargate_refuses_is_said_with_its_reason(rule, broken, words):
    (finding,) = findings(broken)

    assert (finding.weight, finding.rule) == ("refused", rule)
    assert words in finding.sentence


@pytest.mark.parametrize(
    ("rule", "careless", "words"),
    [
        ("unset-requests", pod(container={"requests": Amounts()}), "0.25 vCPU and 0.5 GB"),
        ("unset-requests", pod(container={"requests": Amounts(memory=GIB // 4)}), "requests no cpu"),
        (
            "limits",
            pod(container={"limits": Amounts(cpu_millis=2000, memory=4 * GIB)}),
            "a limit of cpu and memory above its request",
        ),
        ("tolerations", pod(tolerations=(Toleration(operator="Exists"),)), "tolerates every taint"),
        ("affinity", pod(affinities=("podAntiAffinity",)), "podAntiAffinity does nothing on Fargate"),
        ("job-kept", pod(owner="Job"), "without ttlSecondsAfterFinished"),
        ("volume", pod(volumes=(Volume(name="d", kind="persistentVolumeClaim"),)), "a static one on EFS"),
    ],
)
def test_what_will_surprise_is_warned_of(rule, careless, words):
    (finding,) = findings(careless)

    assert (finding.weight, finding.rule) == ("warning", rule)
    assert words in finding.sentence


def test_unset_requests_say_that_the_kernel_will_end_it_before_it_does():
    (finding,) = findings(pod(container={"requests": Amounts()}))

    assert "out of memory, exit code 137" in finding.sentence


def test_a_taint_tolerated_by_key_and_limits_equal_to_requests_are_fine():
    fine = pod(tolerations=(Toleration(key="a", operator="Exists"),), container={"limits": WELL})

    assert findings(fine) == []


def test_a_job_that_is_removed_when_done_is_fine():
    assert findings(pod(owner="Job", seconds_kept_after_end=0)) == []


def test_a_cliff_is_told_in_gigabytes_and_per_cent():
    (finding,) = findings(pod(container={"requests": Amounts(cpu_millis=1000, memory=8 * GIB)}))

    assert finding.weight == "advice"
    assert finding.sentence == (
        "ask for 0.25 GB of memory less and pay 37% less: with 7.75 GiB for all containers together it is 1vCPU 8GB "
        "instead of 2vCPU 9GB"
    )


def test_refusals_come_before_warnings_before_advice():
    volumes = (Volume(name="m", kind="emptyDir", in_memory=True),)
    bad = pod(volumes=volumes, host_network=True, affinities=("podAffinity",))

    assert [finding.weight for finding in findings(bad)] == ["refused", "warning", "advice"]


def test_every_broken_rule_is_told_not_just_the_first():
    bad = pod(
        host_network=True, owner="DaemonSet", container={"privileged": True, "devices": ("nvidia.com/gpu",)}
    )

    assert {finding.rule for finding in findings(bad)} == {"host-network", "daemon-set", "privileged", "gpu"}
