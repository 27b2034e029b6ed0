"""Spec files as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidArgument
from trunkline.model.spec_text import parse_specs

A = {"pipeline": {"name": "a"}}
B = {"pipeline": {"name": "b"}}


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ('{"pipeline": {"name": "a"}}', [A]),
        ('\ufeff \n{"pipeline": {"name": "a"}}\n', [A]),
        ('{"pipeline": {"name": "a"}}\n{"pipeline": {"name": "b"}}', [A, B]),
        ('[{"pipeline": {"name": "a"}}, {"pipeline": {"name": "b"}}]', [A, B]),
        ('{"pipeline": {"name": "a",},}', [A]),
        ('{"pipeline": {"name": "a"}}\n---\n{"pipeline": {"name": "b"}}', [A, B]),
        ('{\n  # The first one.\n  pipeline: {name: "a"}\n}', [A]),
        ("pipeline:\n  name: a\n", [A]),
        ("---\npipeline: {name: a}\n---\npipeline: {name: b}\n---\n", [A, B]),
        ("- pipeline: {name: a}\n- pipeline: {name: b}\n", [A, B]),
        (
            "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
            [{"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}],
        ),
        (
            "start: 2024-01-01T00:00:00Z\n8080: x\nyes: y",
            [{"start": "2024-01-01T00:00:00Z", "8080": "x", "yes": "y"}],
        ),
    ],
)
def test_one_or_many_specs_in_json_or_yaml(text: str, specs: list[dict[str, object]]) -> None:
    assert parse_specs(text, "-") == specs


def test_the_files_name_decides_what_it_is() -> None:
    assert parse_specs("{pipeline: {name: a}}", "a.yaml") == [A]
    with pytest.raises(InvalidArgument, match=r"a.json is broken JSON at line 1, column 2"):
        parse_specs("{pipeline: {name: a}", "a.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{\n  "pipeline": {"name": "a"},\n  "glob" "/*"\n}',
            "edges is broken JSON at line 3, column 10: expecting ':' delimiter; fix this line: \"gl",
        ),
        ('{"a": 1,', "edges is broken JSON at line 1, column 9: "),
        ('{"a": 1}\n}', "edges is broken JSON at line 2, column 1: expecting value; fix this line: }"),
        (
            '{"a": [{"b": "}"}],\n "c": {"d": 1, "b": 3,\n  "d": 2}}',
            'edges is broken JSON at line 3, column 3: key "d" is given twice in one object; fix',
        ),
        ('{"a": NaN}', 'edges is broken JSON at line 1, column 7: "NaN" is not a valid number in JSON'),
        ("[" * 100_000, "it is nested deeper than"),
        (
            "pipeline:\n  name: a\n transform: x\n",
            "edges is broken YAML at line 3, column 2: ",
        ),
        (
            "a: 1\nb: 2\na: 3\n",
            'edges is broken YAML at line 3, column 1: key "a" is given twice in one object; fix',
        ),
        ("a: !!python/object:os.system x\n", "edges is broken YAML at line 1, column 4: could not determine"),
        ("? [a]\n: b\n", "a key must be a string"),
        ("a: \x01", "edges is broken YAML: "),
        ('"text"', 'edges contains the string "text", but a pipeline spec is expected'),
        ("[[]]", "edges contains a list within a list, but a pipeline spec is expected"),
        ("- 1\n", "edges contains the value 1, but a pipeline spec is expected"),
        ("[null]", "edges contains null, but a pipeline spec is expected"),
        ("", "edges contains no pipeline spec"),
        ("[]", "edges contains no pipeline spec"),
        ("---\n---\n", "edges contains no pipeline spec"),
    ],
)
def test_a_broken_file_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_specs(text, "edges")

    assert message in caught.value.message


@given(st.text(alphabet='{}[]:,"a1-\n #&*!|>\\', max_size=30), st.sampled_from(["x", "x.json", "x.yaml"]))
def test_any_text_is_either_specs_or_a_sentence(text: str, source: str) -> None:
    refusal = ""
    specs: list[dict[str, object]] = []
    try:
        specs = parse_specs(text, source)
    except InvalidArgument as error:
        refusal = error.message

    assert refusal.startswith(source) if refusal else all(isinstance(spec, dict) for spec in specs)
