"""Which fields of a spec a fleet does not support, and whether such a field causes a warning or an error.

Each fleet lists the fields that it does not support, with their treatment; this module applies the list. A field
has its name in the spec, such as ``resource_limits.gpu``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.spec import PipelineSpec


class Treatment(StrEnum):
    """How a spec with an unsupported field is treated."""

    #: The pipeline runs; InspectPipeline reports that the field has no effect.
    WARN = "warn"
    #: The spec is refused, because ignoring the field would change the result.
    REFUSE = "refuse"


class Unsupported(NamedTuple):
    """A field that a fleet does not support."""

    treatment: Treatment
    #: Why, and what to do instead, as the second half of a sentence.
    why: str


#: Fields that speak of pods alone.
OF_PODS = (
    "sidecar_resource_requests",
    "sidecar_resource_limits",
    "scheduling_spec.node_selector",
    "scheduling_spec.priority_class_name",
    "tolerations",
    "pod_spec",
    "pod_patch",
)


def is_set(spec: PipelineSpec, field: str) -> bool:
    """Whether a spec sets a field; a dotted name is a field of a field."""
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
        unsupported: the fields that the fleet does not support.
    """
    return [
        f"{field} has no effect here: {what.why}"
        for field, what in unsupported.items()
        if what.treatment is Treatment.WARN and is_set(spec, field)
    ]


def check(spec: PipelineSpec, unsupported: Mapping[str, Unsupported]) -> None:
    """Refuse a spec that would give a different result on the fleet.

    Args:
        spec: a complete spec.
        unsupported: the fields that the fleet does not support.

    Raises:
        InvalidArgument: it sets a field that the fleet refuses.
    """
    for field, what in unsupported.items():
        if what.treatment is Treatment.REFUSE and is_set(spec, field):
            raise InvalidArgument(f"{field} cannot be honoured here: {what.why}")
