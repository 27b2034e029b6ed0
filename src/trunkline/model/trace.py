"""Trace contexts as the W3C recommendation "Trace Context" writes them: which trace something belongs to.

A context is two headers: ``traceparent`` (trace id, id of the span above, whether the trace is recorded) and
``tracestate``, which vendors fill and everybody else passes on.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[ -~]{0,512}")
_SAMPLED = 0x01


class TraceContext(Struct, frozen=True):
    """A position in a trace: what begins here is below this span."""

    #: 32 hexadecimal digits.
    trace_id: str
    #: 16 hexadecimal digits.
    span_id: str
    #: Whether the spans of the trace are recorded.
    sampled: bool
    #: The ``tracestate`` header; empty without one.
    state: str = ""

    @property
    def header(self) -> str:
        """The ``traceparent`` header."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def at(self, span_id: str) -> TraceContext:
        """Return the position of another span of the same trace."""
        return replace(self, span_id=span_id)

    def child(self, *names: str) -> TraceContext:
        """Return the position of a span below this one whose id follows from ``names``.

        Whoever knows the names knows the id before the span is recorded, and after a restart.
        """
        digest = blake2b("\0".join((self.trace_id, self.span_id, *names)).encode(), digest_size=8)
        return self.at(digest.hexdigest())

    def __str__(self) -> str:
        """Return both headers as one text; ``from_text`` reads it."""
        return f"{self.header} {self.state}" if self.state else self.header


def from_headers(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """Return the context of two headers; None without a valid ``traceparent``, as the recommendation asks."""
    match = _HEADER.fullmatch(traceparent.strip())
    if match is None or (match[4] and traceparent.strip().startswith("00")):
        return None
    state = tracestate.strip()
    return TraceContext(
        match[1], match[2], bool(int(match[3], 16) & _SAMPLED), state if _STATE.fullmatch(state) else ""
    )


def from_text(text: str | None) -> TraceContext | None:
    """Return the context of a text that ``str`` made; None for None."""
    header, _, state = (text or "").partition(" ")
    return from_headers(header, state)
