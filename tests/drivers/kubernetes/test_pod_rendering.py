"""The pod of a worker, part by part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_world import worker
from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes import pods
from trunkline.drivers.fleets.kubernetes.fleet import UNSUPPORTED
from trunkline.errors import InvalidArgument
from trunkline.model.field_support import warnings
from trunkline.model.spec import GpuSpec, ResourceSpec, SecretMount, Service, Toleration, Transform
from trunkline.ports import ServerAddress

SETTINGS = pods.PodSettings(
    cluster="c1", namespace="work", server=ServerAddress("trunkline:30650"), worker_image="own:1"
)


def render(**fields) -> dict:
    return pods.render(worker(**fields), SETTINGS)


def container(pod: dict, name: str) -> dict:
    spec = pod["spec"]
    return next(each for each in (*spec["initContainers"], *spec["containers"]) if each["name"] == name)


def test_the_command_runs_in_its_image_beside_the_worker():
    pod = render()

    assert [each["name"] for each in pod["spec"]["containers"]] == ["user", "worker"]
    assert container(pod, "user")["image"] == "pachyderm/opencv"
    assert container(pod, "user")["command"] == ["/launcher/launcher", "serve", "/launcher/run.sock"]
    assert container(pod, "launcher")["command"] == ["/trunkline/launcher", "install", "/launcher/launcher"]
    assert container(pod, "worker")["image"] == container(pod, "launcher")["image"] == "own:1"
    for name in ("user", "worker"):
        mounts = {each["mountPath"] for each in container(pod, name)["volumeMounts"]}
        assert mounts >= {"/launcher", "/pfs"}
    assert pod["spec"]["restartPolicy"] == "Never"


def test_the_worker_is_told_what_it_must_know_and_the_command_is_not():
    spec = replace(worker(), grace=90.5)

    pod = pods.render(spec, SETTINGS)

    variables = {each["name"]: each["value"] for each in container(pod, "worker")["env"]}
    assert variables == {
        "TRUNKLINE_SERVER": "trunkline:30650",
        "TRUNKLINE_WORKER_ID": spec.worker_id,
        "TRUNKLINE_WORKER_TOKEN_FILE": "/var/run/secrets/trunkline.dev/worker/token",
        "TRUNKLINE_SCRATCH": "/pfs/.trunkline",
        "TRUNKLINE_LAUNCHER": "/launcher/run.sock",
        "TRUNKLINE_MEMORY": str(256 << 20),
        "TRUNKLINE_IMAGE": "pachyderm/opencv",
        "TRUNKLINE_GRACE": "90.5",
    }
    assert container(pod, "user")["env"] == []
    assert pod["spec"]["terminationGracePeriodSeconds"] == 91


def test_grace_is_never_longer_than_who_drains_nodes_waits():
    pod = pods.render(replace(worker(), grace=5000.0), SETTINGS)

    assert pod["spec"]["terminationGracePeriodSeconds"] == 600


@pytest.mark.parametrize(
    ("requests", "limits", "resources"),
    [
        (None, None, {"requests": {"cpu": "250m", "memory": "268435456"}}),
        (ResourceSpec(cpu=0.0005), None, {"requests": {"cpu": "1m", "memory": "268435456"}}),
        (
            ResourceSpec(cpu=1, memory="4Gi", disk="10Gi"),
            ResourceSpec(cpu=1.5, memory="5Gi"),
            {
                "requests": {"cpu": "1000m", "memory": "4Gi", "ephemeral-storage": "10Gi"},
                "limits": {"cpu": "1500m", "memory": "5Gi"},
            },
        ),
        # Kubernetes takes the limit for the request; a default above it would be refused.
        (None, ResourceSpec(memory="64Mi"), {"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi"}}),
        (
            ResourceSpec(memory="1.5Gi", gpu=GpuSpec(type="nvidia.com/gpu", number=2)),
            None,
            {
                "requests": {"memory": "1610612736", "nvidia.com/gpu": "2", "cpu": "250m"},
                "limits": {"nvidia.com/gpu": "2"},
            },
        ),
    ],
)
def test_resources_are_those_of_the_spec(requests, limits, resources):
    pod = render(resource_requests=requests, resource_limits=limits)

    assert container(pod, "user")["resources"] == resources
    assert container(pod, "worker")["resources"] == {"requests": {"cpu": "0", "memory": "128Mi"}}


def test_limits_of_the_sidecar_reach_every_container_of_ours():
    limits = ResourceSpec(cpu=1, memory="256Mi")

    pod = render(sidecar_resource_limits=limits)

    for name in ("launcher", "worker"):
        assert container(pod, name)["resources"]["limits"] == {"cpu": "1000m", "memory": "256Mi"}


@pytest.mark.parametrize("image", ["Not An Image", "UPPER", "a:b:c", "a@sha256:12", "-a", "a/", "a:", " a"])
def test_an_image_name_that_no_node_can_pull_is_refused(image):
    with pytest.raises(InvalidArgument, match=r"transform\.image"):
        render(transform=Transform(image=image))


@pytest.mark.parametrize(
    "image",
    [
        "python",
        "pachyderm/opencv:1",
        "localhost:5000/a/b_c.d--e:Tag-1_2.3",
        "Registry.example.org/team/app@sha256:" + "0a" * 32,
        "111122223333.dkr.ecr.eu-central-1.amazonaws.com/team__x/app:v1@sha256:" + "0a" * 32,
    ],
)
def test_every_image_name_that_a_node_can_pull_is_accepted(image):
    assert container(render(transform=Transform(image=image)), "user")["image"] == image


def test_secrets_become_variables_and_files():
    secrets = (
        SecretMount(name="token", key="k", env_var="TOKEN"),
        SecretMount(name="certs", mount_path="/certs"),
        SecretMount(name="certs", mount_path="/again"),
        SecretMount(name="pfs", mount_path="/taken-name"),
        SecretMount(name="dots.in.name", mount_path="/dots"),
    )

    pod = render(transform=Transform(image="a", secrets=secrets))

    user = container(pod, "user")
    assert user["env"] == [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "k"}}}]
    volumes = {
        each["name"]: each["secret"]["secretName"] for each in pod["spec"]["volumes"] if "secret" in each
    }
    assert volumes == {"certs": "certs", "secret-1": "pfs", "secret-2": "dots.in.name"}
    mounted = {each["mountPath"]: each["name"] for each in user["volumeMounts"] if each.get("readOnly")}
    assert mounted == {"/certs": "certs", "/again": "certs", "/taken-name": "secret-1", "/dots": "secret-2"}
    assert len(container(pod, "worker")["volumeMounts"]) == 4


@pytest.mark.parametrize(
    ("user", "uid", "gid"),
    [("", 1000, 1000), ("1234", 1234, 1234), ("1234:5", 1234, 5), ("root", 0, 0), ("0", 0, 0)],
)
def test_all_containers_run_as_the_user_of_the_spec(user, uid, gid):
    pod = render(transform=Transform(image="a", user=user))

    security = pod["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (uid, gid, gid)
    assert security["runAsNonRoot"] == (uid != 0)
    assert container(pod, "worker")["securityContext"]["readOnlyRootFilesystem"]


def test_the_name_of_a_user_is_refused():
    with pytest.raises(InvalidArgument, match=r'transform.user "jovyan" is a name.*write the number'):
        render(transform=Transform(image="a", user="jovyan"))


def test_a_toleration_without_operator_is_refused_by_its_number():
    tolerations = (Toleration(key="a", operator="EXISTS"), Toleration(key="b"))

    with pytest.raises(InvalidArgument, match=r"^toleration 2/2 has no operator"):
        render(tolerations=tolerations)


def test_patches_for_pachyderm_reach_the_users_container():
    for path in ("/spec/containers/0/tty", "/containers/0/tty"):
        pod = render(pod_patch=f'[{{"op": "add", "path": "{path}", "value": true}}]')

        assert container(pod, "user")["tty"] is True


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pod_patch": '[{"op": "remove", "path": "/containers/1"}]'}, 'removes the container "worker"'),
        ({"pod_patch": '[{"op": "replace", "path": "/spec", "value": 3}]'}, "spec or metadata"),
        ({"pod_patch": '[{"op": "add", "path": "/metadata/labels", "value": 3}]'}, "labels something else"),
        ({"pod_spec": '{"initContainers": null}'}, 'removes the container "launcher"'),
        ({"pod_spec": '{"restartPolicy": "Always"}'}, "sets restartPolicy"),
        ({"pod_spec": "[]"}, "pod_spec is not an object"),
        ({"pod_patch": "{}"}, "pod_patch is not a list"),
        ({"pod_patch": "[1]"}, r"pod_patch\[0\] is not an object"),
        ({"pod_spec": "{"}, "pod_spec is not JSON"),
    ],
)
def test_a_patch_that_no_worker_survives_is_refused(fields, sentence):
    with pytest.raises(InvalidArgument, match=sentence):
        render(**fields)


def test_patches_do_not_hide_the_pod_from_its_fleet():
    patch = """[{"op": "remove", "path": "/metadata/labels"},
        {"op": "replace", "path": "/metadata/name", "value": "x"},
        {"op": "add", "path": "/metadata/namespace", "value": "elsewhere"}]"""
    spec = worker(pod_patch=patch)

    metadata = pods.render(spec, SETTINGS)["metadata"]

    assert metadata["name"] == pods.pod_name(spec)
    assert metadata["namespace"] == "work"
    assert metadata["labels"].items() >= {**pods.selector(SETTINGS), pods.WORKER: spec.worker_id}.items()


names = st.text(st.sampled_from("abzAZ09-_"), min_size=1, max_size=60)


@given(names, names)
def test_every_pipeline_has_names_that_kubernetes_takes(project, pipeline):
    spec = replace(worker(), project=project, pipeline=pipeline)

    pod = pods.render(spec, SETTINGS)

    import re

    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", pod["metadata"]["name"])
    assert pod["metadata"]["name"].endswith(spec.worker_id[:12])
    for value in pod["metadata"]["labels"].values():
        assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value)


@pytest.mark.parametrize(("in_memory", "volume"), [(True, {"medium": "Memory"}), (False, {})])
def test_a_memory_volume_holds_pfs_in_memory(in_memory, volume):
    pod = render(transform=Transform(image="a", memory_volume=in_memory))

    assert next(each for each in pod["spec"]["volumes"] if each["name"] == "pfs")["emptyDir"] == volume


def test_fields_without_an_effect_on_pods_are_named_and_the_others_are_not():
    transform = Transform(image="a", dockerfile="Dockerfile", debug=True, memory_volume=True, user="1")

    sentences = warnings(worker(transform=transform).pipeline_spec, UNSUPPORTED)

    assert [sentence.partition(" ")[0] for sentence in sentences] == [
        "transform.dockerfile",
        "transform.debug",
    ]


def test_the_worker_gets_what_it_verifies_the_server_by(tmp_path):
    (tmp_path / "ca.pem").write_text("certificate")
    address = ServerAddress("grpcs://trunkline:30650", str(tmp_path / "ca.pem"), "trunkline")

    pod = pods.render(worker(), replace(SETTINGS, server=address))

    variables = {entry["name"]: entry["value"] for entry in container(pod, "worker")["env"]}
    assert variables["TRUNKLINE_SERVER"] == "grpcs://trunkline:30650"
    assert variables["TRUNKLINE_SERVER_CA"] == "certificate"
    assert variables["TRUNKLINE_SERVER_NAME"] == "trunkline"


def test_the_pods_of_a_service_are_marked_for_the_policy_that_admits_connections():
    ports = Service(internal_port=80, external_port=30_080)

    assert render(service=ports)["metadata"]["labels"][pods.SERVES] == "true"
    assert pods.SERVES not in render()["metadata"]["labels"]
