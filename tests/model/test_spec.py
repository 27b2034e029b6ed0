"""Pipeline specs: reading, writing, merging, completing."""

import copy
import json
import re
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model import spec_fields
from trunkline.model.spec import PipelineSpec, complete, effective, from_json, to_json
from trunkline.model.spec_rules import load
from trunkline.rpc.gen import pps_pb2

EDGES: dict[str, Any] = {
    "pipeline": {"name": "edges"},
    "description": "A pipeline that finds edges.",
    "metadata": {"labels": {"node": "fargate"}},
    "resource_requests": {"memory": "4Gi", "cpu": 1},
    "parallelism_spec": {"constant": 5},
    "autoscaling": True,
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
    "transform": {"cmd": ["python3", "/edges.py"], "image": "pachyderm/opencv"},
}


def test_the_spec_of_the_article_is_read() -> None:
    spec = load(EDGES)

    assert (spec.project, spec.name, spec.parallelism, spec.autoscaling) == ("default", "edges", 5, True)
    assert spec.input is not None
    assert spec.input.pfs is not None
    assert (spec.input.pfs.name, spec.input.pfs.branch, spec.input.pfs.project) == (
        "images",
        "master",
        "default",
    )
    assert spec.transform is not None
    assert spec.transform.cmd == ("python3", "/edges.py")
    assert spec.resource_requests is not None
    assert (spec.resource_requests.memory, spec.resource_requests.cpu) == ("4Gi", 1.0)
    assert (spec.output_branch, spec.datum_tries, spec.reprocess_spec) == ("master", 3, "until_success")


def test_writing_a_spec_leaves_out_what_is_not_set() -> None:
    assert to_json(from_json(EDGES)) == EDGES


def test_snake_and_camel_case_mean_the_same() -> None:
    snake = from_json(
        {"datum_tries": 5, "s3_out": True, "egress": {"url": "s3://x"}, "tf_job": {"tf_job": "x"}}
    )
    camel = from_json(
        {"datumTries": "5", "s3Out": True, "egress": {"URL": "s3://x"}, "tfJob": {"tfJob": "x"}}
    )

    assert snake == camel


def test_a_whole_number_may_be_a_string_and_an_enum_a_number() -> None:
    spec = from_json(
        {
            "datum_set_spec": {"size_bytes": "9000000000"},
            "tolerations": [{"operator": 2, "effect": "NO_EXECUTE"}],
        }
    )

    assert spec.datum_set_spec is not None
    assert spec.datum_set_spec.size_bytes == 9_000_000_000
    assert [(t.operator, t.effect) for t in spec.tolerations] == [("EQUAL", "NO_EXECUTE")]


def test_null_means_not_set_and_an_empty_object_means_set() -> None:
    spec = from_json({"resource_requests": {}, "resource_limits": None, "datum_tries": None})

    assert spec.resource_requests is not None
    assert spec.resource_limits is None
    assert spec.datum_tries is None


def test_durations_are_read_in_both_forms() -> None:
    spec = from_json({"datum_timeout": "1h30m", "job_timeout": "90s"})

    assert (spec.datum_timeout, spec.job_timeout) == (5400.0, 90.0)
    assert to_json(spec) == {"datum_timeout": "5400s", "job_timeout": "90s"}


