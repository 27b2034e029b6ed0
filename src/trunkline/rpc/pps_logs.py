"""Logs over ``pps_v2.API``."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trunkline.model import logql
from trunkline.model.states import WorkerState
from trunkline.pps.queries import log_queries, worker_queries
from trunkline.pps.queries.log_queries import LogFilter
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trunkline.pps.queries.worker_queries import WorkerEvent
    from trunkline.rpc.call import Call


#: Seconds that requests without ``since`` reach back, as in Pachyderm; pachctl sends 0 by default.
DEFAULT_SPAN = 86_400.0


class LogCalls(ServicerBase):
    """Reads logs and worker events."""

    async def GetLogs(self, request: pps_pb2.GetLogsRequest, call: Call) -> AsyncIterator[pps_pb2.LogMessage]:
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
        async with aclosing(
            log_queries.search(self._store(call), query, self._since(call, request))
        ) as messages:
            async for message in messages:
                yield pps_pb2.LokiLogMessage(message=message)

    async def GetKubeEvents(
        self, request: pps_pb2.LokiRequest, call: Call
    ) -> AsyncIterator[pps_pb2.LokiLogMessage]:
        query = logql.parse(request.query)
        events = await self._store(call).query_soon(worker_queries.events, self._since(call, request))
        messages = map(_kube_event, events)
        for message in await self._blocking(lambda: list(filter(query.keeps, messages))):
            yield pps_pb2.LokiLogMessage(message=message)

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
