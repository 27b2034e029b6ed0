"""Fields that a fleet does not honour are named or refused; the others are neither."""

from __future__ import annotations

import pytest

from trunkline.drivers.fleets.process_fields import UNSUPPORTED
from trunkline.errors import InvalidArgument
from trunkline.model import field_support
from trunkline.model.spec_rules import load


def spec(**fields: object) -> dict[str, object]:
    return {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "a", "glob": "/*"}},
    } | fields


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"resource_limits": {"cpu": 2}}, "resource_limits.cpu"),
        ({"resource_limits": {"disk": "1Gi"}}, "resource_limits.disk"),
        ({"sidecar_resource_limits": {"cpu": 1}}, "sidecar_resource_limits"),
        ({"scheduling_spec": {"node_selector": {"a": "b"}}}, "scheduling_spec.node_selector"),
        ({"scheduling_spec": {"priority_class_name": "high"}}, "scheduling_spec.priority_class_name"),
        ({"tolerations": [{"key": "a", "operator": "EXISTS"}]}, "tolerations"),
        ({"pod_spec": "{}"}, "pod_spec"),
        ({"pod_patch": "[]"}, "pod_patch"),
        ({"transform": {"cmd": ["x"], "image_pull_secrets": ["s"]}}, "transform.image_pull_secrets"),
        ({"transform": {"cmd": ["x"], "memory_volume": True}}, "transform.memory_volume"),
        ({"transform": {"cmd": ["x"], "dockerfile": "D"}}, "transform.dockerfile"),
        ({"transform": {"cmd": ["x"], "debug": True}}, "transform.debug"),
    ],
)
def test_a_field_that_has_no_effect_on_processes_is_named(fields, named):
    loaded = load(spec(**fields))

    [warning] = field_support.warnings(loaded, UNSUPPORTED)

    assert warning.startswith(f"{named} has no effect")
    field_support.check(loaded, UNSUPPORTED)


@pytest.mark.parametrize("kind", ["resource_requests", "resource_limits"])
def test_a_gpu_that_nobody_gives_is_refused(kind):
    loaded = load(spec(**{kind: {"gpu": {"type": "nvidia.com/gpu", "number": 1}}}))

    with pytest.raises(InvalidArgument, match=f"{kind}.gpu"):
        field_support.check(loaded, UNSUPPORTED)


def test_a_plain_spec_and_a_memory_limit_need_no_warning():
    loaded = load(spec(resource_limits={"memory": "1Gi"}, resource_requests={"memory": "1Gi", "cpu": 1}))

    assert field_support.warnings(loaded, UNSUPPORTED) == []
    field_support.check(loaded, UNSUPPORTED)


def test_a_fleet_that_honours_everything_warns_of_nothing():
    assert field_support.warnings(load(spec(pod_spec="{}")), {}) == []
