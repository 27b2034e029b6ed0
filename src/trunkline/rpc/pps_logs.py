"""Logs over ``pps_v2.API``."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trunkline.model import logql
from trunkline.model.states import WorkerState
from trunkline.pps.logs import Span, microseconds
from trunkline.pps.queries import log_queries, log_search, worker_queries
from trunkline.pps.queries.log_queries import LogFilter
from trunkline.pps.queries.log_search import Neighbours, Page, Search, Source
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from trunkline.pps.logs import Line
    from trunkline.pps.queries.log_search import Records
    from trunkline.pps.queries.worker_queries import WorkerEvent
    from trunkline.rpc.call import Call


#: Seconds that requests without ``since`` reach back, as in Pachyderm; pachctl sends 0 by default.
DEFAULT_SPAN = 86_400.0


class LogCalls(ServicerBase):
    """Reads logs and worker events."""

    #: The newest log records of the server.
    _records: Records

    async def GetLogs(self, request: pps_pb2.GetLogsRequest, call: Call) -> AsyncIterator[pps_pb2.LogMessage]:
        if request.master or not (request.pipeline.name or request.job.id or request.datum.id):
            async with aclosing(self._server_lines(call, request)) as groups:
                async for group in groups:
                    for line in group:
                        yield _server_message(line)
            return
        selection = await self._blocking(
            log_queries.select, self._store(call), self._log_filter(call, request)
        )
        async with aclosing(log_queries.lines(self._store(call), selection)) as lines:
            async for line in lines:
                yield pps_convert.log_message(selection.pipeline, line)

    async def QueryLoki(
        self, request: pps_pb2.LokiRequest, call: Call
    ) -> AsyncIterator[pps_pb2.LokiLogMessage]:
        query = logql.parse(request.query)
        span = Span(start=max(0, microseconds(self._since(call, request))))
        source = Source(search=Search(logql=query), records=self._records)
        pages = log_search.page(self._store(call), source, Page(span=span), Neighbours())
        async with aclosing(self._ahead(pages)) as groups:
            async for group in groups:
                for entry in group:
                    yield pps_pb2.LokiLogMessage(message=entry.line.message)

    async def GetKubeEvents(
        self, request: pps_pb2.LokiRequest, call: Call
    ) -> AsyncIterator[pps_pb2.LokiLogMessage]:
        query = logql.parse(request.query)
        events = await self._store(call).query_soon(worker_queries.events, self._since(call, request))
        messages = map(_kube_event, events)
        for message in await self._blocking(lambda: list(filter(query.keeps, messages))):
            yield pps_pb2.LokiLogMessage(message=message)

    async def _server_lines(self, call: Call, request: pps_pb2.GetLogsRequest) -> AsyncGenerator[list[Line]]:
        """Yield what the server logged, about a pipeline or job if the request names one."""
        owner = request.pipeline
        if request.job.id or request.datum.id:
            owner = request.datum.job.pipeline if request.datum.id else request.job.pipeline
        pipeline = pps_convert.pipeline_name(owner) if owner.name else None
        span = Span(start=max(0, microseconds(self._since(call, request))))
        search, tail = Search(server=True, pipeline=pipeline), max(0, request.tail)
        if request.follow:
            async for new in log_search.follow_server(self._records, search, span, tail):
                yield new
            return
        source = Source(search=search, records=self._records)
        pages = log_search.page(self._store(call), source, Page(span=span), Neighbours())
        lines = await self._blocking(lambda: [entry.line for page in pages for entry in page])
        yield lines[-tail:]

    def _since(self, call: Call, request: pps_pb2.LokiRequest | pps_pb2.GetLogsRequest) -> float:
        """Return the time from which a request wants lines, in seconds since the epoch."""
        span = convert.seconds_of_span(request.since, "since") if request.HasField("since") else 0.0
        return self._store(call).clock.now() - (span or DEFAULT_SPAN)

    def _log_filter(self, call: Call, request: pps_pb2.GetLogsRequest) -> LogFilter:
        message = request.datum.job if request.datum.id else request.job
        job = pps_convert.job_name(message) if message.id else None
        return LogFilter(
            pipeline=job.pipeline if job is not None else pps_convert.pipeline_name(request.pipeline),
            job=job,
            datum=request.datum.id,
            data_filters=list(request.data_filters),
            since=self._since(call, request),
            follow=request.follow,
            tail=request.tail,
        )


def _server_message(line: Line) -> pps_pb2.LogMessage:
    message = pps_pb2.LogMessage(master=True, message=line.message)
    convert.set_time(message.ts, line.ts)
    return message


def _kube_event(event: WorkerEvent) -> str:
    """Return a worker's event in the form of a Kubernetes event, as a line of the event log.

    pachctl reads a JSON object whose ``log`` is the event's JSON.
    """
    row = event.row
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="milliseconds")
    content = {
        "type": "Warning" if row.state == WorkerState.GONE else "Normal",
        "reason": row.state,
        "message": row.text,
        "involvedObject": {"kind": "Worker", "name": row.worker_id},
        "pipelineProject": event.pipeline.project,
        "pipelineName": event.pipeline.name,
        "lastTimestamp": at,
    }
    return json.dumps({"log": json.dumps(content, ensure_ascii=False)}, ensure_ascii=False)
