"""Rules for what a spec says of its pods."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.spec_rules import load


def spec(**fields) -> dict:
    base = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
    }
    return base | fields


def transform(**fields) -> dict:
    return {"transform": {"cmd": ["true"], **fields}}


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"labels": {"node": "fargate", "example.com/team": "", "a.b_c": "X-1.y"}}},
        {"metadata": {"annotations": {"example.com/note": "any text: at all"}}},
        {"tolerations": [{"operator": "EXISTS"}, {"key": "a", "operator": "EQUAL", "value": "b"}]},
        {"tolerations": [{"operator": "EXISTS", "effect": "NO_EXECUTE", "toleration_seconds": 5}]},
        {"resource_requests": {"cpu": 1, "memory": "1Gi"}, "resource_limits": {"cpu": 1, "memory": "1024Mi"}},
        {"resource_requests": {"memory": "4Gi"}, "resource_limits": {"cpu": 2}},
        {"pod_patch": '[{"op": "add", "path": "", "value": 1}, {"op": "move", "from": "/a", "path": "/b"}]'},
        transform(secrets=[{"name": "a.b-c", "mount_path": "/pfs-like"}], image_pull_secrets=["registry"]),
    ],
)
def test_what_pods_can_have_is_accepted(fields):
    assert load(spec(**fields))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"metadata": {"labels": {"a b": "c"}}}, 'metadata.labels has the key "a b"'),
        ({"metadata": {"labels": {"/a": "c"}}}, 'metadata.labels has the key "/a"'),
        ({"metadata": {"labels": {"a": "-c"}}}, 'metadata.labels.a is "-c"'),
        ({"metadata": {"labels": {"a": "x" * 64}}}, "63 at most"),
        ({"metadata": {"annotations": {"": "c"}}}, 'metadata.annotations has the key ""'),
        ({"scheduling_spec": {"node_selector": {"a": "b c"}}}, 'scheduling_spec.node_selector.a is "b c"'),
        ({"scheduling_spec": {"priority_class_name": "High"}}, 'priority_class_name is "High"'),
        (
            {"tolerations": [{"operator": "EXISTS", "value": "x"}]},
            "toleration 1/1 has operator EXISTS and value",
        ),
        ({"tolerations": [{"operator": "EQUAL"}]}, "toleration 1/1 has operator EQUAL and no key"),
        (
            {"tolerations": [{"operator": "EXISTS", "toleration_seconds": 3}]},
            "toleration 1/1 has toleration_seconds, which needs effect NO_EXECUTE",
        ),
        (
            {"resource_requests": {"cpu": 2}, "resource_limits": {"cpu": 1}},
            "resource_requests.cpu is 2.0, more than resource_limits.cpu, 1.0",
        ),
        (
            {"resource_requests": {"memory": "2G"}, "resource_limits": {"memory": "1Gi"}},
            "resource_requests.memory is 2G, more than resource_limits.memory, 1Gi",
        ),
        (
            {"sidecar_resource_requests": {"disk": "2"}, "sidecar_resource_limits": {"disk": "1"}},
            "sidecar_resource_requests.disk is 2, more than",
        ),
        (
            {
                "resource_requests": {"gpu": {"type": "a/b", "number": 1}},
                "resource_limits": {"gpu": {"type": "a/b", "number": 2}},
            },
            "resource_requests.gpu and resource_limits.gpu differ",
        ),
        ({"pod_spec": "[]"}, "pod_spec is not an object"),
        ({"pod_patch": "{}"}, "pod_patch is not a list"),
        ({"pod_patch": '[{"op": "spoil"}]'}, r"pod_patch[0].op is 'spoil'; write add, remove"),
        ({"pod_patch": '[{"op": "add", "path": "/a"}]'}, 'pod_patch[0] has no "value"'),
        ({"pod_patch": '[{"op": "remove", "path": "a"}]'}, 'a path starts with "/"'),
        (transform(secrets=[{"name": "S", "mount_path": "/s"}]), 'transform.secrets[0].name is "S"'),
        (transform(secrets=[{"name": "s", "mount_path": "s"}]), 'mount_path "s" cannot hold a secret'),
        (
            transform(secrets=[{"name": "s", "mount_path": "/pfs/"}]),
            'mount_path "/pfs/" cannot hold a secret',
        ),
        (transform(image_pull_secrets=["a_b"]), 'transform.image_pull_secrets[0] is "a_b"'),
    ],
)
def test_what_no_pod_can_have_is_refused_when_the_spec_is_sent(fields, sentence):
    with pytest.raises(InvalidArgument) as raised:
        load(spec(**fields))

    assert sentence in raised.value.message
