"""Which specs make sense, and which ask for what is not built yet."""

import copy
from typing import Any

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.spec import complete, from_json
from trunkline.model.spec_rules import load, unsupported

GOOD: dict[str, Any] = {
    "pipeline": {"name": "edges"},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
    "transform": {"cmd": ["true"]},
}


def spec_with(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the good spec with values put at dotted places; None removes one."""
    spec = copy.deepcopy(GOOD)
    for place, value in changes.items():
        *parents, last = place.split(".")
        target = spec
        for parent in parents:
            target = target.setdefault(parent, {})
        if value is None:
            del target[last]
        else:
            target[last] = value
    return spec


def pfs(repo: str, **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": "/(*)", **more}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input": {"cross": [pfs("a"), pfs("b")]}},
        {"input": {"union": [pfs("a", name="x"), pfs("b", name="x")]}},
        {"input": {"cross": [{"union": [pfs("a", name="x"), pfs("b", name="x")]}, pfs("c")]}},
        {"input": {"join": [pfs("a", join_on="$1"), pfs("b", join_on="$1", outer_join=True)]}},
        {"input": {"group": [pfs("a", group_by="$1")]}},
        {"input": {"group": [{"join": [pfs("a", join_on="$1", group_by="all")]}]}},
        {"input": {"cron": {"name": "tick", "spec": "@daily", "start": "2024-05-17T08:00:00.5+02:00"}}},
        {"input": {"cross": [pfs("a", glob="/", s3=True), pfs("b")]}},
        {"input": None, "spout": {}},
        {"input": None, "spout.service": {"internal_port": 80, "external_port": 30080}},
        {"service": {"internal_port": 80, "external_port": 30080, "type": "NodePort"}},
        {"parallelism_spec.constant": 1, "autoscaling": True, "maximum_expected_uptime": "1h"},
        {"transform.secrets": [{"name": "s", "mount_path": "/s"}, {"name": "s", "key": "k", "env_var": "K"}]},
        {"tolerations": [{"key": "k", "operator": "EXISTS"}]},
        {"datum_set_spec": {"number": 3}},
        {"datum_set_spec": {"number": 0, "size_bytes": 0, "per_worker": 0}},
        {"pod_spec": "{}", "pod_patch": "[]"},
        {"reprocess_spec": "every_job", "datum_timeout": "0s"},
        {"egress": {"URL": "s3://bucket"}},
        {"resource_limits": {"memory": "1G", "disk": "10Gi", "gpu": {"type": "nvidia.com/gpu", "number": 1}}},
        {"input.pfs.repo": "edges", "input.pfs.project": "elsewhere"},
    ],
)
def test_a_spec_that_makes_sense_is_accepted(changes: dict[str, Any]) -> None:
    load(spec_with(changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # names
        ({"pipeline": None}, "the pipeline has no name"),
        (
            {"pipeline.name": "a b"},
            "name (a b) invalid: only alphanumeric characters, underscores, and dashes are",
        ),
        ({"pipeline.name": "-a"}, "a pipeline's name must start with a letter or a digit"),
        ({"pipeline.name": "x" * 52}, "it has 52 characters, 51 are allowed"),
        ({"pipeline.project": {"name": "a.b"}}, "name (a.b) invalid: only alphanumeric"),
        ({"output_branch": "a/b"}, "name (a/b) invalid: only alphanumeric"),
        # command
        ({"transform": None}, "nothing to run: no transform.cmd"),
        ({"transform.cmd": []}, "nothing to run: no transform.cmd"),
        ({"transform.cmd": [""]}, "transform.cmd[0] is empty; it must name the program to run"),
        ({"transform.err_cmd": [""]}, "transform.err_cmd[0] is empty"),
        ({"transform.env": {"A=B": "1"}}, 'transform.env has a variable named "A=B"'),
        (
            {"transform.accept_return_code": [256]},
            "transform.accept_return_code has 256, but commands return 0 to 255",
        ),
        ({"transform.secrets": [{}]}, "transform.secrets[0] has no name"),
        ({"transform.secrets": [{"name": "s"}]}, "transform.secrets[0] has neither mount_path nor env_var"),
        ({"transform.secrets": [{"name": "s", "env_var": "S"}]}, 'has env_var "S" but no key'),
        # inputs
        ({"input": {}}, "input is empty, but it needs exactly one of pfs, cron, cross, union, join, group"),
        ({"input.cross": [pfs("b")]}, "input has pfs and cross, but it needs exactly one of"),
        ({"input": {"cross": []}}, "input is empty"),
        ({"input.pfs.repo": None}, "input.pfs names no repo"),
        ({"input.pfs.glob": None}, "input.pfs has no glob; add for example"),
        ({"input.pfs.glob": "/[a"}, "input.pfs.glob is not valid"),
        ({"input.pfs.name": "out"}, 'input.pfs cannot be named "out", /pfs/out is taken'),
        ({"input.pfs.name": ".env"}, 'input.pfs cannot be named ".env"'),
        ({"input.pfs.name": "a/b"}, "name (a/b) invalid"),
        ({"input.pfs.branch": "a.b"}, "name (a.b) invalid"),
        (
            {"input.pfs.repo_type": "users"},
            'input.pfs.repo_type "users" is unknown; write user, meta or spec',
        ),
        ({"input.pfs.repo": "edges"}, 'input.pfs is the pipeline\'s own output repo "edges"'),
        ({"input": {"cross": [pfs("a"), pfs("a")]}}, 'name "a" was used more than once'),
        (
            {"input": {"cross": [pfs("c"), {"union": [pfs("a"), pfs("b", name="c")]}]}},
            'name "c" was used more than once',
        ),
        ({"input": {"cross": [pfs("a"), {}]}}, "input.cross[0] is empty"),
        ({"input": {"join": [pfs("a")]}}, "input.join[0].pfs has no join_on"),
        ({"input": {"group": [pfs("a")]}}, "input.group[0].pfs has no group_by"),
        (
            {"input": {"join": [pfs("a", join_on="$1"), {"cross": [pfs("b")]}]}},
            "input.join[1].cross[0].pfs has no join_on",
        ),
        ({"input": {"join": [pfs("a", join_on="$2")]}}, "input.join[0].pfs.join_on is not valid"),
        ({"input": {"join": [pfs("a", glob="/*", join_on="$1")]}}, "input.join[0].pfs.join_on is not valid"),
        (
            {"input": {"join": [pfs("a", join_on="1")]}},
            'input.join[0].pfs.join_on "1" names no capture group',
        ),
        ({"input": {"group": [pfs("a", group_by="$2")]}}, "input.group[0].pfs.group_by is not valid"),
        (
            {"input": {"group": [{"cron": {"name": "t", "spec": "@daily"}}]}},
            "input.group[0].cron has no group_by",
        ),
        ({"input": {"cron": {"spec": "@daily"}}}, "input.cron has no name"),
        ({"input": {"cron": {"name": "t"}}}, "input.cron has no spec"),
        (
            {"input": {"cron": {"name": "t", "spec": "@daily", "start": "today"}}},
            'input.cron.start "today" is not a time',
        ),
        (
            {"input": {"cron": {"name": "t", "spec": "@daily", "start": "2024-13-01T00:00:00Z"}}},
            "input.cron.start",
        ),
        ({"input": {"cron": {"name": "t", "spec": "61 * * * *"}}}, "input.cron.spec"),
        ({"input": {"cron": {"name": "t", "spec": "@sometimes"}}}, "input.cron.spec"),
        ({"input": {"cron": {"name": "out", "spec": "@daily"}}}, 'input.cron cannot be named "out"'),
        ({"input.pfs.s3": True}, 'input.pfs is an s3 input with glob "/*"; such an input needs glob "/"'),
        ({"input": pfs("a", glob="/", s3=True, lazy=True)}, "input.pfs is an s3 input and lazy"),
        ({"input": pfs("a", glob="/", s3=True, empty_files=True)}, "is an s3 input and empty_files"),
        ({"input": {"union": [pfs("a", glob="/", s3=True)]}}, "input.union holds an s3 input"),
        ({"input.pfs.trigger": {"cron_spec": "@daily", "commits": 2}}, "trigger has cron_spec beside other"),
        ({"input.pfs.commit": "master"}, 'input.pfs.commit "master" is not the id of a commit'),
        ({"input": {"cron": {"name": "t", "spec": "@daily", "commit": "x"}}}, "input.cron.commit"),
        ({"input.pfs.trigger": {"commits": -1}}, "input.pfs.trigger.commits is -1"),
        ({"input.pfs.trigger": {}}, "input.pfs.trigger has no condition"),
        # workers
        (
            {"parallelism_spec.constant": 0},
            "parallelism_spec.constant is 0, but a pipeline needs at least 1 worker",
        ),
        ({"parallelism_spec.constant": -2}, "parallelism_spec.constant is -2, but"),
        ({"input": None, "spout": {}, "autoscaling": True}, "autoscaling cannot be used with spout"),
        ({"spout": {}}, "a spout has no input"),
        ({"spout.service": {"internal_port": 1, "external_port": 1}}, "a spout has no input"),
        ({"input": None, "spout": {}, "egress": {"URL": "s3://x"}}, "remove egress or spout"),
        ({"input": None, "service": {"internal_port": 1, "external_port": 1}}, "a service has no input"),
        (
            {"input": None, "spout": {}, "transform.datum_batching": True},
            "transform.datum_batching is for commands",
        ),
        ({"maximum_expected_uptime": "1h"}, "maximum_expected_uptime needs autoscaling: true"),
        ({"datum_tries": 0}, "datum_tries is 0, but a datum is tried at least once"),
        ({"datum_timeout": "-1s"}, "datum_timeout is negative"),
        ({"job_timeout": "-1s"}, "job_timeout is negative"),
        ({"datum_set_spec": {"number": -1}}, "datum_set_spec.number is -1"),
        ({"reprocess_spec": "never"}, 'reprocess_spec "never" is unknown; write until_success or every_job'),
        # resources
        (
            {"resource_requests.memory": "4Gigs"},
            'resource_requests.memory "4Gigs" is not a quantity; write for',
        ),
        ({"resource_limits.disk": "x"}, 'resource_limits.disk "x" is not a quantity'),
        ({"sidecar_resource_requests.memory": "-1"}, 'sidecar_resource_requests.memory "-1" is negative'),
        ({"sidecar_resource_limits.cpu": -1}, "sidecar_resource_limits.cpu is -1"),
        ({"resource_limits.gpu": {"number": 1}}, "resource_limits.gpu has no type"),
        ({"resource_limits.gpu": {"type": "x"}}, "resource_limits.gpu.number is 0"),
        # Kubernetes, services, egress, legacy
        (
            {"tolerations": [{"key": "a", "operator": "EXISTS"}, {"key": "b"}]},
            "toleration 2/2 has no operator; write EXISTS or EQUAL",
        ),
        ({"pod_spec": "{"}, "pod_spec is not JSON"),
        ({"pod_patch": "x"}, "pod_patch is not JSON"),
        ({"service": {}}, "service.internal_port is 0; write a port from 1 to 65535"),
        ({"input": None, "spout.service": {"internal_port": 1}}, "spout.service.external_port is 0"),
        ({"service": {"internal_port": 1, "external_port": 1, "type": "X"}}, 'service.type "X" is unknown'),
        (
            {"service": {"internal_port": 1, "external_port": 1}, "parallelism_spec.constant": 2},
            "a service runs one worker, but parallelism_spec.constant is 2",
        ),
        (
            {
                "service": {"internal_port": 1, "external_port": 1},
                "spout": {"service": {"internal_port": 1, "external_port": 1}},
            },
            "service and spout are both set",
        ),
        ({"egress": {}}, "egress sets nothing; set exactly one of"),
        ({"egress": {"url": "x", "sql_database": {}}}, "egress sets url and sql_database"),
        ({"egress": {"object_storage": {}}}, "egress.object_storage has no url"),
        ({"tf_job": {"tf_job": "x"}}, "tf_job starts a TFJob"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_with_its_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        load(spec_with(changes))

    assert message in caught.value.message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"s3_out": True}, "s3_out"),
        ({"determined": {}}, "determined"),
        ({"input": {"cross": [pfs("a"), pfs("b", glob="/", s3=True)]}}, "input.cross[1].pfs.s3"),
        ({"input": pfs("a", glob="/", s3=True)}, "input.pfs.s3"),
    ],
)
def test_a_wish_that_is_not_built_yet_is_told_and_not_ignored(changes: dict[str, Any], field: str) -> None:
    spec = complete(from_json(spec_with(changes)))

    [sentence] = unsupported(spec)
    assert sentence.startswith(f"{field} ")


def test_what_only_kubernetes_knows_is_kept_without_complaint() -> None:
    spec = load(
        spec_with(
            {
                "pod_spec": "{}",
                "pod_patch": "[]",
                "tolerations": [{"operator": "EXISTS"}],
                "scheduling_spec": {"node_selector": {"a": "b"}},
                "metadata": {"labels": {"a": "b"}},
                "transform.image_pull_secrets": ["s"],
            }
        )
    )

    assert unsupported(spec) == []
