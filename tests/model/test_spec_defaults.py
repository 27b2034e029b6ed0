"""Defaults of specs: what they may hold, and the path to what they may not."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import spec_defaults, spec_rules


def test_defaults_are_read_in_both_cases_of_letters():
    assert spec_defaults.parse('{"createPipelineRequest": {"datumTries": "5"}}') == {"datum_tries": "5"}
    assert spec_defaults.parse('{"create_pipeline_request": {"datum_tries": 5}}') == {"datum_tries": 5}
    assert spec_defaults.parse("{}") == spec_defaults.parse('{"createPipelineRequest": null}') == {}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"datumTries": 5}', "datumTries"),
        (
            '{"createPipelineRequest": {"transform": {"imagge": "x"}}}',
            "create_pipeline_request.transform.imagge",
        ),
        ('{"createPipelineRequest": {"datumTries": "x"}}', "create_pipeline_request.datum_tries"),
        ('{"createPipelineRequest": {"pipeline": {"name": "a"}}}', "create_pipeline_request.pipeline"),
        ('{"createPipelineRequest": {"dryRun": true}}', "create_pipeline_request.dry_run"),
        ("[]", "a list"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_a_default_is_refused_with_its_path(text, path):
    with pytest.raises(InvalidArgument) as refused:
        spec_defaults.parse(text)

    assert path in refused.value.message


def test_values_out_of_range_are_refused_before_any_pipeline_has_them():
    with pytest.raises(InvalidArgument):
        spec_defaults.check({"datum_tries": -1})


def test_a_layer_overrides_those_below_it_and_null_removes_a_value():
    cluster = {"datum_tries": 5, "transform": {"image": "a", "env": {"X": "1", "Y": "1"}}}
    project = {"datum_tries": None, "transform": {"env": {"X": "2"}}}
    user = {"pipeline": {"name": "p"}, "transform": {"cmd": ["true"], "image": "b", "env": {"Y": None}}}

    merged = spec_rules.load(user, cluster, project)

    assert (merged.datum_tries, merged.transform.image, merged.transform.env) == (3, "b", {"X": "2"})
