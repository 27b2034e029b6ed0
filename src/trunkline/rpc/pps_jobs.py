"""Jobs over the wire: inspected, listed, followed, stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import commits, jobs, pipelines
from trunkline.model import limits
from trunkline.model.states import JobState
from trunkline.pfs import resolve
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pps_pb2
from trunkline.rpc.pps_base import PpsPart, refuse_jq
from trunkline.rpc.servicer import EMPTY_REPLY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import sqlalchemy as sa
    from google.protobuf.empty_pb2 import Empty

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.writes import WriteTransaction

#: Rows read at a time by lists.
PAGE = 100


class JobCalls(PpsPart):
    """The calls about jobs."""

    async def InspectJob(self, request: pps_pb2.InspectJobRequest, _context: Any) -> pps_pb2.JobInfo:
        name = self._job_name(request.job)
        while True:
            stamp = self._versions.wakeups.stamp("jobs")
            job, info = await self._versions.db.read(self._job_info, *name, request.details)
            if not request.wait or job.state in jobs.TERMINAL:
                return info
            await self._versions.wakeups.changed(stamp, f"jobs:{job.pipeline_id}", "jobs")

    async def InspectJobSet(
        self, request: pps_pb2.InspectJobSetRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.JobInfo]:
        set_id = request.job_set.id

        def look(conn: sa.Connection) -> list[tuple[JobRow, pps_pb2.JobInfo]]:
            found = jobs.page(conn, pipeline_ids=None, set_id=set_id, number=100_000)
            return [
                (job, pps_convert.job_info(conn, job, details=request.details)) for job in reversed(found)
            ]

        told: set[int] = set()
        while True:
            stamp = self._versions.wakeups.stamp("jobs")
            found = await self._versions.db.read(look)
            if not found:
                raise errors.NotFound(f"no jobs found for jobset {set_id}")
            for job, info in found:
                if job.id not in told and (not request.wait or job.state in jobs.TERMINAL):
                    told.add(job.id)
                    yield info
            if len(told) == len(found):
                return
            await self._versions.wakeups.changed(stamp, "jobs")

    async def ListJob(self, request: pps_pb2.ListJobRequest, _context: Any) -> AsyncIterator[pps_pb2.JobInfo]:
        refuse_jq(request.jq_filter)
        for info in await self._versions.db.read(self._job_list, request):
            yield info

    async def ListJobSet(
        self, request: pps_pb2.ListJobSetRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.JobSetInfo]:
        refuse_jq(request.jq_filter)
        listed = pps_pb2.ListJobRequest(projects=request.projects, details=request.details, history=-1)
        sets: dict[str, pps_pb2.JobSetInfo] = {}
        for info in await self._versions.db.read(self._job_list, listed):
            if info.job.id not in sets:
                if request.number and len(sets) == request.number:
                    break
                sets[info.job.id] = pps_pb2.JobSetInfo(job_set=pps_pb2.JobSet(id=info.job.id))
            sets[info.job.id].jobs.append(info)
        for one in reversed(sets.values()) if request.reverse else sets.values():
            yield one

    async def SubscribeJob(
        self, request: pps_pb2.SubscribeJobRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.JobInfo]:
        """Yield each state that a live or new job of the pipeline is seen in."""
        pipeline = await self._versions.db.read(
            pipeline_ops.find, *pps_convert.pipeline_name(request.pipeline)
        )

        def look(conn: sa.Connection, known: dict[int, str]) -> list[tuple[JobRow, pps_pb2.JobInfo]]:
            pipeline_ops.find(conn, pipeline.project, pipeline.name)
            found = {job.id: job for job in jobs.live(conn, pipeline.id)}
            for number, state in known.items():
                ended = (
                    jobs.by_id(conn, number) if number not in found and state not in jobs.TERMINAL else None
                )
                if ended is not None:
                    found[number] = ended
            return [
                (job, pps_convert.job_info(conn, job, details=request.details))
                for job in found.values()
                if known.get(job.id) != job.state
            ]

        known: dict[int, str] = {}
        topic = f"jobs:{pipeline.id}"
        while True:
            stamp = self._versions.wakeups.stamp(topic)
            for job, info in await self._versions.db.read(look, known):
                known[job.id] = job.state
                yield info
            known = {number: state for number, state in known.items() if state not in jobs.TERMINAL}
            await self._versions.wakeups.changed(stamp, topic)

    async def StopJob(self, request: pps_pb2.StopJobRequest, _context: Any) -> Empty:
        name = self._job_name(request.job)
        limits.check_text(request.reason, limits.REASON, "the reason")

        def stop(write: WriteTransaction) -> None:
            job = self._find_job(write.conn, *name)
            if not job_ops.end_job(write, job, JobState.KILLED, request.reason or "job stopped"):
                raise errors.FailedPrecondition(
                    f"job {name[0]}/{name[1]}@{name[2]} has already finished: {job.state}"
                )

        await self._versions.write_soon(stop)
        return EMPTY_REPLY

    async def DeleteJob(self, request: pps_pb2.DeleteJobRequest, _context: Any) -> Empty:
        name = self._job_name(request.job)

        def delete(write: WriteTransaction) -> None:
            job = self._find_job(write.conn, *name)
            job_ops.end_job(write, job, JobState.KILLED, "job was deleted")
            job_ops.remove_jobs(write, [job])

        await self._versions.write_soon(delete)
        return EMPTY_REPLY

    def _job_info(
        self, conn: sa.Connection, project: str, name: str, set_id: str, details: bool
    ) -> tuple[JobRow, pps_pb2.JobInfo]:
        job = self._find_job(conn, project, name, set_id)
        return job, pps_convert.job_info(conn, job, details=details)

    def _job_list(self, conn: sa.Connection, request: pps_pb2.ListJobRequest) -> list[pps_pb2.JobInfo]:
        """Return the jobs that a request asks for, newest first unless reversed."""
        chosen: list[int] | None = None
        version_floor: dict[int, int] = {}
        if request.pipeline.name:
            row = pipeline_ops.find(conn, *pps_convert.pipeline_name(request.pipeline))
            chosen = [row.id]
            if request.history >= 0:
                version_floor[row.id] = row.version - request.history
        elif request.projects:
            found = pipelines.list_all(conn, [convert.project_name(project) for project in request.projects])
            chosen = [row.id for row in found]
        inputs = [resolve.commit(conn, convert.commit_name(one)) for one in request.input_commit]
        infos: list[pps_pb2.JobInfo] = []
        below: int | None = None
        marker = (
            convert.seconds_of_time(request.pagination_marker, "pagination_marker")
            if request.HasField("pagination_marker")
            else None
        )
        while page := jobs.page(conn, pipeline_ids=chosen, below=below, number=PAGE):
            below = page[-1].id
            for job in page:
                if job.version < version_floor.get(job.pipeline_id, 0):
                    continue
                if marker is not None and not (
                    job.created > marker if request.reverse else job.created < marker
                ):
                    continue
                if inputs:
                    came_from = {row.id for row in commits.upstream(conn, job.commit_id)}
                    if not all(row.id in came_from for row in inputs):
                        continue
                infos.append(pps_convert.job_info(conn, job, details=request.details))
                if request.number and not request.reverse and len(infos) == request.number:
                    return infos
        if request.reverse:
            infos.reverse()
            return infos[: request.number] if request.number else infos
        return infos
