"""The manifests that the chart renders. Needs helm, in KUBEBUILDER_ASSETS or PATH."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from chart import CHART, INSTALLATIONS, helm, only, rendered

from trunkline.drivers.fleets.kubernetes import pods as pods_driver
from trunkline.drivers.fleets.kubernetes.pod_decoding import as_pod
from trunkline.model.port_limits import PortLimits, parse
from trunkline.model.spec import PipelineSpec, Transform
from trunkline.model.workers import WorkerSpec
from trunkline.ports import ServerAddress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    (container_spec,) = only(rendered(values), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(container_spec, dict)
    return container_spec


def worker_config(values: dict[str, Any]) -> dict[str, Any]:
    data = only(rendered(values), "ConfigMap", "workers")["data"]
    return {name: yaml.safe_load(text) for name, text in data.items()}


def environment(values: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(values)["env"]}


@everywhere
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    done = helm("lint", "--strict", CHART, values=values)

    assert done.returncode == 0, done.stdout + done.stderr


@everywhere
def test_every_pod_is_restricted(values: dict[str, Any]) -> None:
    specs = list(pods(rendered(values)))

    assert len(specs) == 2
    for pod in specs:
        assert pod["securityContext"]["runAsNonRoot"] is True
        # OpenShift chooses the user and refuses any other.
        expected = None if values == INSTALLATIONS["openshift"] else 1000
        assert pod["securityContext"].get("runAsUser") == expected
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
    claim_names = {each["metadata"]["name"] for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    (port,) = pod["containers"][0]["ports"]

    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert {claim["claimName"] for claim in claims} == claim_names
    assert only(manifests, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    probe = pod["containers"][0]["readinessProbe"]
    assert (probe.get("grpc") or probe["httpGet"])["port"] == port["containerPort"]
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
        "TRUNKLINE_LOG": "INFO",
        "TRUNKLINE_LOG_FORMAT": "text",
        "TRUNKLINE_WORKER_CONFIG": "line-trunkline-workers",
    }
    arguments = container({})["args"]
    assert [argument for argument in arguments[1:] if not argument.startswith("--allow-host=")] == [
        "--data=/data",
        "--listen=0.0.0.0:1650",
        "--insecure",
        "--fleet=kubernetes",
        f"--advertise={ADDRESS}",
        "--worker-image=trunkline/worker:0.1.0",
        "--namespace=data",
    ]


def test_the_servers_limits_are_arguments_that_it_accepts() -> None:
    limits = {"connections": 1_000_000, "message": "32Mi", "handshake": 2.5}
    arguments = container({"server": {"limits": limits, "trustedProxies": ["10.0.0.0/8", "::1"]}})["args"]

    texts = [argument.removeprefix("--limit=") for argument in arguments if argument.startswith("--limit=")]

    assert parse(texts) == PortLimits(connections=1_000_000, message=32 << 20, handshake=2.5)
    assert [argument for argument in arguments if argument.startswith("--trust-proxy=")] == [
        "--trust-proxy=10.0.0.0/8",
        "--trust-proxy=::1",
    ]


def test_with_an_external_database_and_store_there_is_no_volume() -> None:
    values = INSTALLATIONS["eks"]

    assert "PersistentVolumeClaim" not in {each["kind"] for each in rendered(values)}
    variables = environment(values)
    assert variables["TRUNKLINE_DATABASE"] == values["database"]["url"]
    assert variables["PGPASSWORD"] == {"secretKeyRef": {"name": "trunkline-database", "key": "password"}}
    assert variables["TRUNKLINE_STORE"] == "s3://trunkline-example/main"
    assert variables["AWS_REGION"] == "eu-central-1"


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
        "services": ["create", "delete", "list"],
        "configmaps": ["get"],
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
        ("ConfigMap", "workers"),
        ("Role", ""),
        ("RoleBinding", ""),
        ("ServiceAccount", "worker"),
        ("NetworkPolicy", "workers"),
    ):
        assert only(manifests, kind, ending)["metadata"]["namespace"] == "work"
    assert "--namespace=work" in container(INSTALLATIONS["workers elsewhere"])["args"]
    config = worker_config(INSTALLATIONS["workers elsewhere"])
    assert config["pod.yaml"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    # The server's volume is out of reach there.
    assert config["policy.yaml"]["deniedClaims"] == []


def test_workers_reach_the_server_names_and_an_external_store_and_nothing_else() -> None:
    inside = only(rendered({"networkPolicy": {"restrictWorkers": True}}), "NetworkPolicy", "workers")["spec"]
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
    variables = environment(INSTALLATIONS["as for pachyderm"])

    assert variables["TRUNKLINE_STORE"] == "s3://b"
    assert variables["AWS_REGION"] == "us-east-1"
    assert variables["TRUNKLINE_DATABASE"] == (
        "postgresql://pachyderm@db.example.org:5432/pachyderm?sslmode=require"
    )
    assert variables["PGPASSWORD"] == {"secretKeyRef": {"name": "pg", "key": "postgresql-password"}}
    assert container(INSTALLATIONS["as for pachyderm"])["resources"]["requests"] == {
        "cpu": 1,
        "memory": "2Gi",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image": {"tagg": "1"}}, "additional properties 'tagg' not allowed"),
        ({"database": {"url": "postgresql://me:secret@db/name"}}, "database.url holds a password"),
        ({"database": {"url": "postgresql://u@h/db?password=secret"}}, "database.url holds a password"),
        (
            {"database": {"url": "postgresql://u@h/db?sslmode=require&sslpassword=secret"}},
            "database.url holds a password",
        ),
        (
            {"server": {"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]}},
            "extraEnv has AWS_SECRET_ACCESS_KEY as a plain value",
        ),
        ({"service": {"type": "LoadBalancer"}}, "at '/allowOpenPort': value must be true"),
        ({"service": {"type": "NodePort"}}, "at '/allowOpenPort': value must be true"),
        (
            {"ingress": {"enabled": True, "host": "a.example.org"}},
            "at '/allowOpenPort': value must be true",
        ),
        ({"server": {"replicas": 2}}, "server.replicas 2 needs an external database and store"),
        (
            {"workers": {"serviceAccount": {"create": False, "name": "line-trunkline"}}},
            'workers would have the service account "line-trunkline"',
        ),
        (
            {"serviceAccount": {"create": False}, "workers": {"serviceAccount": {"create": False}}},
            'workers would have the service account "default"',
        ),
        (
            {"workers": {"allowedServiceAccounts": ["line-trunkline"]}},
            'workers.allowedServiceAccounts has "line-trunkline"',
        ),
        ({"caBundle": {"configMap": "a", "secret": "b"}}, "caBundle.configMap and caBundle.secret both"),
        (
            {"database": {"url": "postgresql://me@db/name", "urlSecret": {"name": "x"}}},
            "database.url and database.urlSecret.name both say where the database is",
        ),
        (
            {"database": {"url": "postgresql://me@db/name"}, "persistence": {"enabled": False}},
            "set store.url too, or persistence.enabled=true",
        ),
        ({"service": {"nodePort": 30650}}, "service.nodePort 30650 needs service.type NodePort"),
        ({"ingress": {"enabled": True}, "allowOpenPort": True}, "ingress.enabled needs ingress.host"),
        ({"deployTarget": "AMAZON"}, "AMAZON names no bucket: set store.url"),
        ({"server": {"extraArgs": ["--store=s3://b"]}}, 'server.extraArgs has "--store=s3://b"'),
    ],
    ids=lambda value: str(value)[:60],
)
def test_values_that_make_no_sense_are_refused_with_a_sentence(values: dict[str, Any], message: str) -> None:
    done = helm("template", "line", CHART, values=values)

    assert done.returncode != 0
    assert message in done.stderr


@everywhere
def test_the_notes_say_where_data_is_and_how_to_reach_the_server(values: dict[str, Any]) -> None:
    done = helm("install", "line", CHART, "--namespace", "data", "--dry-run=client", values=values)

    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    lost = values == INSTALLATIONS["throw-away"]
    assert ("LOST WHEN THE POD ENDS" in notes) == lost
    assert "helm -n data test line" in notes


def test_the_server_admits_only_its_own_namespace_by_default() -> None:
    policy = only(rendered({}), "NetworkPolicy", "server")["spec"]

    [rule] = policy["ingress"]
    workers, test, clients = rule["from"]
    assert policy["policyTypes"] == ["Ingress"]
    assert workers["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    assert workers["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "data"}
    # A selector of pods without one of namespaces means the policy's namespace.
    assert (set(test), clients) == ({"podSelector"}, {"podSelector": {}})


def test_the_notes_say_that_the_port_is_open() -> None:
    for values, fragment in (
        ({}, "pods of namespace data"),
        ({"networkPolicy": {"enabled": False}}, "EVERY POD"),
    ):
        done = helm("install", "line", CHART, "--namespace", "data", "--dry-run=client", values=values)

        assert "no users yet, and no TLS" in done.stdout
        assert fragment in done.stdout


def test_server_and_workers_run_on_nodes_that_their_images_are_built_for() -> None:
    linux = {"kubernetes.io/os": "linux"}

    for values, selector in (
        ({}, {**linux, "kubernetes.io/arch": "amd64"}),
        ({"image": {"architecture": "arm64"}}, {**linux, "kubernetes.io/arch": "arm64"}),
        ({"image": {"architecture": ""}}, linux),
    ):
        for pod in pods(rendered(values)):
            assert pod["nodeSelector"] == selector
        assert worker_config(values)["pod.yaml"]["spec"]["nodeSelector"] == selector


def test_a_standby_may_wait_and_does_not_keep_nodes_from_being_drained() -> None:
    manifests = rendered(INSTALLATIONS["standby"])

    deployment = only(manifests, "Deployment")["spec"]
    [server] = deployment["template"]["spec"]["containers"]
    budget = only(manifests, "PodDisruptionBudget")["spec"]
    assert deployment["replicas"] == 2
    assert server["startupProbe"]["failureThreshold"] > 10**9
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_authorities_and_proxy_reach_the_server_and_workers() -> None:
    values = INSTALLATIONS["behind a proxy"]
    pod = only(rendered(values), "Deployment")["spec"]["template"]["spec"]
    workers = worker_config(values)["pod.yaml"]

    expected = {
        "SSL_CERT_FILE": "/etc/trunkline/ca/ca.crt",
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": "localhost,127.0.0.1,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST),intranet.example.org",
    }
    for each in (*pod["containers"], *workers["spec"]["containers"]):
        assert {
            variable["name"]: variable.get("value") for variable in each["env"]
        }.items() >= expected.items()
        assert "/etc/trunkline/ca" in [mount["mountPath"] for mount in each["volumeMounts"]]
    assert pod["containers"][0]["image"] == "registry.example.org/trunkline/server:0.1.0"
    assert workers["metadata"]["labels"] == {"team": "data"}


def test_what_workers_have_in_common_is_what_the_server_merges() -> None:
    """Rendered by helm, read and merged by the server's own code."""
    settings = INSTALLATIONS["workers of their own kind"]["workers"]
    config = worker_config(INSTALLATIONS["workers of their own kind"])
    spec = config["pod.yaml"]["spec"]

    assert config["policy.yaml"] == {
        "serviceAccounts": ["reader"],
        "secrets": ["authorities"],
        "deniedClaims": ["line-trunkline-data"],
    }
    for field in ("tolerations", "affinity", "topologySpreadConstraints", "priorityClassName", "hostAliases"):
        assert spec[field] == settings[field]
    for field in ("runtimeClassName", "dnsPolicy", "dnsConfig"):
        assert spec[field] == settings[field]
    worker = WorkerSpec(
        worker_id="0" * 32,
        token="",
        project="default",
        pipeline="edges",
        version=1,
        pipeline_spec=PipelineSpec(transform=Transform(image="edges:1")),
        memory=256 << 20,
    )
    pod = pods_driver.render(
        worker,
        pods_driver.PodSettings(
            cluster="c",
            namespace="data",
            server=ServerAddress("s:1"),
            worker_image="w:1",
            config=pods_driver.WorkerConfig(defaults=config["pod.yaml"]),
        ),
    )
    as_pod(pod)
    own = {each["name"]: each for each in (*pod["spec"]["containers"], *pod["spec"]["initContainers"])}
    assert pod["spec"]["nodeSelector"]["pool"] == "batch"
    assert pod["spec"]["serviceAccountName"] == "line-trunkline-worker"
    assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert own["user"]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert own["worker"]["resources"]["limits"] == own["launcher"]["resources"]["limits"]
    assert own["worker"]["imagePullPolicy"] == own["launcher"]["imagePullPolicy"] == "Always"
    assert {"name": "MODE", "value": "batch"} in own["user"]["env"]
    assert "/cache" in [mount["mountPath"] for mount in own["user"]["volumeMounts"]]


