"""Settings of Trunkline's own in a spec's ``metadata.annotations``: Pachyderm's messages have no fields for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

#: A datum that runs out of memory is tried again with more, up to this quantity.
MEMORY_RETRY_LIMIT = "trunkline.dev/memory-retry-limit"
#: The share of a full fleet that a pipeline gets, in relation to others, and who is served first.
WEIGHT = "trunkline.dev/weight"
PRIORITY = "trunkline.dev/priority"
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
MOST_PRIORITY = 1_000


def memory_retry_limit(spec: PipelineSpec) -> int:
    """Return the most bytes of memory with which a datum that ran out of it is tried again; 0 for no such retry.

    Raises:
        InvalidArgument: the annotation is not a quantity.
    """
    text = _annotation(spec, MEMORY_RETRY_LIMIT)
    return parse_bytes(text, _where()) if text else 0


def weight(spec: PipelineSpec) -> float:
    """Return the weight of a pipeline where a fleet is full; 1 unless the spec names one.

    Raises:
        InvalidArgument: the annotation is not a number in range.
    """
    text = _annotation(spec, WEIGHT)
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not LEAST_WEIGHT <= value <= MOST_WEIGHT:
        raise InvalidArgument(
            f'{_where(WEIGHT)} is "{text[:40]}"; write a number from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}'
        )
    return value


def priority(spec: PipelineSpec) -> int:
    """Return the priority of a pipeline where a fleet is full; 0 unless the spec names one.

    Raises:
        InvalidArgument: the annotation is not an integer in range.
    """
    text = _annotation(spec, PRIORITY)
    if not text:
        return 0
    digits = text.removeprefix("-")
    value = int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 8 else MOST_PRIORITY + 1
    if abs(value) > MOST_PRIORITY:
        raise InvalidArgument(
            f'{_where(PRIORITY)} is "{text[:40]}"; write an integer from -{MOST_PRIORITY} to {MOST_PRIORITY}'
        )
    return value


def _annotation(spec: PipelineSpec, name: str) -> str:
    return spec.metadata.annotations.get(name, "") if spec.metadata is not None else ""


def check(spec: PipelineSpec) -> None:
    """Check the annotations of a spec that are Trunkline's own.

    Raises:
        InvalidArgument: one is not valid.
    """
    weight(spec)
    priority(spec)
    most = memory_retry_limit(spec)
    if not most:
        return
    limits = spec.resource_limits
    usual = (
        parse_bytes(limits.memory, "resource_limits.memory") if limits is not None and limits.memory else 0
    )
    if not usual:
        raise InvalidArgument(
            f"{_where()} needs resource_limits.memory, the memory of the first attempt; set it, or leave the"
            " annotation out"
        )
    if most <= usual:
        raise InvalidArgument(
            f"{_where()} is {most:,} bytes and resource_limits.memory is {usual:,}; write a larger quantity"
        )


def _where(name: str = MEMORY_RETRY_LIMIT) -> str:
    return f'metadata.annotations["{name}"]'
