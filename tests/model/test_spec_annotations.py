"""Settings of Trunkline's own in the annotations of a spec."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import spec_rules
from trunkline.model.spec_annotations import MEMORY_RETRY_LIMIT, memory_retry_limit, priority, weight


def spec(limit: str, retry: str) -> dict[str, Any]:
    return {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "resource_limits": {"memory": limit},
        "metadata": {"annotations": {MEMORY_RETRY_LIMIT: retry}},
    }


def test_the_most_memory_of_a_retry_is_a_quantity() -> None:
    assert memory_retry_limit(spec_rules.load(spec("1Gi", "4Gi"))) == 4 << 30


@pytest.mark.parametrize(("limit", "retry"), [("1Gi", "1Gi"), ("", "1Gi"), ("1Gi", "much")])
def test_a_retry_that_cannot_be_is_refused_with_the_path_of_the_annotation(limit: str, retry: str) -> None:
    with pytest.raises(
        InvalidArgument, match=r'metadata\.annotations\["trunkline\.dev/memory-retry-limit"\]'
    ):
        spec_rules.load(spec(limit, retry))


def annotated(**annotations: str) -> dict[str, Any]:
    names = {f"trunkline.dev/{name}": text for name, text in annotations.items()}
    return {**spec("", ""), "resource_limits": None, "metadata": {"annotations": names}}


def test_weight_and_priority_are_one_and_zero_unless_named() -> None:
    plain, named = spec_rules.load(annotated()), spec_rules.load(annotated(weight="2.5", priority="-3"))

    assert (weight(plain), priority(plain)) == (1.0, 0)
    assert (weight(named), priority(named)) == (2.5, -3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("weight", "0"),
        ("weight", "much"),
        ("weight", "nan"),
        ("weight", "1e9"),
        ("priority", "1.5"),
        ("priority", "9999"),
    ],
)
def test_a_weight_or_priority_out_of_range_is_refused_with_the_path_of_the_annotation(
    name: str, text: str
) -> None:
    with pytest.raises(InvalidArgument, match=rf'metadata\.annotations\["trunkline\.dev/{name}"\]'):
        spec_rules.load(annotated(**{name: text}))
