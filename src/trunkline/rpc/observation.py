"""Observes a call: counts and times it, writes its record to the access log, and makes it a span of its trace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trunkline.model import trace
from trunkline.rpc.call import Call
from trunkline.telemetry import events, tracing

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORKER_SERVICE = "trunkline.worker.v1.Worker/"


class Observation:
    """A call from its beginning to its end. ``end`` must follow.

    Attributes:
        call: the call as its servicer sees it.
    """

    __slots__ = ("_begun", "_span", "call")

    def __init__(
        self, rpc: str, *, peer: str, metadata: Iterable[tuple[str, str | bytes]], time_left: float | None
    ) -> None:
        """Begin.

        Args:
            rpc: ``package.Service/Method``.
            peer: the client's address.
            metadata: the request's metadata, names in lower case.
            time_left: seconds until the client's deadline; None without one.
        """
        self._begun = time.perf_counter()
        events.call_began()
        self.call = Call(rpc, peer=peer, metadata=metadata, time_left=time_left)
        above = _trace_above(self.call)
        # Workers ask for work all the time: their calls begin no traces.
        self._span = tracing.begin(above, root=not rpc.startswith(_WORKER_SERVICE))
        self.call.trace = self._span.context if self._span is not None else above

    def end(self, code: str) -> None:
        """Report the call with the name of its status code."""
        duration = time.perf_counter() - self._begun
        call = self.call
        events.call_done(
            call.rpc,
            code,
            duration,
            caller=str(call.caller),
            peer=call.peer,
            span=self._span,
            trace_id="" if call.trace is None else call.trace.trace_id,
        )


def _trace_above(call: Call) -> trace.TraceContext | None:
    parent, state = call.metadata.get("traceparent"), call.metadata.get("tracestate")
    if not isinstance(parent, str):
        return None
    return trace.from_headers(parent, state if isinstance(state, str) else "")
