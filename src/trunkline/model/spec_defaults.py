"""Defaults of pipeline specs: those of the cluster, and those of each project.

They are JSON such as ``{"createPipelineRequest": {"datumTries": 5}}``. Specs are merged over them when a pipeline is
created or updated (``model.spec.effective``).
"""

# ruff: noqa: RUF009  (the calls in class bodies declare fields, as dataclasses.field does)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trunkline.errors import InvalidArgument
from trunkline.model import spec_fields, spec_rules, spec_text
from trunkline.model.spec import PipelineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Defaults that set nothing.
NONE = "{}"
#: Fields that belong to one pipeline or one request.
_OF_ONE = ("pipeline", "tf_job", "update", "reprocess", "dry_run", "spec_commit")
#: The least that a spec says; defaults are checked as if for this one.
_LEAST: Mapping[str, object] = {"pipeline": {"name": "any"}, "transform": {"cmd": ["true"]}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The message that defaults are."""

    create_pipeline_request: PipelineSpec | None = spec_fields.message(lambda: PipelineSpec)


def parse(text: str) -> Mapping[str, object]:
    """Return the fields that defaults set, by their names in snake case.

    Raises:
        InvalidArgument: the text is not valid JSON, or a field is unknown, of a wrong type or not one that can have
            a default; the message has the path to the field.
    """
    document = spec_text.parse_object(
        text, "the text of the defaults", '{"createPipelineRequest": {"datumTries": 5}}'
    )
    spec_fields.read(Defaults, document)
    layer = spec_fields.keyed(Defaults, document).get("create_pipeline_request") or {}
    fields = cast("Mapping[str, object]", layer)
    for name in _OF_ONE:
        if name in fields:
            raise InvalidArgument(
                f"create_pipeline_request.{name} cannot have a default, it belongs to one pipeline or request;"
                " remove it"
            )
    return fields


def check(*layers: Mapping[str, object]) -> None:
    """Check that a spec over these defaults can be valid.

    Args:
        layers: the defaults of the cluster, then those of a project.

    Raises:
        InvalidArgument: no spec that leaves a field of the defaults as it is would be valid.
    """
    try:
        spec_rules.load(_LEAST, *layers)
    except InvalidArgument as error:
        raise InvalidArgument(f"the defaults are not valid: {error.message}") from error
