"""Settings of Trunkline's own in a spec's ``metadata.annotations``: Pachyderm's messages have no fields for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.model.quantities import parse_bytes

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

#: A datum that runs out of memory is tried again with more, up to this quantity.
MEMORY_RETRY_LIMIT = "trunkline.dev/memory-retry-limit"


def memory_retry_limit(spec: PipelineSpec) -> int:
    """Return the most bytes of memory with which a datum that ran out of it is tried again; 0 for no such retry.

    Raises:
        InvalidArgument: the annotation is not a quantity.
    """
    text = spec.metadata.annotations.get(MEMORY_RETRY_LIMIT, "") if spec.metadata is not None else ""
    return parse_bytes(text, _where()) if text else 0


def check(spec: PipelineSpec) -> None:
    """Check the annotations of a spec that are Trunkline's own.

    Raises:
        InvalidArgument: one is not valid.
    """
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


def _where() -> str:
    return f'metadata.annotations["{MEMORY_RETRY_LIMIT}"]'
