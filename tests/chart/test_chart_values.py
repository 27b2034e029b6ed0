"""The chart's values: what the schema lets in and what it refuses. Needs no tool of Kubernetes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from chart import CHART, INSTALLATIONS, ROOT

from trunkline import __version__
from trunkline.cli.parsing import load
from trunkline.drivers.fleets.kubernetes import preflight

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
#: Values that are passed on as they are.
LEAVES = ("resources", "sidecarResources")
TEMPLATES = "".join(path.read_text() for path in sorted(CHART.rglob("templates/**/*")) if path.is_file())


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_defaults_pass_the_schema() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(VALUES)


@pytest.mark.parametrize("values", INSTALLATIONS.values(), ids=INSTALLATIONS)
def test_what_people_install_with_passes_the_schema(values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(values)


def test_each_default_is_in_the_schema_and_each_value_of_the_schema_has_a_default() -> None:
    assert sorted(paths_of_values(VALUES, SCHEMA)) == sorted(paths_of_schema(SCHEMA))


def paths_of_values(values: dict[str, Any], schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        below = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and below.get("additionalProperties") is False and name not in LEAVES:
            yield from paths_of_values(value, below, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def paths_of_schema(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, below in schema["properties"].items():
        if below.get("additionalProperties") is False and name not in LEAVES:
            yield from paths_of_schema(below, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_each_value_has_an_effect() -> None:
    unused = [
        path
        for path in paths_of_schema(SCHEMA)
        # Helm reads "enabled" for charts that depend on this one. Else the last name: after what a template may have
        # bound to a variable, or in a list of names.
        if path != "enabled"
        and not re.search(rf'\.{re.escape(path.split(".")[-1])}\b|"{path.split(".")[-1]}"', TEMPLATES)
    ]

    assert unused == []


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"tagg": "1"}},
        {"imagePullSecrets": [{"name": "registry"}]},
        {"replicas": 2},
        {"store": {"url": "http://bucket"}},
        {"store": {"endpoint": "minio:9000"}},
        {"database": {"url": "mysql://host/name"}},
        {"persistence": {"size": "20 GB"}},
        {"persistence": {"enabled": "yes"}},
        {"service": {"type": "Nodeport"}},
        {"service": {"port": 0}},
        {"service": {"nodePort": "30650"}},
        {"server": {"log": "info"}},
        {"server": {"resources": {"request": {"cpu": 1}}}},
        {"server": {"extraEnv": {"NAME": "value"}}},
        {"workers": {"namespace": "Work"}},
        {"networkPolicy": {"objectStore": {"cidrs": ["everywhere"]}}},
        {"deployTarget": "AZURE"},
        {"pachd": {"storage": {"amazon": {"id": "AKIA", "secret": "x"}}}},
        {"pachd": {"enterpriseLicenseKey": "x"}},
    ],
    ids=json.dumps,
)
def test_a_value_that_means_nothing_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(values)


def test_the_versions_of_chart_and_package_are_the_same() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_server_understands_every_argument_that_the_chart_gives() -> None:
    accepted = {name for each in load("serve").arguments for name in each.names}

    rendered_arguments = set(
        re.findall(r"^ +- (--[a-z-]+)=", (CHART / "templates/deployment.yaml").read_text(), re.MULTILINE)
    )

    assert rendered_arguments
    assert rendered_arguments <= accepted


def test_the_server_reads_every_variable_that_the_chart_sets() -> None:
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))

    names = set(re.findall(r"name: (TRUNKLINE_\w+)", TEMPLATES))

    assert {name for name in names if f'"{name}"' not in code} == set()


def test_the_server_is_given_the_rights_that_the_fleet_needs() -> None:
    rules = (CHART / "templates/rbac.yaml").read_text()

    (verbs,) = re.findall(r"resources: \[pods\]\n +verbs: \[(.*)\]", rules)

    assert tuple(verbs.split(", ")) == preflight.NEEDED_VERBS
