"""Who a call is made for."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CallerKind(StrEnum):
    """What kind of client makes a call."""

    #: A client that did not identify itself.
    ANONYMOUS = "anonymous"
    #: A worker of a fleet; its name is the worker's id.
    WORKER = "worker"
    #: The server's own loops.
    SYSTEM = "system"


class Caller(Struct, frozen=True):
    """Who a call is made for. Until there are users, every caller may do everything."""

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
