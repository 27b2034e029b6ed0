"""The part of ``trunkline.console.v1.Console`` about projects, pipelines, jobs, global ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import names
from trunkline.pps.queries import deletions, graph, job_rows, overview, runs, scaling_history, search
from trunkline.rpc import convert
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import Machine
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call

#: Characters of a reason or a description in a row, as in events.
REASON = 1_000


class ConsoleOverview(ServicerBase):
    """Summaries of projects, pipelines, jobs, global ids."""

    _specs: Specs
    _machines: Callable[[], Sequence[Machine]]

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

    async def ListRepoRow(self, request: pb.ListRepoRowRequest, call: Call) -> pb.RepoRows:
        repos = await self._store(call).query_soon(graph.list_repos, request.project or names.DEFAULT_PROJECT)
        return pb.RepoRows(rows=map(_repo_row, repos.rows), position=str(repos.position))

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

    async def InspectOverview(self, request: pb.InspectOverviewRequest, call: Call) -> pb.Overview:
        machines = await self._blocking(self._machines)
        view = await self._store(call).query_soon(
            overview.inspect, self._specs, request.seconds, request.number
        )
        dollars, pretended = overview.spending(machines)
        answer = pb.Overview(
            position=str(view.position),
            projects=map(_project, view.projects),
            failed=map(job_row, view.failed),
            failed_total=view.failed_total,
            running=map(job_row, view.running),
            running_total=view.running_total,
            waiting=map(_waiting, view.waiting),
            waiting_total=view.waiting_total,
            dollars_per_hour=dollars,
            pretended=pretended,
            workers=view.workers,
            unpriced_workers=view.unpriced_workers,
        )
        convert.set_time(answer.at, view.at)
        return answer

    async def ListRun(self, request: pb.ListRunRequest, call: Call) -> pb.RunPage:
        page = await self._store(call).query_soon(
            runs.list_runs, request.project, request.page_token, request.number
        )
        return pb.RunPage(runs=map(_run, page.runs), next_page_token=page.next, position=str(page.position))

    async def InspectScaling(self, request: pb.InspectScalingRequest, call: Call) -> pb.Scaling:
        name = names.PipelineName(request.project or names.DEFAULT_PROJECT, request.pipeline)
        span = (_seconds(request, "from"), _seconds(request, "until"))
        history = await self._store(call).query_soon(
            scaling_history.inspect, self._specs, name, span, request.width
        )
        return pb.Scaling(
            points=map(_point, history.points),
            decisions=map(_decision, history.decisions),
            workers_limit=history.limit,
            autoscaling=history.autoscaling,
            position=str(history.position),
        )

    async def Search(self, request: pb.SearchRequest, call: Call) -> pb.SearchResponse:
        hits = await self._store(call).query_soon(search.search, request.text, request.number)
        return pb.SearchResponse(
            hits=[pb.SearchHit(kind=hit.kind, project=hit.project, name=hit.name, id=hit.id) for hit in hits]
        )

    async def FindDeletion(self, request: pb.FindDeletionRequest, call: Call) -> pb.Deletion:
        sought = deletions.Names(
            project=request.project or names.DEFAULT_PROJECT,
            repo=request.repo,
            ref=request.ref,
            pipeline=request.pipeline,
            job_id=request.job_id,
            set_id=request.commit_set,
        )
        deletion = await self._store(call).query_soon(deletions.find, sought)
        answer = pb.Deletion(
            kind=deletion.kind, name=deletion.name, similar=deletion.similar, projects=deletion.projects
        )
        setattr(answer, "with", deletion.owner)
        if deletion.at is not None:
            convert.set_time(answer.at, deletion.at)
        return answer


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


def _repo_row(row: graph.RepoRow) -> pb.RepoRow:
    message = pb.RepoRow(
        name=row.name,
        description=row.description[:REASON],
        branches=row.branches,
        size_bytes=row.size,
        is_output=row.is_output,
    )
    if row.head_at is not None:
        convert.set_time(message.head_at, row.head_at)
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


def _project(project: overview.ProjectSummary) -> pb.ProjectSummary:
    message = pb.ProjectSummary(
        name=project.row.name,
        description=project.row.description,
        repos=project.repos,
        pipelines=sum(project.pipelines.values()),
        pipeline_states=project.pipelines,
        live_jobs=project.live_jobs,
        ended_jobs=project.ended_jobs,
        workers=project.workers,
    )
    convert.set_time(message.created, project.row.created_at)
    return message


def _waiting(wait: overview.Waiting) -> pb.WaitingPipeline:
    message = pb.WaitingPipeline(
        project=wait.pipeline.project,
        pipeline=wait.pipeline.name,
        kind=wait.kind,
        sentence=wait.sentence,
        job_id=wait.job_id,
    )
    if wait.since is not None:
        convert.set_time(message.since, wait.since)
    return message


def _run(run: runs.Run) -> pb.Run:
    message = pb.Run(commit_set=run.id, commits=run.row.commits, job_states=run.jobs, origin=run.origin)
    convert.set_time(message.started, run.row.started)
    if run.row.finished is not None:
        convert.set_time(message.finished, run.row.finished)
    return message


def _point(point: scaling_history.Point) -> pb.ScalingPoint:
    message = pb.ScalingPoint(
        asked=point.asked, existing=point.existing, ready=point.ready, busy=point.busy, queue=point.queue
    )
    convert.set_time(message.at, point.at)
    return message


def _decision(decision: scaling_history.DecisionPoint) -> pb.ScalingDecision:
    message = pb.ScalingDecision(target=decision.target, sentence=decision.sentence)
    convert.set_time(message.at, decision.at)
    return message
