"""Settings of Trunkline's own in the annotations of a spec."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import spec_rules
from trunkline.model.spec_annotations import MEMORY_RETRY_LIMIT, memory_retry_limit


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
