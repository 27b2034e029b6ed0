"""What only a real API server can tell: that it takes our pods, and whom it lets in."""

from __future__ import annotations

import pytest
from kubernetes_world import connect, make_fleet, sighting, wait_until, worker
from real_api import binaries

from trunkline.drivers.fleets.kubernetes.secrets import KubernetesSecrets
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.spec import (
    GpuSpec,
    ResourceSpec,
    SchedulingSpec,
    SecretMount,
    Toleration,
    Transform,
)

if binaries() is None:
    pytest.skip(
        "a real API server: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver, "
        "so the fleet's contract runs on the fake alone",
        allow_module_level=True,
    )


@pytest.fixture
def api(real_api):
    yield real_api
    real_api.clear()


def test_credentials_that_are_not_accepted_are_told_at_the_start(api):
    with pytest.raises(FailedPrecondition, match="does not accept the server's credentials"):
        make_fleet(api, user="stranger")


def test_a_secret_that_kubernetes_finds_invalid_is_refused(api):
    connection = connect(api)
    try:
        with pytest.raises(InvalidArgument, match="invalid"):
            KubernetesSecrets(connection).create("Not A Name", "", {"key": b"v"}, {})
    finally:
        connection.close()


def test_all_that_a_spec_may_set_is_taken_by_the_server(api, fleets):
    spec = worker(
        transform=Transform(
            image="pachyderm/opencv",
            user="1234:5678",
            memory_volume=True,
            image_pull_secrets=("registry",),
            secrets=(
                SecretMount(name="token", key="k", env_var="TOKEN"),
                SecretMount(name="certs.example.com", mount_path="/certs"),
            ),
        ),
        resource_requests=ResourceSpec(
            cpu=0.5, memory="1G", disk="2Gi", gpu=GpuSpec(type="nvidia.com/gpu", number=1)
        ),
        resource_limits=ResourceSpec(cpu=2, memory="2G"),
        sidecar_resource_requests=ResourceSpec(cpu=0.1, memory="200Mi"),
        sidecar_resource_limits=ResourceSpec(memory="1e9"),
        scheduling_spec=SchedulingSpec(node_selector={"pool": "batch"}),
        tolerations=(
            Toleration(key="batch", operator="EXISTS", effect="NO_SCHEDULE"),
            Toleration(key="a", operator="EQUAL", value="b", effect="NO_EXECUTE", toleration_seconds=5),
        ),
        pod_spec='{"dnsPolicy": "Default", "containers": [{"name": "user", "tty": true}]}',
        pod_patch='[{"op": "add", "path": "/spec/containers/0/workingDir", "value": "/app"}]',
    )

    fleet = fleets()
    fleet.start(spec)
    wait_until(lambda: api.pods() or sighting(fleet, spec).unsatisfiable)

    (pod,) = api.pods()
    user, own = pod["spec"]["containers"]
    assert (user["tty"], user["workingDir"]) == (True, "/app")
    assert user["resources"]["requests"] == {
        "cpu": "500m",
        "memory": "1G",
        "ephemeral-storage": "2Gi",
        "nvidia.com/gpu": "1",
    }
    assert own["resources"]["limits"] == {"memory": "1G"}
    assert pod["spec"]["securityContext"]["runAsUser"] == 1234
    assert pod["spec"]["securityContext"]["fsGroup"] == 5678


@pytest.fixture
def restricted(api):
    """The namespace enforces Pod Security "restricted"."""
    label = "pod-security.kubernetes.io/enforce"
    path = "/api/v1/namespaces/work"
    api.call("PATCH", path, {"metadata": {"labels": {label: "restricted"}}})
    yield api
    api.call("PATCH", path, {"metadata": {"labels": {label: None}}})


def test_a_pod_passes_pod_security_restricted(restricted, fleets):
    fleet, spec = fleets(), worker()

    fleet.start(spec)

    wait_until(lambda: restricted.pods() or sighting(fleet, spec).unsatisfiable)
    assert len(restricted.pods()) == 1, sighting(fleet, spec)


def test_root_is_refused_by_pod_security_restricted_with_a_sentence(restricted, fleets):
    fleet, spec = fleets(), worker(transform=Transform(image="a", user="root"))

    fleet.start(spec)

    wait_until(lambda: sighting(fleet, spec).unsatisfiable)
    reason = sighting(fleet, spec).reason
    assert reason.startswith("namespace work forbids such a pod: violates PodSecurity")
    assert "change transform.user" in reason
