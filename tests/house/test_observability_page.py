"""The page on observability names every metric and every event, and no others."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from trunkline.app import monitoring
from trunkline.telemetry import events
from trunkline.telemetry.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs" / "design" / "observability.md").read_text(encoding="utf-8")


def test_every_metric_has_its_row():
    registered = {family.name for family in Metrics("1.0", "abc").registry.collect()}
    scraped = set(re.findall(r'"(trunkline_[a-z_]+)"', inspect.getsource(monitoring)))
    ours = {name for name in registered | scraped if name.startswith("trunkline_")}

    documented = {name.removesuffix("_total") for name in re.findall(r"`(trunkline_[a-z_]+)`", PAGE)}

    assert len(ours) > 15
    assert documented == ours


def test_every_event_has_its_row():
    written = set(re.findall(r'"action": "(\w+)"', inspect.getsource(events)))

    documented = set(re.findall(r"^\| `(\w+)` \| (?:info|warning|error)", PAGE, re.MULTILINE))

    assert len(written) > 5
    assert written <= documented
