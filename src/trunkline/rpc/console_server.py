"""The part of ``trunkline.console.v1.Console`` about the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import __version__
from trunkline.build_info import build_commit
from trunkline.model import limits, port_limits, redaction
from trunkline.model.port_limits import DEFAULTS, PortLimits
from trunkline.rpc import convert
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.rpc.call import Call


class ServerFacts(Struct, frozen=True, kw_only=True):
    """How a server is set up, as far as its users may know.

    Attributes:
        started: when, in seconds since 1970.
        address: where it listens first.
        data_folder: folder of its own data.
        database: URL; empty for SQLite in the data folder.
        store: URL; empty for a folder in the data folder.
        fleet: where commands run.
        simulated: whose machines are simulated; empty for none.
        keep_days: days that logs, decisions, events and results of failed jobs are kept.
        keep_log_bytes: bytes of logs that are kept.
        keep_event_bytes: bytes of events that are kept.
        port: limits of the port.
    """

    started: float = 0.0
    address: str = ""
    data_folder: str = ""
    database: str = ""
    store: str = ""
    fleet: str = ""
    simulated: str = ""
    keep_days: float = 0.0
    keep_log_bytes: int = 0
    keep_event_bytes: int = 0
    port: PortLimits = DEFAULTS


class ConsoleServer(ServicerBase):
    """Says what the server is."""

    _facts: ServerFacts

    async def InspectServer(self, _request: pb.InspectServerRequest, _call: Call) -> pb.ServerInfo:
        facts, redactor = self._facts, redaction.Redactor()
        info = pb.ServerInfo(
            version=__version__,
            commit=build_commit(),
            address=facts.address,
            data_folder=facts.data_folder,
            database=redactor.text(facts.database),
            store=redactor.text(facts.store),
            fleet=facts.fleet,
            simulated=facts.simulated,
            keep_days=facts.keep_days,
            keep_log_bytes=facts.keep_log_bytes,
            keep_event_bytes=facts.keep_event_bytes,
            limits=_limits(facts.port),
        )
        convert.set_time(info.started, facts.started)
        return info


def _limits(port: PortLimits) -> Iterator[pb.LimitInfo]:
    for name, each in port_limits.TABLE.items():
        value = getattr(port, name.replace("-", "_"))
        yield pb.LimitInfo(name=name, value=value, unit=each.unit, bounds=each.bounds, is_setting=True)
    for name, limit in limits.TABLE.items():
        yield pb.LimitInfo(name=name, value=limit, unit=limit.unit, bounds=limit.bounds)
