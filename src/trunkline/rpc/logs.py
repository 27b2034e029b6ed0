"""Log lines over ``logs.API``: by project, pipeline, job, datum, pod, app or LogQL, page by page."""

from __future__ import annotations

import json
import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict, ParseError

from trunkline import errors
from trunkline.model import logql, names
from trunkline.model.names import PipelineName
from trunkline.pps.logs import Span
from trunkline.pps.queries import log_search
from trunkline.pps.queries.log_search import Neighbours, Page, Search, Source
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import logs_pb2 as pb
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from concurrent.futures import Executor

    from google.protobuf.timestamp_pb2 import Timestamp

    from trunkline.model.logql import LogQuery
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.queries.log_search import LogLine, Position
    from trunkline.rpc.call import Call
    from trunkline.telemetry.recent import Record

_LEVELS = {
    pb.LOG_LEVEL_UNSET: log_search.DEBUG,
    pb.LOG_LEVEL_DEBUG: log_search.DEBUG,
    pb.LOG_LEVEL_INFO: log_search.INFO,
    pb.LOG_LEVEL_ERROR: log_search.ERROR,
}


class LogsServicer(ServicerBase):
    """Answers ``logs.API``."""

    def __init__(self, versions: VersionedStore, executor: Executor, records: Iterable[Record]) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            executor: runs blocking work.
            records: the newest log records of the server.
        """
        super().__init__(versions, executor)
        self._records = records

    async def GetLogs(
        self, request: pb.GetLogsRequest, call: Call
    ) -> AsyncIterator[list[pb.GetLogsResponse] | pb.GetLogsResponse]:
        source, page, neighbours = self._source(request), _page(request), Neighbours()
        search, store = source.search, self._store(call)
        # Also finds out whether what the search names exists.
        newest = await store.query_soon(log_search.newest, search)
        if request.tail:
            source = Source(search=search, records=source.records, newest=newest)
        async with aclosing(self._ahead(log_search.page(store, source, page, neighbours))) as groups:
            async for group in groups:
                yield [_response(entry) for entry in group]
        if request.tail:
            async with aclosing(log_search.follow(store, search, newest)) as groups:
                async for group in groups:
                    yield [_response(entry) for entry in group]
        elif request.want_paging_hint:
            yield _hint(request, neighbours)

    def _source(self, request: pb.GetLogsRequest) -> Source:
        search = _search(request)
        query = search.logql
        selected = search.server or (query is not None and query.selects(log_search.SERVER_LABELS))
        return Source(search=search, records=self._records if selected else ())


def _search(request: pb.GetLogsRequest) -> Search:
    """Return what a request looks for.

    Raises:
        InvalidArgument: the query lacks a field, or an expression is not valid.
    """
    query, criteria = request.query, request.filter
    if criteria.level not in _LEVELS:
        convert.known_value(pb.LogLevel.items(), criteria.level, "filter.level")
    regex = criteria.regex
    common: dict[str, Any] = {
        "tests": (logql.line_filter(regex.pattern, negated=regex.negate),) if regex.pattern else (),
        "level": _LEVELS[criteria.level],
        "user_only": criteria.user_logs_only,
    }
    kind = query.WhichOneof("query_type")
    if kind == "user":
        return Search(**_user(query.user, "query.user"), **common)
    if kind == "admin":
        return Search(**_admin(query.admin), **common)
    raise errors.InvalidArgument("the request has no query; set query.user or query.admin")


def _user(query: pb.UserLogQuery, where: str) -> dict[str, Any]:
    kind = query.WhichOneof("user_type")
    if kind is None:
        raise errors.InvalidArgument(f"{where} is empty; set a project, pipeline, job or datum")
    where = f"{where}.{kind}"
    if kind in ("project", "job", "datum"):
        return {kind: _required(getattr(query, kind), where)}
    message = getattr(query, kind)
    if kind == "pipeline":
        return {"pipeline": _pipeline(message, where)}
    fields: dict[str, Any] = {
        name: _required(getattr(message, name), f"{where}.{name}")
        for name in ("job", "datum")
        if name in message.DESCRIPTOR.fields_by_name
    }
    if "pipeline" in message.DESCRIPTOR.fields_by_name:
        fields["pipeline"] = _pipeline(message.pipeline, f"{where}.pipeline")
    return fields


def _admin(query: pb.AdminLogQuery) -> dict[str, Any]:
    kind = query.WhichOneof("admin_type")
    where = f"query.admin.{kind}"
    if kind == "user":
        return _user(query.user, where)
    if kind == "logql":
        return {"logql": logql.parse(_required(query.logql, where))}
    if kind in ("pod", "app"):
        return {"logql": _with_labels(**{kind: _required(getattr(query, kind), where)})}
    if kind == "pod_container":
        names_of = query.pod_container
        pod, container = (
            _required(names_of.pod, f"{where}.pod"),
            _required(names_of.container, f"{where}.container"),
        )
        return {"logql": _with_labels(pod=pod, container=container)}
    if kind == "master":
        return {"pipeline": _pipeline(query.master, where), "server": True}
    if kind == "storage":
        return {"pipeline": _pipeline(query.storage, where), "container": log_search.STORAGE}
    raise errors.InvalidArgument("query.admin is empty; set logql, pod, app, master, storage or user")


def _with_labels(**labels: str) -> LogQuery:
    """Return the query for the streams with these labels."""
    return logql.parse("{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}")


def _pipeline(message: pb.PipelineLogQuery, where: str) -> PipelineName:
    name = _required(message.pipeline, f"{where}.pipeline")
    return PipelineName(message.project or names.DEFAULT_PROJECT, name)


def _required(text: str, where: str) -> str:
    if not text:
        raise errors.InvalidArgument(f"{where} is empty; set it, or leave out its part of the query")
    return text


def _page(request: pb.GetLogsRequest) -> Page:
    """Return the part of the lines that a request asks for; with ``until`` alone it is read backward.

    Raises:
        InvalidArgument: a time is not valid, or the lines that are followed have an end.
    """
    times = request.filter.time_range
    start = _microseconds(times, "from")
    stop = _microseconds(times, "until")
    backward = stop is not None and (start is None or start > stop)
    if start is not None and backward:
        start, stop = stop, start
    elif start is not None and start == stop:
        stop = start + 1
    if request.tail and (stop is not None or request.filter.limit or request.want_paging_hint):
        raise errors.InvalidArgument(
            "tail follows the logs without an end; leave out filter.limit, time_range.until and want_paging_hint"
        )
    span = Span(start=max(0, start or 0), stop=stop, backward=backward)
    return Page(span=span, skip=times.offset, limit=request.filter.limit)


def _microseconds(times: pb.TimeRangeLogFilter, name: str) -> int | None:
    if not times.HasField(name):
        return None
    moment: Timestamp = getattr(times, name)
    return math.floor(convert.seconds_of_time(moment, f"filter.time_range.{name}") * 1e6 + 0.5)


def _hint(request: pb.GetLogsRequest, neighbours: Neighbours) -> pb.GetLogsResponse:
    hint = pb.PagingHint()
    for page, name, position in (
        (hint.older, "until", neighbours.older),
        (hint.newer, "from", neighbours.newer),
    ):
        if position is not None:
            page.CopyFrom(request)
            _set_position(page.filter, name, position)
    return pb.GetLogsResponse(paging_hint=hint)


def _set_position(criteria: pb.LogFilter, name: str, position: Position) -> None:
    criteria.ClearField("time_range")
    getattr(criteria.time_range, name).FromMicroseconds(position.at)
    criteria.time_range.offset = position.skip


def _response(entry: LogLine) -> pb.GetLogsResponse:
    line = entry.line
    message = pb.LogMessage(verbatim=pb.VerbatimLogMessage(line=line.message.encode(errors="replace")))
    convert.set_time(message.verbatim.timestamp, line.ts)
    message.native_timestamp.CopyFrom(message.verbatim.timestamp)
    if entry.pipeline is not None:
        message.pps_log_message.CopyFrom(pps_convert.log_message(entry.pipeline, line))
    else:
        message.pps_log_message.CopyFrom(pps_pb2.LogMessage(master=True, message=line.message))
        message.pps_log_message.ts.CopyFrom(message.verbatim.timestamp)
    value = log_search.json_object(line.message)
    if value is not None:
        try:
            ParseDict(value, message.object)
        except (ParseError, ValueError):  # NaN, infinities, too many levels: the text alone is sent
            message.ClearField("object")
    return pb.GetLogsResponse(log=message)
