"""What a fleet makes of the fields of a spec: most it honours; of the others it says so, or refuses them.

A fleet lists the fields that it does not honour, each with what is to be done about it; the list is data, and the
rule is here. A field is named as in the spec, such as ``resource_limits.gpu``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import PipelineSpec


class Treatment(StrEnum):
    """What becomes of a spec with a field that a fleet does not honour."""

    #: It runs, and whoever looks at it learns that the field has no effect.
    WARN = "warn"
    #: It is refused, because without the field the result would be another one.
    REFUSE = "refuse"


class Unsupported(NamedTuple):
    """A field that a fleet does not honour."""

    treatment: Treatment
    #: Why, and what to do instead, as the second half of a sentence.
    why: str


def is_set(spec: PipelineSpec, field: str) -> bool:
    """Whether a spec sets a field, which may be one within another."""
    value: object = spec
    for name in field.split("."):
        value = getattr(value, name, None)
        if not value:
            return False
    return True


def warnings(spec: PipelineSpec, unsupported: Mapping[str, Unsupported]) -> list[str]:
    """Return a sentence for each field of the spec that has no effect.

    Args:
        spec: a complete spec.
        unsupported: what the fleet does not honour.
    """
    return [
        f"{field} has no effect here: {what.why}"
        for field, what in unsupported.items()
        if what.treatment is Treatment.WARN and is_set(spec, field)
    ]


def check(spec: PipelineSpec, unsupported: Mapping[str, Unsupported]) -> None:
    """Refuse a spec whose result would be another one on the fleet.

    Args:
        spec: a complete spec.
        unsupported: what the fleet does not honour.

    Raises:
        InvalidArgument: it sets a field that the fleet refuses.
    """
    for field, what in unsupported.items():
        if what.treatment is Treatment.REFUSE and is_set(spec, field):
            raise InvalidArgument(f"{field} cannot be honoured here: {what.why}")
