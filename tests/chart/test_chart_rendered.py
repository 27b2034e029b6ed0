"""The manifests that the chart renders. Needs helm, in KUBEBUILDER_ASSETS or PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chart import CHART, INSTALLATIONS, helm, only, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The server's service as workers and clients see it.
ADDRESS = "line-trunkline.data.svc:30650"
everywhere = pytest.mark.parametrize("values", INSTALLATIONS.values(), ids=INSTALLATIONS)


def pods(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in manifests:
        if each["kind"] == "Pod":
            yield each["spec"]
        elif each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]


def container(values: dict[str, Any]) -> dict[str, Any]:
    (found,) = only(rendered(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def environment(values: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(values)["env"]}


@everywhere
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", CHART, values=values)

    assert done.returncode == 0, done.stdout + done.stderr


@everywhere
def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    found = list(pods(rendered(values)))

    assert len(found) == 2
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert each["resources"]["requests"].keys() >= {"cpu", "memory"}


@everywhere
def test_no_password_is_an_argument(values: dict[str, Any]) -> None:
    arguments = container(values)["args"]

    assert arguments[0] == "serve"
    assert not [each for each in arguments if each.startswith(("--database", "--store"))]


@everywhere
def test_the_service_finds_the_server_and_nobody_else(values: dict[str, Any]) -> None:
    manifests = rendered(values)
    selector = only(manifests, "Service")["spec"]["selector"].items()
    deployment = only(manifests, "Deployment")

    assert selector <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() == selector
    assert not selector <= only(manifests, "Pod")["metadata"]["labels"].items()


@everywhere
def test_names_and_ports_that_refer_to_each_other_agree(values: dict[str, Any]) -> None:
    manifests = rendered(values)
    pod = only(manifests, "Deployment")["spec"]["template"]["spec"]
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    claims = [
        volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume
    ]
    made = {each["metadata"]["name"] for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    (port,) = pod["containers"][0]["ports"]

    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert {claim["claimName"] for claim in claims} == made
    assert only(manifests, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert pod["containers"][0]["readinessProbe"]["grpc"]["port"] == port["containerPort"]
    for binding in (each for each in manifests if each["kind"].endswith("RoleBinding")):
        (subject,) = binding["subjects"]
        assert subject["name"] == pod["serviceAccountName"]
        assert subject["namespace"] == "data"
        assert subject["name"] in accounts


def test_by_default_everything_is_on_one_volume_that_outlives_the_release() -> None:
    manifests = rendered({})

    claim = only(manifests, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert only(manifests, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert environment({}) == {
        "TRUNKLINE_LOG": "WARNING",
        "TRUNKLINE_WORKER_SERVICE_ACCOUNT": "line-trunkline-worker",
    }
    assert container({})["args"][1:] == [
        "--data=/data",
        "--listen=0.0.0.0:1650",
        "--insecure",
        "--fleet=kubernetes",
        f"--advertise={ADDRESS}",
        "--worker-image=trunkline/worker:0.1.0",
        "--namespace=data",
    ]


def test_with_an_external_database_and_store_there_is_no_volume() -> None:
    values = INSTALLATIONS["eks"]

    assert "PersistentVolumeClaim" not in {each["kind"] for each in rendered(values)}
    found = environment(values)
    assert found["TRUNKLINE_DATABASE"] == values["database"]["url"]
    assert found["PGPASSWORD"] == {"secretKeyRef": {"name": "trunkline-database", "key": "password"}}
    assert found["TRUNKLINE_STORE"] == "s3://trunkline-example/main"
    assert found["AWS_REGION"] == "eu-central-1"


def test_an_account_is_bound_to_a_role_by_its_annotation() -> None:
    account = only(rendered(INSTALLATIONS["eks"]), "ServiceAccount", "trunkline")

    assert account["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/trunkline"
    }


def test_the_server_may_do_what_it_does_and_nothing_else() -> None:
    manifests = rendered({})

    rules = {rule["resources"][0]: rule["verbs"] for rule in only(manifests, "Role")["rules"]}
    assert rules == {
        "pods": ["create", "delete", "get", "list", "patch", "watch"],
        "events": ["list", "watch"],
        "secrets": ["create", "delete", "get", "list", "update"],
    }
    (nodes,) = only(manifests, "ClusterRole")["rules"]
    assert nodes == {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}


def test_rights_that_are_not_wanted_are_not_asked_for() -> None:
    manifests = rendered(INSTALLATIONS["few rights"])

    assert "ClusterRole" not in {each["kind"] for each in manifests}
    assert "secrets" not in str(only(manifests, "Role")["rules"])


def test_workers_in_another_namespace_get_their_rights_account_and_policy_there() -> None:
    manifests = rendered(INSTALLATIONS["workers elsewhere"])

    for kind, ending in (
        ("Role", ""),
        ("RoleBinding", ""),
        ("ServiceAccount", "worker"),
        ("NetworkPolicy", "workers"),
    ):
        assert only(manifests, kind, ending)["metadata"]["namespace"] == "work"
    assert "--namespace=work" in container(INSTALLATIONS["workers elsewhere"])["args"]
    assert environment(INSTALLATIONS["workers elsewhere"])["TRUNKLINE_WORKER_PULL_SECRETS"] == "registry"


def test_workers_reach_the_server_names_and_an_external_store_and_nothing_else() -> None:
    inside = only(rendered({"networkPolicy": {"enabled": True}}), "NetworkPolicy", "workers")["spec"]
    outside = only(rendered(INSTALLATIONS["eks"]), "NetworkPolicy", "workers")["spec"]

    assert inside["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in inside
    server, names = inside["egress"]
    assert server["ports"] == [{"port": 1650}]
    assert {port["port"] for port in names["ports"]} == {53}
    assert outside["egress"][:2] == inside["egress"]
    (store,) = outside["egress"][2:]
    assert store["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]
    assert store["ports"] == [{"port": 443}]


def test_pachyderms_values_give_the_same_as_ours() -> None:
    found = environment(INSTALLATIONS["as for pachyderm"])

    assert found["TRUNKLINE_STORE"] == "s3://b"
    assert found["AWS_REGION"] == "us-east-1"
    assert found["TRUNKLINE_DATABASE"] == (
        "postgresql://pachyderm@db.example.org:5432/pachyderm?sslmode=require"
    )
    assert found["PGPASSWORD"] == {"secretKeyRef": {"name": "pg", "key": "postgresql-password"}}
    assert container(INSTALLATIONS["as for pachyderm"])["resources"]["requests"] == {
        "cpu": 1,
        "memory": "2Gi",
    }


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"image": {"tagg": "1"}}, "additional properties 'tagg' not allowed"),
        ({"database": {"url": "postgresql://me:secret@db/name"}}, "database.url holds a password"),
        (
            {"database": {"url": "postgresql://me@db/name", "urlSecret": {"name": "x"}}},
            "database.url and database.urlSecret.name both say where the database is",
        ),
        (
            {"database": {"url": "postgresql://me@db/name"}, "persistence": {"enabled": False}},
            "set store.url too, or persistence.enabled=true",
        ),
        ({"service": {"nodePort": 30650}}, "service.nodePort 30650 needs service.type NodePort"),
        ({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.host"),
        ({"deployTarget": "AMAZON"}, "AMAZON names no bucket: set store.url"),
        ({"server": {"extraArgs": ["--store=s3://b"]}}, 'server.extraArgs has "--store=s3://b"'),
    ],
    ids=lambda value: str(value)[:60],
)
def test_values_that_make_no_sense_are_refused_with_a_sentence(values: dict[str, Any], told: str) -> None:
    done = helm("template", "line", CHART, values=values)

    assert done.returncode != 0
    assert told in done.stderr


@everywhere
def test_the_notes_say_where_data_is_and_how_to_reach_the_server(values: dict[str, Any]) -> None:
    done = helm("install", "line", CHART, "--namespace", "data", "--dry-run=client", values=values)

    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    lost = values == INSTALLATIONS["throw-away"]
    assert ("GONE WITH THE POD" in notes) == lost
    assert "helm -n data test line" in notes