def test_what_the_server_sets_itself_is_ignored() -> None:
    assert from_json({"spec_commit": {"id": "x", "whatever": 1}}) == from_json({})


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"input": {"pfs": {"golb": "/*"}}}, 'unknown field "input.pfs.golb"; did you mean "glob"?'),
        ({"input": {"cross": [{}, {"psf": {}}]}}, 'unknown field "input.cross[1].psf"; did you mean "pfs"?'),
        ({"paralellism_spec": {}}, 'unknown field "paralellism_spec"; did you mean "parallelism_spec"?'),
        ({"zzz": {}}, 'unknown field "zzz"; valid fields: '),
        ({"standby": True}, 'unknown field "standby"; it is a field of Pachyderm 1: write "autoscaling"'),
        (
            {"chunkSpec": {}},
            'unknown field "chunkSpec"; it is a field of Pachyderm 1: write "datum_set_spec"',
        ),
        (
            {"input": {"cross": [{"atom": {}}]}},
            'unknown field "input.cross[0].atom"; it is a field of Pachyderm 1',
        ),
        ({"autoScaling": True}, 'unknown field "autoScaling"; did you mean "autoscaling"?'),
        ({"parallelism_spec": {"zzz": 1}}, 'unknown field "parallelism_spec.zzz"; valid fields: constant'),
        (
            {"datum_tries": 1, "datumTries": 1},
            '"datum_tries" is given twice, in snake and in camel case; keep one',
        ),
        (
            {"transform": {"cmd": "python3 x"}},
            'transform.cmd is the string "python3 x", but must be a list',
        ),
        (
            {"transform": {"cmd": ["a", 1]}},
            "transform.cmd[1] is the number 1, but must be a string in quotes",
        ),
        ({"transform": {"cmd": ["a", None]}}, "transform.cmd[1] is null, but must be a value"),
        (
            {"transform": {"env": {"PORT": 80}}},
            "transform.env.PORT is the number 80, but must be a string in quotes",
        ),
        (
            {"transform": {"env": ["A=B"]}},
            "transform.env is a list, but must be an object of names and strings",
        ),
        ({"transform": {"cmd": ["a\0"]}}, "transform.cmd[0] holds a NUL character"),
        ({"description": "\ud800"}, "description is not valid Unicode text"),
        ({"autoscaling": "yes"}, 'autoscaling is the string "yes", but must be true or false'),
        ({"datum_tries": 1.5}, "datum_tries is the number 1.5, but must be a whole number"),
        ({"datum_tries": True}, "datum_tries is true, but must be a whole number"),
        ({"datum_tries": 2**63}, "but must be a number of at most 63 bits"),
        (
            {"datum_timeout": 90},
            'datum_timeout is the number 90, but must be a duration in quotes such as "90s"',
        ),
        ({"datum_timeout": "90"}, 'datum_timeout "90" is not a duration'),
        (
            {"resource_requests": {"cpu": "many"}},
            'resource_requests.cpu is the string "many", but must be a number',
        ),
        (
            {"resource_requests": {"cpu": float("nan")}},
            "resource_requests.cpu is the number nan, but must be a smaller",
        ),
        (
            {"resource_requests": "4Gi"},
            'resource_requests is the string "4Gi", but must be an object with fields',
        ),
        ({"tolerations": {}}, "tolerations is an object, but must be a list"),
        ({"tolerations": [{"operator": "Exists"}]}, "but must be one of EMPTY, EXISTS, EQUAL"),
        ({"tolerations": [{"operator": []}]}, "tolerations[0].operator is a list, but must be one of"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_with_its_place(obj: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        from_json(obj)

    assert message in caught.value.message


def test_endless_nesting_is_refused() -> None:
    nested: dict[str, object] = {"pfs": {"repo": "a"}}
    for _ in range(100):
        nested = {"cross": [nested]}

    with pytest.raises(InvalidArgument, match="is nested deeper than 50 levels"):
        from_json({"input": nested})


# --- every field goes through and back -----------------------------------------------------------------

SAMPLES: dict[str, tuple[Any, Any]] = {  # kind of field: two values that are not the default
    "_Text": ("ü", "x y"),
    "_Flag": (True, True),
    "_Integer": (2, 5),
    "_Number": (0.5, 3),
    "_Span": ("90s", "-0.000000001s"),
    "_Mapping": ({"someKey": "v"}, {"": ""}),
}
MOMENTS = ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.500Z")


def places_of(cls: type[Any], depth: int = 0) -> list[tuple[tuple[str | int, ...], Any, Any]]:
    """List every field of a class and of the messages in it, with two values it may have."""
    places: list[tuple[tuple[str | int, ...], Any, Any]] = []
    for f in fields(cls):
        kind: Any = f.metadata["kind"]
        step: tuple[str | int, ...] = (f.name,)
        many = type(kind).__name__ == "_Many"
        if many:
            kind, step = kind.kind, (f.name, 0)
        name = type(kind).__name__
        if name == "_Message":
            places.append((step, {}, {}))
            if depth < 5 and (f.name not in ("join", "group", "union") or depth < 2):
                places += [
                    ((*step, *rest), first, second)
                    for rest, first, second in places_of(kind.cls(), depth + 1)
                ]
        elif name == "_Choice":
            places.append((step, kind.names[1], kind.names[-1]))
        elif name != "_Ignored":
            places.append((step, *(SAMPLES[name] if f.name != "start" else MOMENTS)))
    return places


INPUTS = ("join", "group", "cross", "union")
PLACES = places_of(PipelineSpec)


def put(obj: dict[str, Any], place: tuple[str | int, ...], value: Any) -> None:
    """Set a value deep in JSON, making what is above it."""
    target: Any = obj
    for step, after in pairwise((*place, None)):
        inner: Any = copy.deepcopy(value) if after is None else [] if after == 0 else {}
        if isinstance(step, int):
            if not target:
                target.append(inner)
            target = target[0]
        else:
            target = target.setdefault(step, inner)


def camel(value: Any, place: tuple[str | int, ...]) -> dict[str, Any]:
    obj: dict[str, Any] = {}
    put(
        obj,
        tuple(re.sub("_(.)", lambda m: m[1].upper(), s) if isinstance(s, str) else s for s in place),
        value,
    )
    return obj


def test_every_field_is_read_and_written_in_both_spellings() -> None:
    assert len(PLACES) > 300
    for place, *values in PLACES:
        for value in values:
            snake: dict[str, Any] = {}
            put(snake, place, value)

            spec = from_json(snake)

            assert to_json(spec) == snake
            assert from_json(json.loads(json.dumps(camel(value, place)))) == spec
            assert spec_fields.keyed(PipelineSpec, camel(value, place)) == snake


def test_the_fields_are_those_of_the_wire() -> None:
    """What is written is protobuf's JSON of the same message, and the message has no other field."""
    reached = set()
    for place, *values in PLACES:
        for value in values:
            obj: dict[str, Any] = {}
            put(obj, place, value)

            message = json_format.ParseDict(obj, pps_pb2.CreatePipelineRequest())

            assert from_json(
                json_format.MessageToDict(message, preserving_proto_field_name=True)
            ) == from_json(obj)
        reached.add(tuple(step for step in place if step != 0))
    ours = {".".join(map(str, place)) for place in reached} | {"spec_commit"}
    wire = set()
    pending = [("", pps_pb2.CreatePipelineRequest.DESCRIPTOR)]
    while pending:
        where, descriptor = pending.pop()
        for field in descriptor.fields:
            place_on_wire = where + field.name
            wire.add(place_on_wire)
            inner = field.message_type
            if inner is None or place_on_wire not in ours or inner.GetOptions().map_entry:
                continue
            if (
                not inner.full_name.startswith("google.")
                and field.name not in INPUTS
                and field.name != "spec_commit"
            ):
                pending.append((f"{place_on_wire}.", inner))
    assert wire - ours == set()


def objects(which: int) -> st.SearchStrategy[dict[str, Any]]:
    """Build specs with a few fields set."""

    def build(places: list[tuple[tuple[str | int, ...], Any, Any]]) -> dict[str, Any]:
        obj: dict[str, Any] = {}
        for place, *values in places:
            put(obj, place, values[which])
        return obj

    return st.lists(st.sampled_from(PLACES), max_size=6).map(build)


@given(objects(0))
def test_reading_what_was_written_gives_the_same_spec_and_completing_settles(obj: dict[str, Any]) -> None:
    spec = from_json(obj)
    completed = complete(spec)

    assert from_json(to_json(spec)) == spec
    assert complete(completed) == completed
    assert from_json(to_json(completed)) == completed


def flat(value: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the values of JSON by place; lists are values."""
    if not isinstance(value, dict) or not value:
        return {place: value}
    return {k: v for name, inner in value.items() for k, v in flat(inner, (*place, name)).items()}


@given(objects(0), objects(1))
def test_what_the_user_says_wins_and_the_rest_stays(defaults: dict[str, Any], user: dict[str, Any]) -> None:
    merged = flat(effective(user, defaults))
    expected = flat(user) if user else {}

    assert all(value == {} or merged[place] == value for place, value in expected.items())
    for place, value in (flat(defaults) if defaults else {}).items():
        touched = any(p[: len(place)] == place or place[: len(p)] == p for p in expected)
        assert touched or value == {} or merged[place] == value


# --- merging and completing ----------------------------------------------------------------------------


def test_layers_merge_over_the_built_ins_and_null_deletes() -> None:
    cluster = {
        "datumTries": 5,
        "transform": {"env": {"A": "1", "B": "2"}},
        "resourceRequests": {"memory": "1Gi"},
    }
    project = {"datum_tries": 7, "resource_requests": {"cpu": 2}}
    user = {
        "transform": {"cmd": ["x"], "env": {"A": None, "C": "3"}},
        "autoscaling": None,
        "outputBranch": None,
    }

    assert effective(user, cluster, project) == {
        "transform": {"image": "ubuntu:20.04", "cmd": ["x"], "env": {"B": "2", "C": "3"}},
        "datum_tries": 7,
        "reprocess_spec": "until_success",
        "resource_requests": {"memory": "1Gi", "cpu": 2},
    }


def test_the_keys_of_maps_are_not_fields() -> None:
    merged = effective({"transform": {"env": {"someVar": "1", "some_var": "2"}}})

    assert merged["transform"] == {"image": "ubuntu:20.04", "env": {"someVar": "1", "some_var": "2"}}


def test_a_layer_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidArgument, match='unknown field "autoscalling"; did you mean "autoscaling"'):
        effective({}, {"autoscalling": True})


def test_inputs_are_sorted_by_name_on_every_level_and_equal_names_keep_their_order() -> None:
    def pfs(name: str, glob: str = "/") -> dict[str, Any]:
        return {"pfs": {"repo": name, "glob": glob}}

    spec = complete(
        from_json(
            {"input": {"cross": [pfs("z"), {"union": [pfs("y"), pfs("b", "/2"), pfs("b", "/1")]}, pfs("a")]}}
        )
    )

    assert spec.input is not None
    leaves = [(leaf.pfs.name, leaf.pfs.glob) for leaf in spec.input.leaves() if leaf.pfs]
    assert leaves == [("a", "/"), ("b", "/2"), ("b", "/1"), ("y", "/"), ("z", "/")]


def test_a_cron_input_gets_its_repo_and_inputs_the_pipelines_project() -> None:
    spec = complete(
        from_json(
            {
                "pipeline": {"project": {"name": "p"}, "name": "tick"},
                "input": {
                    "cross": [
                        {"cron": {"name": "c", "spec": "@daily"}},
                        {"pfs": {"repo": "r", "project": "q"}},
                    ]
                },
            }
        )
    )

    assert spec.input is not None
    cron, pfs = spec.input.cross
    assert cron.cron is not None
    assert pfs.pfs is not None
    assert (cron.cron.project, cron.cron.repo) == ("p", "tick_c")
    assert pfs.pfs.project == "q"
