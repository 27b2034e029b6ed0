"""Every field of a spec is described, its example is a valid spec, and its mistake is refused."""

from __future__ import annotations

import pytest

from trunkline.drivers.fleets.containers.container_fields import UNSUPPORTED as IN_CONTAINERS
from trunkline.drivers.fleets.kubernetes.fleet import UNSUPPORTED as IN_PODS
from trunkline.drivers.fleets.process_fields import UNSUPPORTED as IN_PROCESSES
from trunkline.errors import InvalidArgument, NotFound
from trunkline.model import spec, spec_fields, spec_help, spec_rules

FIELDS = list(spec_help.every_field())
#: Refused by every server, so that no spec with them is valid.
REFUSED = ("tf_job", "determined", "s3_out", "input.pfs.s3", "input.cron.commit")


def test_every_field_of_each_message_has_an_entry_and_no_entry_is_of_another():
    messages = {spec.PipelineSpec, *(cls for cls in spec_help.ENTRIES)}

    for cls in messages:
        assert set(spec_help.ENTRIES[cls]) == {field.name for field in spec_fields.declared(cls)}, cls


def test_summaries_are_sentences_and_defaults_ranges_and_units_are_there_where_the_type_asks_for_them():
    for field in FIELDS:
        assert field.summary.endswith("."), field.path
        assert field.summary[0].isupper(), field.path
        assert len(field.summary.split()) <= 25, field.path
        assert field.kind not in ("duration", "number") or (field.unit and field.range), field.path
        assert field.kind != "integer" or field.unit or field.range, field.path
        assert field.kind in ("object", "ignored") or field.default, field.path


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_the_example_sets_the_field_in_a_valid_spec(field: spec_help.Field):
    whole = spec_help.whole_spec(field.example)

    read = spec.complete(spec.from_json(spec.effective(whole)))

    if field.path.startswith(REFUSED):
        assert spec_help.mistake_message(field)
        return
    spec_rules.validate(read)
    assert spec_rules.unsupported(read) == []
    assert field.path == "spec_commit" or is_set(field.example, field.path.split("."))


def is_set(part: object, names: list[str]) -> bool:
    for name in names:
        part = part[0] if isinstance(part, list) else part
        assert isinstance(part, dict)
        spellings = (name, name.upper())
        if not any(spelling in part for spelling in spellings):
            return False
        part = next(part[spelling] for spelling in spellings if spelling in part)
    return True


@pytest.mark.parametrize(
    "field", [field for field in FIELDS if field.mistake is not None], ids=lambda field: field.path
)
def test_the_mistake_of_a_field_is_refused(field: spec_help.Field):
    assert spec_help.mistake_message(field)


def test_what_a_fleet_does_not_support_is_said_of_the_field():
    unsupported = {*IN_PROCESSES, *IN_CONTAINERS, *IN_PODS}

    unsaid = [path for path in unsupported if not spec_help.look_up(path).fleets]

    assert unsaid == []


def test_a_field_is_found_by_its_path_in_either_case_and_inside_other_inputs():
    assert spec_help.look_up("datumTries").path == "datum_tries"
    assert spec_help.look_up("input.cross.pfs.glob").summary == spec_help.look_up("input.pfs.glob").summary


@pytest.mark.parametrize("path", ["input.pfs.golb", "nothing", "datum_tries.more", ""])
def test_a_path_that_is_not_a_field_is_not_found(path: str):
    with pytest.raises(NotFound):
        spec_help.look_up(path)


def test_the_text_of_a_field_fits_a_terminal_and_has_its_example():
    for field in FIELDS:
        lines = spec_help.as_text(field).splitlines()

        assert max(map(len, lines)) <= 80, field.path
        assert "Example:" in lines


def test_the_spec_that_examples_are_added_to_is_valid():
    try:
        spec_rules.load(spec_help.BASE)
    except InvalidArgument as error:
        pytest.fail(error.message)
