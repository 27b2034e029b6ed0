"""The rendered manifests before those who know Kubernetes best: its API server, and kubeconform.

kubeconform's schemas are made from what the API server publishes about itself, so nothing is downloaded.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from api_server import ApiServer, missing
from chart import INSTALLATIONS, only, rendered, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

everywhere = pytest.mark.parametrize("values", INSTALLATIONS.values(), ids=INSTALLATIONS)


def namespace(name: str) -> dict[str, Any]:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture(scope="module")
def api_server() -> Iterator[ApiServer]:
    """An API server whose namespaces take restricted pods only."""
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    with ApiServer() as server:
        created = server.kubectl("create", objects=[namespace("data"), namespace("work")])
        assert created.returncode == 0, created.stderr
        yield server


@pytest.fixture(scope="module")
def schemas(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Schemas as kubeconform looks for them, strict: a field that nobody knows is a mistake."""
    folder = tmp_path_factory.mktemp("schemas")
    definitions = json.loads(api_server.fetch("/openapi/v2"))["definitions"]
    for name, definition in definitions.items():
        if definition.get("format") == "int-or-string":
            definition["type"] = ["integer", "string"]
            del definition["format"]
        if name.endswith("api.resource.Quantity"):
            definition["type"] = ["string", "number"]
        if definition.get("properties"):
            definition.setdefault("additionalProperties", False)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            group = kind["group"].split(".")[0]
            file = "-".join(filter(None, (kind["kind"].lower(), group, kind["version"]))) + ".json"
            schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
            (folder / file).write_text(json.dumps(schema))
    return folder


def conform(schemas: Path, objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    place = str(schemas / "{{ .ResourceKind }}{{ .KindSuffix }}.json")
    return subprocess.run(
        [tool("kubeconform"), "-strict", "-schema-location", place],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@everywhere
def test_the_api_server_takes_all_of_it_without_a_warning(
    api_server: ApiServer, values: dict[str, Any]
) -> None:
    manifests = rendered(values)

    done = api_server.kubectl("apply", "--dry-run=server", "--validate=strict", objects=manifests)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(manifests)


def test_the_api_server_would_refuse_what_is_not_restricted(api_server: ApiServer) -> None:
    pod = only(rendered({}), "Pod")
    del pod["spec"]["containers"][0]["securityContext"]["capabilities"]

    done = api_server.kubectl("apply", "--dry-run=server", objects=[pod])

    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


@everywhere
def test_kubeconform_finds_nothing_to_complain_about(schemas: Path, values: dict[str, Any]) -> None:
    done = conform(schemas, rendered(values))

    assert (done.returncode, done.stdout) == (0, "")


def test_kubeconform_would_find_a_field_that_nobody_knows(schemas: Path) -> None:
    service = only(rendered({}), "Service")
    service["spec"]["prots"] = []

    done = conform(schemas, [service])

    assert done.returncode != 0
    assert "prots" in done.stdout
