"""The part of ``trunkline.console.v1.Console`` about projects, pipelines, jobs, global ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import names
from trunkline.pps.queries import graph, job_rows
from trunkline.rpc import convert
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call

#: Characters of a reason in a row, as in events.
REASON = 1_000


class ConsoleOverview(ServicerBase):
    """Summaries of projects, pipelines, jobs, global ids."""

    _specs: Specs

    async def InspectGraph(self, request: pb.InspectGraphRequest, call: Call) -> pb.Graph:
        view = await self._store(call).query_soon(
            graph.inspect, self._specs, request.project or names.DEFAULT_PROJECT, request.commit_set
        )
        unchanged = view.etag == request.known_etag
        answer = pb.Graph(position=str(view.position), etag=view.etag, unchanged=unchanged)
        answer.nodes.extend(_node(each, at_set=bool(request.commit_set)) for each in view.nodes)
        if not unchanged:
            answer.edges.extend(
                pb.GraphEdge(**{"from": each.source}, to=each.target, branch=each.branch)
                for each in view.edges
            )
        return answer

    async def ListJobRow(self, request: pb.ListJobRowRequest, call: Call) -> pb.JobRowPage:
        criteria = job_rows.RowFilter(
            projects=request.projects,
            pipelines=request.pipelines,
            states=request.states,
            set_id=request.commit_set,
            since=_seconds(request, "from"),
            until=_seconds(request, "until"),
            token=request.page_token,
            number=request.number,
            count=request.count,
        )
        page = await self._store(call).query_soon(job_rows.list_rows, self._specs, criteria)
        return pb.JobRowPage(
            rows=map(job_row, page.rows),
            next_page_token=page.next,
            position=str(page.position),
            total=page.total,
            total_is_least=page.is_least,
        )


def _seconds(request: pb.ListJobRowRequest | pb.InspectScalingRequest, field: str) -> float | None:
    """Return a time of a request in seconds since the epoch; None when it is not set."""
    return convert.seconds_of_time(getattr(request, field), field) if request.HasField(field) else None


def job_row(row: job_rows.Row) -> pb.JobRow:
    """Return the message of a job of a list."""
    job = row.job
    message = pb.JobRow(
        project=row.pipeline.project,
        pipeline=row.pipeline.name,
        job_id=job.set_id,
        state=job.state,
        reason=row.reason[:REASON],
        total=job.total,
        processed=job.processed,
        skipped=job.skipped,
        failed=job.failed,
        recovered=job.recovered,
        version=job.version,
        restart=job.restart,
        dollars=row.dollars,
    )
    for field, at in (("created", job.created), ("started", job.started), ("finished", job.finished)):
        if at is not None:
            convert.set_time(getattr(message, field), at)
    return message


def _node(node: graph.Node, *, at_set: bool) -> pb.GraphNode:
    message = pb.GraphNode(
        id=node.id,
        project=node.project,
        kind=node.kind,
        name=node.name,
        size_bytes=node.size,
        head_commit=node.head_id,
        outside=node.outside,
    )
    if node.head_at is not None:
        convert.set_time(message.head_at, node.head_at)
    if node.job is not None:
        message.job.CopyFrom(job_row(node.job))
    pipeline, spec = node.pipeline, node.spec
    if pipeline is None or spec is None:
        return message
    message.work = (
        "spout" if spec.spout else "service" if spec.service else "batch" if _batching(spec) else "transform"
    )
    message.workers, message.workers_wanted, message.workers_limit = (
        len(node.ready),
        pipeline.target,
        spec.parallelism,
    )
    message.ready_worker_ids.extend(node.ready)
    message.stopped = pipeline.stopped
    if at_set:
        message.state = node.job.job.state if node.job is not None else ""
    else:
        message.state, message.reason = pipeline.state, pipeline.reason[:REASON]
    return message


def _batching(spec: PipelineSpec) -> bool:
    return spec.transform is not None and spec.transform.datum_batching
