"""What pipelines may name, whichever field they name it in, and what an administrator sets for all of them."""

from __future__ import annotations

import json

import pytest
from kubernetes_world import connect, make_fleet, sighting, wait_until, worker
from msgspec.structs import replace

from trunkline.drivers.fleets.kubernetes import pods, worker_config
from trunkline.drivers.fleets.kubernetes.pod_policy import PodPolicy
from trunkline.drivers.fleets.kubernetes.pods import WorkerConfig
from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.model.spec import (
    Metadata,
    ResourceSpec,
    SchedulingSpec,
    SecretMount,
    Toleration,
    Transform,
)
from trunkline.ports import ServerAddress

SETTINGS = pods.PodSettings(
    cluster="c1", namespace="work", server=ServerAddress("trunkline:30650"), worker_image="own:1"
)


def render(config: WorkerConfig | None = None, **fields) -> dict:
    return pods.render(worker(**fields), replace(SETTINGS, config=config or WorkerConfig()))


def container(pod: dict, name: str) -> dict:
    spec = pod["spec"]
    return next(each for each in (*spec["initContainers"], *spec["containers"]) if each["name"] == name)


def patch(*operations: dict) -> dict[str, str]:
    return {"pod_patch": json.dumps([{"op": "add", **each} for each in operations])}


ACCOUNTS = [
    {"pod_spec": '{"serviceAccountName": "ACCOUNT"}'},
    {"pod_spec": '{"serviceAccount": "ACCOUNT"}'},
    patch({"path": "/spec/serviceAccountName", "value": "ACCOUNT"}),
    patch({"path": "/serviceAccount", "value": "ACCOUNT"}),
]


@pytest.mark.parametrize("fields", ACCOUNTS)
@pytest.mark.parametrize("account", ["trunkline", "default", "anything"])
def test_no_pipeline_chooses_an_account_that_is_not_listed(fields, account):
    """At 0276b99 one line of ``pod_spec`` gave a command the server's token."""
    config = WorkerConfig(
        defaults={"spec": {"serviceAccountName": "trunkline-worker"}},
        policy=PodPolicy(service_accounts=("listed",)),
    )
    fields = {field: text.replace("ACCOUNT", account) for field, text in fields.items()}

    with pytest.raises(InvalidArgument, match=f'"{account}".*allowed: listed'):
        render(config, **fields)


@pytest.mark.parametrize("fields", ACCOUNTS)
def test_an_account_that_is_listed_may_be_chosen_and_its_token_is_asked_for_apart(fields):
    config = WorkerConfig(policy=PodPolicy(service_accounts=("listed",)))
    fields = {field: text.replace("ACCOUNT", "listed") for field, text in fields.items()}

    pod = render(config, **fields)
    with_token = render(
        config, pod_spec='{"serviceAccountName": "listed", "automountServiceAccountToken": true}'
    )

    assert pod["spec"]["automountServiceAccountToken"] is False
    assert with_token["spec"]["automountServiceAccountToken"] is True


def test_every_worker_has_the_account_of_the_installation_without_its_token():
    pod = render(WorkerConfig(defaults={"spec": {"serviceAccountName": "trunkline-worker"}}))

    assert pod["spec"]["serviceAccountName"] == "trunkline-worker"
    assert pod["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("accounts", "default"), [((), "trunkline"), (("other", "trunkline"), "trunkline-worker")]
)
def test_a_server_whose_own_account_workers_could_have_does_not_start(fake_api, accounts, default):
    config = WorkerConfig(
        defaults={"spec": {"serviceAccountName": default}}, policy=PodPolicy(service_accounts=accounts)
    )

    with pytest.raises(FailedPrecondition, match='"trunkline", which is the server\'s own'):
        make_fleet(fake_api, config=config)


