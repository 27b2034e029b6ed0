"""The Grafana dashboard and the alert rules ask only for metrics and labels that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