def test_on_openshift_no_worker_asks_for_an_id() -> None:
    context = worker_config(INSTALLATIONS["openshift"])["pod.yaml"]["spec"]["securityContext"]

    assert context == dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup", "runAsNonRoot", "seccompProfile"))


def test_the_server_starts_again_when_what_workers_have_in_common_changes() -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = only(rendered(values), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/workers"])

    assert checksum({}) == checksum({"server": {"log": "INFO"}})
    assert checksum({}) != checksum({"workers": {"nodeSelector": {"a": "b"}}})
    assert checksum({}) != checksum({"workers": {"allowedSecrets": ["a"]}})


def test_the_chart_works_as_a_part_of_another(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    shutil.copytree(CHART, parent / "charts/trunkline")
    dependency = {"name": "trunkline", "version": "0.1.0", "condition": "trunkline.enabled"}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    siblings = {"global": {"imageRegistry": "mirror.example.org", "storageClass": "fast", "of": "others"}}

    for enabled in (True, False):
        values = {**siblings, "trunkline": {"enabled": enabled, "server": {"log": "INFO"}}}
        done = helm("template", "line", parent, values=values)

        assert done.returncode == 0, done.stderr
        assert ("kind: Deployment" in done.stdout) == enabled
        assert ("mirror.example.org/trunkline/server" in done.stdout) == enabled
        assert ("storageClassName: fast" in done.stdout) == enabled


def test_metrics_have_a_port_and_a_service_of_their_own() -> None:
    clients = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    values = {
        "metrics": {"enabled": True, "clients": clients, "serviceMonitor": {"enabled": True}},
        "service": {"type": "LoadBalancer"},
        "allowOpenPort": True,
    }
    manifests = rendered(values)

    service = only(manifests, "Service", "metrics")
    monitor = only(manifests, "ServiceMonitor")["spec"]
    [server] = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    rules = only(manifests, "NetworkPolicy", "server")["spec"]["ingress"]
    assert "--metrics=0.0.0.0:9650" in server["args"]
    assert {"name": "metrics", "containerPort": 9650} in server["ports"]
    # The load balancer does not have it.
    assert "type" not in service["spec"]
    assert [port["name"] for port in only(manifests, "Service", "trunkline")["spec"]["ports"]] == [
        "api-grpc-port"
    ]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert rules[1] == {"from": clients, "ports": [{"port": 9650}]}
    assert "--metrics" not in str(container({})["args"])


def test_the_server_answers_under_the_names_of_service_and_ingress() -> None:
    inside = [argument for argument in container({})["args"] if argument.startswith("--allow-host=")]
    outside = [
        argument
        for argument in container(INSTALLATIONS["all of it"])["args"]
        if argument.startswith("--allow-host=")
    ]

    assert inside == [
        "--allow-host=line-trunkline",
        "--allow-host=line-trunkline.data",
        "--allow-host=line-trunkline.data.svc",
        "--allow-host=line-trunkline.data.svc.cluster.local",
    ]
    assert outside[4:] == [
        "--allow-host=trunkline.example.org",
        "--allow-host=data.example.org",
        "--allow-host=plain.example.org",
    ]
