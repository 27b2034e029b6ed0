"""Who a call is made for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from trunkline.model.names import PipelineName


class CallerKind(StrEnum):
    """What kind of client makes a call."""

    #: A client that did not identify itself.
    ANONYMOUS = "anonymous"
    #: A worker of a fleet; its name is the worker's id.
    WORKER = "worker"
    #: A command of a pipeline; its name is the pipeline's, ``project/pipeline``.
    PIPELINE = "pipeline"
    #: The server's own loops.
    SYSTEM = "system"


class Caller(Struct, frozen=True):
    """Who a call is made for. Until there are users, every caller but a pipeline may do everything."""

    kind: CallerKind
    #: Unique among callers of the kind; empty when there is only one.
    name: str = ""

    def __str__(self) -> str:
        """Return the caller's name in logs and messages."""
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


ANONYMOUS = Caller(CallerKind.ANONYMOUS)
SYSTEM = Caller(CallerKind.SYSTEM)


def worker(worker_id: str) -> Caller:
    """Return the caller for a worker's calls."""
    return Caller(CallerKind.WORKER, worker_id)


def pipeline(name: PipelineName) -> Caller:
    """Return the caller for the calls of a pipeline's commands."""
    return Caller(CallerKind.PIPELINE, str(name))
