"""Jobs over ``pps_v2.API``: inspects, lists, follows, stops and deletes them, and lists what workers claimed."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trunkline.pps import jobs
from trunkline.pps.queries import job_queries, worker_queries
from trunkline.pps.queries.job_queries import JobFilter
from trunkline.rpc import changes, convert, pps_convert
from trunkline.rpc.gen import pps_pb2, taskapi_pb2
from trunkline.rpc.jq_filters import filtered
from trunkline.rpc.servicer import EMPTY_REPLY, ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from google.protobuf.empty_pb2 import Empty

    from trunkline.ports import Programs
    from trunkline.pps.queries.job_queries import JobInfo
    from trunkline.rpc.call import Call


class JobCalls(ServicerBase):
    """Inspects, lists, follows, stops and deletes jobs."""

    _programs: Programs

    async def InspectJob(self, request: pps_pb2.InspectJobRequest, call: Call) -> pps_pb2.JobInfo:
        name = pps_convert.job_name(request.job)
        if request.wait:
            info = await job_queries.wait_for_end(self._store(call), name, details=request.details)
        else:
            info = await self._store(call).query_soon(job_queries.job, name, details=request.details)
        return pps_convert.job_info(info)

    async def InspectJobSet(
        self, request: pps_pb2.InspectJobSetRequest, call: Call
    ) -> AsyncIterator[pps_pb2.JobInfo]:
        set_id, details = request.job_set.id, request.details
        if request.wait:
            following = job_queries.follow_job_set(self._store(call), set_id, details=details)
            async with aclosing(following) as ended:
                async for info in ended:
                    yield pps_convert.job_info(info)
        else:
            for info in await self._store(call).query_soon(job_queries.job_set, set_id, details=details):
                yield pps_convert.job_info(info)

    async def ListJob(self, request: pps_pb2.ListJobRequest, call: Call) -> AsyncIterator[pps_pb2.JobInfo]:
        filter_ = _job_filter(request)
        if request.jq_filter:
            filter_ = replace(filter_, number=0)  # the number is of those that pass
        pages = (
            map(pps_convert.job_info, page) for page in job_queries.list_jobs(self._store(call), filter_)
        )
        steps = filtered(self._programs, request.jq_filter, pages, request.number)
        async with aclosing(self._ahead(steps)) as lists:
            async for infos in lists:
                for info in infos:
                    yield info

    async def ListJobSet(
        self, request: pps_pb2.ListJobSetRequest, call: Call
    ) -> AsyncIterator[pps_pb2.JobSetInfo]:
        sets = job_queries.list_job_sets(
            self._store(call),
            JobFilter(
                projects=[convert.project_name(project) for project in request.projects],
                marker=_marker(request),
                number=0 if request.jq_filter else request.number,
                reverse=request.reverse,
                details=request.details,
            ),
        )
        steps = filtered(
            self._programs, request.jq_filter, ([_job_set(*jobs)] for jobs in sets), request.number
        )
        async with aclosing(self._ahead(steps)) as lists:
            async for infos in lists:
                for info in infos:
                    yield info

    async def SubscribeJob(
        self, request: pps_pb2.SubscribeJobRequest, call: Call
    ) -> AsyncIterator[pps_pb2.JobInfo]:
        name = pps_convert.pipeline_name(request.pipeline)
        following = job_queries.subscribe(self._store(call), name, details=request.details)
        async with aclosing(following) as infos:
            async for info in infos:
                yield pps_convert.job_info(info)

    async def StopJob(self, request: pps_pb2.StopJobRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.stop_job(request))
        return EMPTY_REPLY

    async def UpdateJobState(self, request: pps_pb2.UpdateJobStateRequest, call: Call) -> Empty:
        await self._store(call).write_soon(changes.update_job_state(request))
        return EMPTY_REPLY

    async def ListTask(
        self, request: taskapi_pb2.ListTaskRequest, call: Call
    ) -> AsyncIterator[taskapi_pb2.TaskInfo]:
        group = request.group
        tasks = await self._store(call).query_soon(worker_queries.tasks, group.namespace, group.group)
        for task in tasks:
            yield pps_convert.task_info(task)

    async def DeleteJob(self, request: pps_pb2.DeleteJobRequest, call: Call) -> Empty:
        await self._store(call).write_soon(jobs.delete, pps_convert.job_name(request.job))
        return EMPTY_REPLY


def _job_set(set_id: str, jobs: Iterable[JobInfo]) -> pps_pb2.JobSetInfo:
    return pps_pb2.JobSetInfo(job_set=pps_pb2.JobSet(id=set_id), jobs=map(pps_convert.job_info, jobs))


def _marker(request: pps_pb2.ListJobRequest | pps_pb2.ListJobSetRequest) -> float | None:
    if not request.HasField("pagination_marker"):
        return None
    return convert.seconds_of_time(request.pagination_marker, "pagination_marker")


def _job_filter(request: pps_pb2.ListJobRequest) -> JobFilter:
    one_pipeline = bool(request.pipeline.name)
    return JobFilter(
        pipeline=pps_convert.pipeline_name(request.pipeline) if one_pipeline else None,
        history=request.history if one_pipeline else -1,
        projects=[convert.project_name(project) for project in request.projects],
        inputs=[convert.commit_name(commit) for commit in request.input_commit],
        marker=_marker(request),
        reverse=request.reverse,
        number=request.number,
        details=request.details,
    )
