"""The JSON Schema of specs accepts what the reader accepts, and refuses what it refuses."""

from __future__ import annotations

import jsonschema
import pytest

from trunkline.errors import InvalidArgument
from trunkline.model import spec, spec_help, spec_schema

VALIDATOR = jsonschema.Draft202012Validator(spec_schema.document())


def test_the_example_of_every_field_is_accepted():
    refused = [
        field.path
        for field in spec_help.every_field()
        if not VALIDATOR.is_valid(spec_help.whole_spec(field.example))
    ]

    assert refused == []


@pytest.mark.parametrize(
    "part",
    [
        {"datumTries": "5"},
        {"datum_tries": None},
        {"resourceRequests": {"cpu": "0.5"}},
        {"egress": {"URL": "s3://b"}},
    ],
)
def test_other_spellings_are_accepted_as_by_the_reader(part: dict[str, object]):
    spec.from_json(part)

    assert VALIDATOR.is_valid(part)


@pytest.mark.parametrize(
    "part",
    [
        {"datum_trys": 5},
        {"datum_tries": "five"},
        {"autoscaling": "yes"},
        {"input": {"pfs": {"golb": "/"}}},
        [],
    ],
)
def test_mistakes_of_names_and_types_are_refused_as_by_the_reader(part: dict[str, object]):
    with pytest.raises(InvalidArgument):
        spec.from_json(part)

    assert not VALIDATOR.is_valid(part)