SECRET_VOLUME = {"name": "stolen", "secret": {"secretName": "database"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"pod_spec": json.dumps({"volumes": [SECRET_VOLUME]})},
        patch({"path": "/volumes/-", "value": SECRET_VOLUME}),
        patch(
            {
                "path": "/volumes/-",
                "value": {"name": "p", "projected": {"sources": [{"secret": {"name": "database"}}]}},
            }
        ),
        patch({"path": "/containers/0/envFrom", "value": [{"secretRef": {"name": "database"}}]}),
        patch(
            {
                "path": "/containers/0/env/-",
                "value": {"name": "X", "valueFrom": {"secretKeyRef": {"name": "database", "key": "k"}}},
            }
        ),
        {
            "pod_spec": json.dumps(
                {
                    "initContainers": [
                        {"name": "x", "image": "x", "envFrom": [{"secretRef": {"name": "database"}}]}
                    ]
                }
            )
        },
    ],
)
def test_a_pod_reads_no_secret_that_was_not_made_for_pipelines(fake_api, fields):
    """Refused at create, and again where a pod would be made of a specification that was stored before."""
    fake_api.add("secrets", "work", {"metadata": {"name": "database"}, "data": {"k": "eA=="}})
    spec = worker(**fields)
    for config, refused in (
        (WorkerConfig(), True),
        (WorkerConfig(policy=PodPolicy(secrets=("database",))), False),
    ):
        fleet = make_fleet(fake_api, config=config)
        try:
            if not refused:
                fleet.check(spec)
                continue
            with pytest.raises(InvalidArgument, match='secret "database"'):
                fleet.check(spec)
            fleet.start(spec)
            wait_until(lambda fleet=fleet: sighting(fleet, spec).unsatisfiable)
            assert fake_api.pods() == []
        finally:
            fleet.close(0.0)


def test_secrets_that_were_made_for_pipelines_and_missing_ones_pass(fake_api, fleets):
    labels = {"suite": "pachyderm", "secret-source": "pachyderm-user"}
    fake_api.add("secrets", "work", {"metadata": {"name": "mine", "labels": labels}})
    mounts = (SecretMount(name="mine", mount_path="/mine"),)
    fleet = make_fleet(fake_api)
    try:
        for name in ("mine", "missing"):
            fleet.check(
                worker(
                    transform=Transform(image="a", secrets=mounts),
                    **patch({"path": "/volumes/-", "value": {"name": "v", "secret": {"secretName": name}}}),
                )
            )
    finally:
        fleet.close(0.0)


def test_the_server_s_own_volume_is_not_for_pipelines():
    config = WorkerConfig(policy=PodPolicy(denied_claims=("trunkline-data",)))
    volumes = [
        {"name": "v", "persistentVolumeClaim": {"claimName": name}} for name in ("cache", "trunkline-data")
    ]

    render(config, pod_spec=json.dumps({"volumes": volumes[:1]}))
    with pytest.raises(InvalidArgument, match='"trunkline-data"'):
        render(config, pod_spec=json.dumps({"volumes": volumes}))


def test_no_other_container_mounts_the_worker_s_token():
    mount = {"name": "identity", "mountPath": "/x"}

    with pytest.raises(InvalidArgument, match='"identity"'):
        render(**patch({"path": "/containers/0/volumeMounts/-", "value": mount}))


DEFAULTS = WorkerConfig(
    defaults={
        "metadata": {"labels": {"team": "data", "app": "mine"}, "annotations": {"mesh": "off"}},
        "spec": {
            "serviceAccountName": "trunkline-worker",
            "nodeSelector": {"kubernetes.io/arch": "amd64", "pool": "batch"},
            "tolerations": [{"key": "batch", "operator": "Exists"}],
            "priorityClassName": "low",
            "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
            "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "containers": [
                {
                    "name": "user",
                    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
                },
                {
                    "name": "worker",
                    "imagePullPolicy": "Always",
                    "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
                    "resources": {"limits": {"memory": "512Mi"}},
                },
            ],
        },
    },
    owner={"apiVersion": "v1", "kind": "ConfigMap", "name": "trunkline-workers", "uid": "1"},
)


