"""The Grafana dashboard and the alert rules ask only for metrics and labels that the server has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yaml").read_text())["groups"][0]["rules"]
#: The page is generated from the metrics of the code.
ROWS = re.findall(
    r"^\| `(trunkline_\w+)` \| (\w+) \| ([^|]*) \|", (ROOT / "docs/reference/metrics.md").read_text(), re.M
)
LABELS = {name: {label.strip() for label in labels.split(",")} - {""} for name, _, labels in ROWS}
SERIES = LABELS | {
    name + ending: LABELS[name] | {"le"}
    for name, kind, _ in ROWS
    if kind == "histogram"
    for ending in ("_bucket", "_count", "_sum")
}


def expressions() -> list[str]:
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for rule in RULES]


def test_every_metric_in_the_dashboard_and_the_rules_exists() -> None:
    names = {name for text in expressions() for name in re.findall(r"trunkline_\w+", text)}

    assert len(names) > 12
    assert sorted(names - set(SERIES)) == []


def test_every_label_in_an_expression_is_one_of_its_metrics() -> None:
    wrong = []
    for text in expressions():
        labels = {label for name in re.findall(r"trunkline_\w+", text) for label in SERIES[name]}
        asked = set(re.findall(r'(\w+)=~?"', text))
        asked |= {label for names in re.findall(r"by \(([^)]*)\)", text) for label in names.split(", ")}
        wrong += [f"{text}: {label}" for label in asked - labels]

    assert wrong == []


def test_every_rule_says_what_is_wrong_and_how_urgent_it_is() -> None:
    assert [rule for rule in RULES if not rule["annotations"]["summary"].endswith(".")] == []
    assert {rule["labels"]["severity"] for rule in RULES} <= {"info", "warning", "critical"}


def test_the_tests_of_the_rules_use_series_as_the_server_prints_them_and_name_every_rule() -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus-alerts.test.yaml").read_text())["tests"]
    series = {each["series"] for group in groups for each in group["input_series"]}
    tested = {
        case["alertname"] for group in groups for case in group["alert_rule_test"] if case["exp_alerts"]
    }

    assert len(series) > 12
    assert [
        text
        for text in sorted(series)
        if set(re.findall(r'(\w+)="', text)) != SERIES[text.partition("{")[0]] - {"le"}
    ] == []
    assert tested == {rule["alert"] for rule in RULES}


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (Debian: apt-get install prometheus)"
)
def test_prometheus_reads_the_rules_and_the_expressions_of_the_dashboard_and_the_rules_fire(
    tmp_path: Path,
) -> None:
    asked = [
        target["expr"].replace("$project", ".*")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(asked)]
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    runs = [
        subprocess.run(["promtool", *command], cwd=ROOT / "deploy", capture_output=True, text=True)
        for command in (
            ["check", "rules", "prometheus-alerts.yaml", str(panels)],
            ["test", "rules", "prometheus-alerts.test.yaml"],
        )
    ]

    assert len(rules) > 15
    assert [run.stdout + run.stderr for run in runs if run.returncode] == []
