"""The trace of one command: it continues ``TRACEPARENT``, or begins a trace when traces are exported.

Imported only when the environment asks for it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from trunkline.errors import FailedPrecondition, TrunklineError
from trunkline.model import trace
from trunkline.telemetry import tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds that the end of a command waits for the collector.
PATIENCE = 1.0


class CommandTrace:
    """A command's place in a trace."""

    def __init__(self, command: str, environment: Mapping[str, str] = os.environ) -> None:
        """Begin the command's span. When the libraries for it are missing, say so and go on without.

        Args:
            command: its name, such as ``put file``.
            environment: holds the standard variables.
        """
        self._command = command
        self._tracer: tracing.Tracer | None = None
        self._span: tracing.OpenSpan | None = None
        above = trace.from_headers(environment.get("TRACEPARENT", ""), environment.get("TRACESTATE", ""))
        if tracing.is_asked_for(environment):
            try:
                self._tracer = tracing.Tracer(environment, _ignore, timeout=PATIENCE)
            except FailedPrecondition as error:
                print(f"trunkline: {error.message}", file=sys.stderr)
            else:
                self._span = self._tracer.begin(above)
        self._context = self._span.context if self._span is not None else above

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What calls send so that the server continues the trace."""
        if self._context is None:
            return []
        state = [("tracestate", self._context.state)] if self._context.state else []
        return [("traceparent", self._context.header), *state]

    def end(self, error: object) -> None:
        """End the command's span and export it.

        Args:
            error: what the command raised; None when nothing.
        """
        if self._tracer is None:
            return
        if self._span is not None:
            text = None if error is None else _text(error)
            self._tracer.record(self._span.end(f"trunkline {self._command}", {}, text))
        self._tracer.close()


def _text(error: object) -> str:
    return error.message if isinstance(error, TrunklineError) else type(error).__name__


def _ignore(_exported: int, _dropped: int, _reason: str) -> None:
    """A collector that does not answer is no concern of the command."""
