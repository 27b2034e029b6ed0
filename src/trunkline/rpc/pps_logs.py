"""Logs over the wire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline.meta import jobs, pipelines, workers
from trunkline.model import logql
from trunkline.pps import listing, logs
from trunkline.pps import pipelines as pipeline_ops
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.pps_base import PpsPart, matches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow

#: Events of workers told at once, the latest.
EVENTS = 1_000


class LogCalls(PpsPart):
    """The calls about logs."""

    async def GetLogs(
        self, request: pps_pb2.GetLogsRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.LogMessage]:
        pipeline, query, chosen = await self._blocking(self._log_query, request)
        kept: list[pps_pb2.LogMessage] = []
        async for lines in logs.read(self._versions, query):
            for line in lines:
                if chosen is not None and line.datum not in chosen:
                    continue
                message = pps_convert.log_message(pipeline, line)
                if request.tail and not request.follow:
                    kept.append(message)
                    del kept[: -request.tail]
                else:
                    yield message
        for message in kept:
            yield message

    async def QueryLoki(
        self, request: pps_pb2.LokiRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.LokiLogMessage]:
        query = logql.parse(request.query)
        since = self._since(request)
        for row in await self._versions.db.read(pipelines.list_all, []):
            if not query.selects({"pipelineName": row.name, "pipelineProject": row.project}):
                continue
            async for lines in logs.read(self._versions, logs.Query(pipeline_id=row.id, since=since)):
                for line in lines:
                    labels = {"container": "user" if line.user else "storage", "pod": line.worker}
                    if query.selects(labels) and query.keeps(line.message):
                        yield pps_pb2.LokiLogMessage(message=line.message)

    async def GetKubeEvents(
        self, request: pps_pb2.LokiRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.LokiLogMessage]:
        query = logql.parse(request.query)
        for message in await self._versions.db.read(_events, self._since(request)):
            if query.keeps(message):
                yield pps_pb2.LokiLogMessage(message=message)

    def _since(self, request: pps_pb2.LokiRequest) -> float:
        """Return the time that a request's span reaches back to, seconds since the epoch; 0 without one."""
        span = convert.seconds_of_span(request.since, "since")
        return self._versions.clock.now() - span if span > 0 else 0.0

    def _log_query(self, request: pps_pb2.GetLogsRequest) -> tuple[PipelineRow, logs.Query, set[str] | None]:
        """Return whose logs are wanted, which, and of which datums when that must be looked up."""
        job_message = request.datum.job if request.datum.id else request.job
        job: JobRow | None = None
        if job_message.id:
            project, name, set_id = self._job_name(job_message)
            pipeline = self._versions.read(pipeline_ops.find, project, name)
            job = self._versions.read(self._find_job, project, name, set_id)
        else:
            pipeline = self._versions.read(pipeline_ops.find, *pps_convert.pipeline_name(request.pipeline))
        since = (
            self._versions.clock.now() - convert.seconds_of_span(request.since, "since")
            if request.HasField("since")
            else 0.0
        )
        query = logs.Query(
            pipeline_id=pipeline.id,
            job_id=job.id if job is not None else None,
            datum=request.datum.id,
            since=since,
            follow=request.follow,
        )
        if not request.data_filters:
            return pipeline, query, None
        of_jobs = [job] if job is not None else self._versions.read(jobs.live, pipeline.id)
        if not of_jobs:
            newest = self._versions.read(jobs.newest, pipeline.id)
            of_jobs = [newest] if newest is not None else []
        chosen = {
            listed.row.id.hex()
            for one in of_jobs
            for listed in listing.list_datums(self._versions, one)
            if all(any(matches(item, wanted) for item in listed.row.items) for wanted in request.data_filters)
        }
        return pipeline, query, chosen


def _events(conn: sa.Connection, since: float) -> list[str]:
    """Return what happened to workers, each in the shape of a Kubernetes event."""
    owners = {row.id: row for row in pipelines.list_all(conn, [])}
    found = []
    for event in workers.events(conn, since, EVENTS):
        owner = owners[event.pipeline_id]
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        told = {
            "type": "Warning" if event.state == "gone" else "Normal",
            "reason": event.state,
            "message": event.text,
            "involvedObject": {"kind": "Worker", "name": event.worker_id},
            "pipelineProject": owner.project,
            "pipelineName": owner.name,
            "lastTimestamp": at,
        }
        found.append(json.dumps(told, ensure_ascii=False))
    return found