def test_defaults_of_the_installation_reach_every_pod():
    pod = render(DEFAULTS)

    assert pod["metadata"]["labels"].items() >= {"team": "data", "app": "pipeline"}.items()
    assert pod["metadata"]["annotations"]["mesh"] == "off"
    assert pod["metadata"]["ownerReferences"] == [DEFAULTS.owner]
    spec = pod["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "batch"}
    assert spec["priorityClassName"] == "low"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    # OpenShift chooses the ids.
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert {"name": "ca", "configMap": {"name": "ca"}} in spec["volumes"]
    assert container(pod, "worker")["imagePullPolicy"] == "Always"
    assert container(pod, "worker")["command"] == ["python3", "-P", "-m", "trunkline.worker"]
    assert container(pod, "user")["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "2Gi"},
    }
    assert container(pod, "worker")["resources"] == {
        "requests": {"cpu": "0", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }


def test_what_a_pipeline_sets_is_above_the_defaults_and_its_patches_above_both():
    pod = render(
        DEFAULTS,
        transform=Transform(image="a", user="1234", image_pull_secrets=("mine",)),
        metadata=Metadata(labels={"team": "vision"}),
        scheduling_spec=SchedulingSpec(node_selector={"pool": "gpu"}, priority_class_name="high"),
        tolerations=(Toleration(key="gpu", operator="EXISTS"),),
        resource_requests=ResourceSpec(cpu=4, memory="3Gi"),
        pod_spec='{"nodeSelector": {"zone": "a"}, "containers": [{"name": "user", "tty": true}]}',
    )

    spec = pod["spec"]
    assert pod["metadata"]["labels"]["team"] == "vision"
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "gpu", "zone": "a"}
    assert spec["priorityClassName"] == "high"
    assert [each["key"] for each in spec["tolerations"]] == ["batch", "gpu"]
    assert {each["name"] for each in spec["imagePullSecrets"]} == {"mine", "registry"}
    assert spec["securityContext"]["runAsUser"] == 1234
    # A default limit below the request would make the pod invalid.
    assert container(pod, "user")["resources"] == {"requests": {"cpu": "4000m", "memory": "3Gi"}}
    assert container(pod, "user")["tty"] is True
    assert container(pod, "user")["env"] == [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]


def test_a_patch_does_not_change_who_owns_the_pod():
    owner = [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "2"}]

    pod = render(DEFAULTS, **patch({"path": "/metadata/ownerReferences", "value": owner}))

    assert pod["metadata"]["ownerReferences"] == [DEFAULTS.owner]


def config_map(api, **data: str) -> WorkerConfig:
    api.add("configmaps", "work", {"metadata": {"name": "workers"}, "data": data})
    connection = connect(api)
    try:
        return worker_config.read(connection, "workers")
    finally:
        connection.close()
        api.remove("configmaps", "work", "workers")


def test_the_configuration_is_read_from_a_config_map_that_owns_the_pods(api):
    config = config_map(
        api,
        **{
            "pod.yaml": "spec: {serviceAccountName: workers, nodeSelector: {a: b}, securityContext: {runAsUser: null}}",
            "policy.yaml": "serviceAccounts: [listed]\nsecrets: [ca]\ndeniedClaims: [data]",
        },
    )

    assert config.service_account == "workers"
    assert config.policy == PodPolicy(service_accounts=("listed",), secrets=("ca",), denied_claims=("data",))
    assert config.owner is not None
    assert (config.owner["kind"], config.owner["name"], config.owner["controller"]) == (
        "ConfigMap",
        "workers",
        True,
    )
    fleet = make_fleet(api, config=config)
    try:
        spec = worker()
        fleet.start(spec)
        wait_until(lambda: len(api.pods()) == 1)
        [owner] = api.pods()[0]["metadata"]["ownerReferences"]
    finally:
        fleet.close(0.0)
    assert owner["uid"] == config.owner["uid"] != ""


@pytest.mark.parametrize(
    "data",
    [
        {"pod.yaml": "spec: {nodeSelectr: {a: b}}"},
        {"pod.yaml": "spec: {nodeSelector: 3}"},
        {"pod.yaml": "[]"},
        {"pod.yaml": "{"},
        {"pod.yaml": "kind: Pod"},
        {"policy.yaml": "serviceAccounts: listed"},
        {"policy.yaml": "accounts: [listed]"},
    ],
    ids=str,
)
def test_a_configuration_that_is_not_valid_is_refused_at_the_start(fake_api, data):
    with pytest.raises(FailedPrecondition, match='ConfigMap "workers" in namespace work'):
        config_map(fake_api, **data)


def test_a_configuration_that_does_not_exist_is_refused_at_the_start(fake_api):
    connection = connect(fake_api)
    try:
        with pytest.raises(FailedPrecondition, match='ConfigMap "workers"'):
            worker_config.read(connection, "workers")
    finally:
        connection.close()
