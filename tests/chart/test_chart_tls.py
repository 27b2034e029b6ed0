"""TLS of the server on Kubernetes: where the certificate comes from, and who uses it."""

from __future__ import annotations

from typing import Any

import pytest
from chart import CHART, INSTALLATIONS, helm, only, rendered

from trunkline.cli.parsing import load

WITH_SECRET = INSTALLATIONS["with TLS"]
WITH_CERT_MANAGER = {
    "tls": {
        "enabled": True,
        "names": ["data.example.org"],
        "certManager": {"enabled": True, "issuerName": "private-ca", "issuerKind": "ClusterIssuer"},
    }
}


def server_pod(values: dict[str, Any]) -> dict[str, Any]:
    return only(rendered(values), "Deployment")["spec"]["template"]["spec"]


def test_the_server_reads_the_secret() -> None:
    pod = server_pod(WITH_SECRET)

    [server] = pod["containers"]
    assert {"--tls-cert=/tls/tls.crt", "--tls-key=/tls/tls.key"} <= set(server["args"])
    assert {"name": "tls", "mountPath": "/tls", "readOnly": True} in server["volumeMounts"]
    assert {"name": "tls", "secret": {"secretName": "certificate"}} in pod["volumes"]


def test_probes_use_https() -> None:
    [server] = server_pod(WITH_SECRET)["containers"]

    handlers = {name: server[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}

    assert {name: handler["path"] for name, handler in handlers.items()} == {
        "startup": "/livez",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {(handler["port"], handler["scheme"]) for handler in handlers.values()} == {(1650, "HTTPS")}


def test_without_tls_probes_use_grpc_and_there_is_no_certificate() -> None:
    manifests = rendered({})

    [server] = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert server["readinessProbe"]["grpc"] == {"port": 1650}
    assert "--tls" not in str(server["args"])
    assert "Certificate" not in {manifest["kind"] for manifest in manifests}


def test_cert_manager_makes_a_certificate_for_the_names_of_the_server() -> None:
    manifests = rendered(WITH_CERT_MANAGER)

    certificate = only(manifests, "Certificate")["spec"]
    volumes = only(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert certificate["issuerRef"] == {
        "name": "private-ca",
        "kind": "ClusterIssuer",
        "group": "cert-manager.io",
    }
    assert {"localhost", "line-trunkline.data.svc", "data.example.org"} <= set(certificate["dnsNames"])
    assert {"name": "tls", "secret": {"secretName": certificate["secretName"]}} in volumes


def test_the_test_of_the_release_connects_with_tls_and_gets_no_key() -> None:
    pod = only(rendered(WITH_SECRET), "Pod")["spec"]

    assert "grpcs://line-trunkline.data.svc:30650" in pod["containers"][0]["command"][-1]
    assert pod["volumes"][0]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_notes_say_where_the_ca_is() -> None:
    done = helm("install", "line", CHART, "--namespace", "data", "--dry-run=client", values=WITH_SECRET)

    notes = done.stdout.partition("NOTES:")[2]
    assert "grpcs://localhost:30650" in notes
    assert "get secret certificate" in notes


def test_other_ways_to_say_it_are_arguments_that_the_chart_sets() -> None:
    options = {name for each in load("serve").arguments for name in each.names if name.startswith("--tls")}

    refused = [
        helm("template", "line", CHART, values={"server": {"extraArgs": [f"{option}=x"]}}).returncode != 0
        for option in sorted(options)
    ]

    assert len(options) == 4
    assert all(refused)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"enabled": True}, "tls.enabled needs tls.secret"),
        ({"secret": "certificate"}, "need tls.enabled=true"),
        ({"enabled": True, "certManager": {"enabled": True}}, "needs tls.certManager.issuerName"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_together_are_refused(values: dict[str, Any], message: str) -> None:
    done = helm("template", "line", CHART, values={"tls": values})

    assert done.returncode != 0
    assert message in done.stderr
