"""Merging and patching: the examples of RFC 6902's appendix A, and Kubernetes' lists by name."""

from __future__ import annotations

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.drivers.fleets.kubernetes import pod_patches
from trunkline.errors import InvalidArgument


@pytest.mark.parametrize(
    ("document", "operations", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["a", "c"]}, [{"op": "add", "path": "/foo/1", "value": "b"}], {"foo": ["a", "b", "c"]}),
        ({"foo": ["a"]}, [{"op": "add", "path": "/foo/-", "value": ["b"]}], {"foo": ["a", ["b"]]}),
        ({"foo": 1, "bar": 2}, [{"op": "remove", "path": "/foo"}], {"bar": 2}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"foo": 1}, [{"op": "replace", "path": "/foo", "value": None}], {"foo": None}),
        (
            {"a": {"b": 1}, "c": {}},
            [{"op": "move", "from": "/a/b", "path": "/c/d"}],
            {"a": {}, "c": {"d": 1}},
        ),
        ({"foo": [1, 2, 3]}, [{"op": "move", "from": "/foo/0", "path": "/foo/2"}], {"foo": [2, 3, 1]}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"a/b": {"m~n": 1}}, [{"op": "test", "path": "/a~1b/m~0n", "value": 1}], {"a/b": {"m~n": 1}}),
        ({"~1": 10}, [{"op": "replace", "path": "/~01", "value": 9}], {"~1": 9}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
        ({"": {"": 1}}, [{"op": "remove", "path": "//"}], {"": {}}),
    ],
)
def test_a_patch_does_what_the_standard_says(document, operations, result):
    before = copy.deepcopy(document)

    assert pod_patches.apply(document, operations, "pod_patch") == result
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/b"},
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "add", "path": "/a/3", "value": 1},
        {"op": "add", "path": "/a/01", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "remove", "path": "/a/-"},
        {"op": "replace", "path": "/a/-", "value": 1},
        {"op": "add", "path": "/a/0/x", "value": 1},
        {"op": "add", "path": "/a/~2", "value": 1},
        {"op": "test", "path": "/a", "value": [2]},
        {"op": "test", "path": "/a/0", "value": True},
        {"op": "move", "from": "/x", "path": "/b"},
        {"op": "move", "from": "/a", "path": "/a/0"},
        {"op": "copy", "from": "/a/7", "path": "/b"},
        {"op": "remove", "path": ""},
        {"op": "append", "path": "/a", "value": "b"},
        {"op": "spoil", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "path": "/a"},
        {"op": "copy", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": ["add"], "path": "/a", "value": 1},
        "add",
    ],
    ids=str,
)
def test_a_patch_that_does_not_fit_is_refused_by_its_number_and_without_the_pod(operation):
    document = {"a": [1], "value of the pod": "secret"}

    with pytest.raises(InvalidArgument, match=r"pod_patch\[0\]") as refused:
        pod_patches.apply(document, [operation], "pod_patch")

    assert "secret" not in refused.value.message


def test_merging_changes_containers_and_volumes_by_name():
    pod = {
        "containers": [
            {"name": "user", "image": "a", "env": [{"name": "A", "value": "1"}]},
            {"name": "worker"},
        ],
        "volumes": [{"name": "pfs", "emptyDir": {}}],
        "nodeSelector": {"a": "b"},
    }
    patch = {
        "containers": [{"name": "user", "env": [{"name": "B", "value": "2"}]}, {"name": "extra"}],
        "volumes": [{"name": "pfs", "emptyDir": {"sizeLimit": "1Gi"}}],
        "nodeSelector": None,
        "hostNetwork": True,
    }

    assert pod_patches.merge(pod, patch) == {
        "containers": [
            {"name": "user", "image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "worker"},
            {"name": "extra"},
        ],
        "volumes": [{"name": "pfs", "emptyDir": {"sizeLimit": "1Gi"}}],
        "hostNetwork": True,
    }


def test_merging_removes_a_member_that_is_marked_and_replaces_lists_without_names():
    pod = {"volumes": [{"name": "a"}, {"name": "b"}], "tolerations": [{"key": "x"}]}
    patch = {"volumes": [{"name": "a", "$patch": "delete"}], "tolerations": [{"key": "y"}]}

    assert pod_patches.merge(pod, patch) == {"volumes": [{"name": "b"}], "tolerations": [{"key": "y"}]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab/~", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_merging_objects_is_the_merge_of_the_standard(target, patch):
    """RFC 7396, section 2, word for word; no key here has merged lists."""

    def standard(target, patch):
        if not isinstance(patch, dict):
            return patch
        result = dict(target) if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = standard(result.get(name), value)
        return result

    assert pod_patches.merge(target, patch) == standard(target, patch)


paths = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", ""]), max_size=3).map(
    lambda tokens: "".join(f"/{token}" for token in tokens)
)


@given(
    json_values,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
                "path": paths,
                "from": paths,
                "value": json_values,
            }
        ),
        max_size=4,
    ),
)
def test_a_patch_fits_or_is_refused_and_never_changes_its_document(document, operations):
    before = copy.deepcopy(document)

    with contextlib.suppress(InvalidArgument):
        pod_patches.apply(document, operations, "pod_patch")

    assert document == before
