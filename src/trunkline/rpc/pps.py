"""The pipeline API (``pps_v2.API``): pipelines, jobs, datums, logs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline import errors
from trunkline.meta import commits, jobs, pipelines, repos
from trunkline.model import names
from trunkline.model.globs import compile_glob
from trunkline.model.states import DatumState, JobState
from trunkline.pfs import files, refs
from trunkline.pps import datums, listing, logs, plan, rows
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.specs import input_of
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.storage import files as storage_files
from trunkline.storage.segments import TreeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Executor

    import sqlalchemy as sa
    from google.protobuf.empty_pb2 import Empty

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PfsInput
    from trunkline.pfs.versions import Versions, Write
    from trunkline.pps.specs import Specs

T = TypeVar("T")
#: Rows read at a time by lists.
PAGE = 100
#: Messages made in a thread at a time.
BATCH = 256


class PpsServicer:
    """Answers ``pps_v2.API``."""

    def __init__(
        self,
        versions: Versions,
        specs: Specs,
        executor: Executor,
        dismiss: Callable[[list[str]], None],
        image_notice: Callable[[str], str],
    ) -> None:
        """Make the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: where blocking work runs.
            dismiss: ends workers whose pipeline was deleted.
            image_notice: says what an image name means on this fleet when that needs saying.
        """
        self._versions = versions
        self._specs = specs
        self._executor = executor
        self._dismiss = dismiss
        self._image_notice = image_notice

    # --- pipelines --------------------------------------------------------------------------------------

    async def CreatePipeline(self, request: pps_pb2.CreatePipelineRequest, _context: Any) -> Empty:
        made = pipeline_ops.read_request(pps_convert.spec_json(request))
        if not request.dry_run:
            await self._versions.write_soon(
                pipeline_ops.create, made, update=request.update, reprocess=request.reprocess
            )
        return _empty()

    async def CreatePipelineV2(
        self, request: pps_pb2.CreatePipelineV2Request, _context: Any
    ) -> pps_pb2.CreatePipelineV2Response:
        made = pipeline_ops.read_request(pps_convert.user_json(request.create_pipeline_request_json))
        if not request.dry_run:
            await self._versions.write_soon(
                pipeline_ops.create, made, update=request.update, reprocess=request.reprocess
            )
        return pps_pb2.CreatePipelineV2Response(effective_create_pipeline_request_json=made.effective_json)

    async def InspectPipeline(
        self, request: pps_pb2.InspectPipelineRequest, _context: Any
    ) -> pps_pb2.PipelineInfo:
        project, name = pps_convert.pipeline_name(request.pipeline)
        return await self._versions.db.read(self._pipeline_info, project, name, request.details)

    async def ListPipeline(
        self, request: pps_pb2.ListPipelineRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.PipelineInfo]:
        _no_jq(request.jq_filter)
        for info in await self._versions.db.read(self._pipeline_list, request):
            yield info

    async def DeletePipeline(self, request: pps_pb2.DeletePipelineRequest, _context: Any) -> Empty:
        if request.all:
            await self._delete_pipelines(None, force=request.force, keep_repo=request.keep_repo)
            return _empty()
        project, name = pps_convert.pipeline_name(request.pipeline)
        try:
            gone = await self._versions.write_soon(
                pipeline_ops.delete, project, name, force=request.force, keep_repo=request.keep_repo
            )
        except errors.NotFound:
            if request.must_exist:
                raise
            return _empty()
        await self._blocking(self._dismiss, gone)
        return _empty()

    async def DeletePipelines(
        self, request: pps_pb2.DeletePipelinesRequest, _context: Any
    ) -> pps_pb2.DeletePipelinesResponse:
        projects = None if request.all else [convert.project_name(project) for project in request.projects]
        gone = await self._delete_pipelines(projects, force=request.force, keep_repo=request.keep_repo)
        return pps_pb2.DeletePipelinesResponse(
            pipelines=[pps_convert.pipeline_message(row.project, row.name) for row in gone]
        )

    async def StartPipeline(self, request: pps_pb2.StartPipelineRequest, _context: Any) -> Empty:
        await self._versions.write_soon(pipeline_ops.start, *pps_convert.pipeline_name(request.pipeline))
        return _empty()

    async def StopPipeline(self, request: pps_pb2.StopPipelineRequest, _context: Any) -> Empty:
        try:
            await self._versions.write_soon(pipeline_ops.stop, *pps_convert.pipeline_name(request.pipeline))
        except errors.NotFound:
            if request.must_exist:
                raise
        return _empty()

    async def RerunPipeline(self, request: pps_pb2.RerunPipelineRequest, _context: Any) -> Empty:
        project, name = pps_convert.pipeline_name(request.pipeline)
        await self._versions.write_soon(pipeline_ops.rerun, project, name, reprocess=request.reprocess)
        return _empty()

    async def PipelinesSummary(
        self, request: pps_pb2.PipelinesSummaryRequest, _context: Any
    ) -> pps_pb2.PipelinesSummaryResponse:
        wanted = [picker.name or names.DEFAULT_PROJECT for picker in request.projects]
        found = await self._versions.db.read(pipelines.list_all, wanted)
        answer = pps_pb2.PipelinesSummaryResponse()
        for project in wanted or sorted({row.project for row in found}):
            mine = [row for row in found if row.project == project]
            answer.summaries.add(
                project=pfs_pb2.Project(name=project),
                active_pipelines=sum(
                    row.state in ("STARTING", "RUNNING", "STANDBY", "RESTARTING") for row in mine
                ),
                paused_pipelines=sum(row.state == "PAUSED" for row in mine),
                failed_pipelines=sum(row.state == "FAILURE" for row in mine),
                unhealthy_pipelines=sum(row.state == "CRASHING" for row in mine),
            )
        return answer

    async def DeleteAll(self, _request: Empty, _context: Any) -> Empty:
        await self.delete_all()
        return _empty()

    async def delete_all(self) -> None:
        """Delete every pipeline with its repos."""
        await self._delete_pipelines(None, force=True, keep_repo=False)

    # --- jobs -------------------------------------------------------------------------------------------

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
        _no_jq(request.jq_filter)
        for info in await self._versions.db.read(self._job_list, request):
            yield info

    async def ListJobSet(
        self, request: pps_pb2.ListJobSetRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.JobSetInfo]:
        _no_jq(request.jq_filter)
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

        def stop(write: Write) -> None:
            job = self._find_job(write.conn, *name)
            if not job_ops.end_job(write, job, JobState.KILLED, request.reason or "job stopped"):
                raise errors.FailedPrecondition(
                    f"job {name[0]}/{name[1]}@{name[2]} has already finished: {job.state}"
                )

        await self._versions.write_soon(stop)
        return _empty()

    async def DeleteJob(self, request: pps_pb2.DeleteJobRequest, _context: Any) -> Empty:
        name = self._job_name(request.job)

        def delete(write: Write) -> None:
            job = self._find_job(write.conn, *name)
            job_ops.end_job(write, job, JobState.KILLED, "job was deleted")
            job_ops.remove_jobs(write, [job])

        await self._versions.write_soon(delete)
        return _empty()

    # --- datums -----------------------------------------------------------------------------------------

    async def InspectDatum(self, request: pps_pb2.InspectDatumRequest, _context: Any) -> pps_pb2.DatumInfo:
        name = self._job_name(request.datum.job)
        job, message, inputs = await self._versions.db.read(self._datum_context, *name)
        listed = await self._blocking(listing.inspect_datum, self._versions, job, request.datum.id)
        return pps_convert.datum_info(listed, message, inputs)

    async def ListDatum(
        self, request: pps_pb2.ListDatumRequest, _context: Any
    ) -> AsyncIterator[pps_pb2.DatumInfo]:
        if request.job.id:
            name = self._job_name(request.job)
            job, message, inputs = await self._versions.db.read(self._datum_context, *name)
            after = bytes.fromhex(request.pagination_marker) if request.pagination_marker else b""
            reverse_marker = request.reverse and after
            found = listing.list_datums(self._versions, job, b"" if request.reverse else after)
            infos: Iterator[pps_pb2.DatumInfo] = (
                pps_convert.datum_info(listed, message, inputs) for listed in found
            )
            if reverse_marker:
                infos = (info for info in infos if bytes.fromhex(info.datum.id) < after)
        else:
            infos = self._datums_of_input(request.input)
        wanted = set(request.filter.state)
        chosen: Iterator[pps_pb2.DatumInfo] = (info for info in infos if not wanted or info.state in wanted)
        if request.reverse:
            everything = await self._blocking(_take, chosen, -1)
            chosen = iter(everything[::-1])
        left = request.number or -1
        while batch := await self._blocking(_take, chosen, BATCH if left < 0 else min(BATCH, left)):
            for info in batch:
                yield info
            if left > 0:
                left -= len(batch)
                if left == 0:
                    return

    async def RestartDatum(self, request: pps_pb2.RestartDatumRequest, _context: Any) -> Empty:
        name = self._job_name(request.job)
        await self._blocking(self._restart, name, list(request.data_filters))
        return _empty()

    def _restart(self, name: tuple[str, str, str], filters: list[str]) -> None:
        job = self._versions.read(self._find_job, *name)
        for claim in self._versions.read(jobs.owned_claims, job.id):
            if claim.datum_position is None or job.todo is None:
                continue
            at = claim.datum_position
            [(key, value)] = rows.trees(self._versions).rows(TreeId(job.todo), at, at + 1)
            items = rows.decode(key, value).items
            if all(any(_matches(item, one) for item in items) for one in filters):
                self._versions.write(_ask_restart, claim.id)
                return
        raise errors.NotFound(
            f"datum matching filter [{' '.join(filters)}] could not be found for job ID {name[2]}"
        )

    # --- logs -------------------------------------------------------------------------------------------

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
            self._versions.clock.now() - request.since.ToTimedelta().total_seconds()
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
            if all(
                any(_matches(item, wanted) for item in listed.row.items) for wanted in request.data_filters
            )
        }
        return pipeline, query, chosen

    # --- parts ------------------------------------------------------------------------------------------

    def _pipeline_info(
        self, conn: sa.Connection, project: str, name: str, details: bool
    ) -> pps_pb2.PipelineInfo:
        base, steps = names.split_ancestry(name)
        row = pipeline_ops.find(conn, project, base)
        version = pipeline_ops.version_back(conn, row, sum(step.count for step in steps))
        return pps_convert.pipeline_info(conn, row, version, self._notice(conn, row), details=details)

    def _notice(self, conn: sa.Connection, row: PipelineRow) -> str:
        transform = self._specs.of(conn, row.id, row.version).transform
        return self._image_notice(transform.image) if transform is not None else ""

    def _pipeline_list(
        self, conn: sa.Connection, request: pps_pb2.ListPipelineRequest
    ) -> list[pps_pb2.PipelineInfo]:
        if request.pipeline.name:
            found = [pipeline_ops.find(conn, *pps_convert.pipeline_name(request.pipeline))]
        else:
            found = pipelines.list_all(conn, [convert.project_name(project) for project in request.projects])
        if request.commit_set.id:
            in_set = {
                job.pipeline_id
                for job in jobs.page(conn, pipeline_ids=None, set_id=request.commit_set.id, number=100_000)
            }
            found = [row for row in found if row.id in in_set]
        if request.page.page_size:
            start = request.page.page_index * request.page.page_size
            found = found[start : start + request.page.page_size]
        infos: list[pps_pb2.PipelineInfo] = []
        for row in found:
            history = pipelines.versions(conn, row.id)
            wanted = history if request.history < 0 else history[: request.history + 1]
            notice = self._notice(conn, row)
            infos.extend(
                pps_convert.pipeline_info(conn, row, version, notice, details=request.details)
                for version in wanted
            )
        return infos

    async def _delete_pipelines(
        self, projects: list[str] | None, *, force: bool, keep_repo: bool
    ) -> list[PipelineRow]:
        """Delete pipelines, the most downstream first, so that none is in the way of another."""
        found = await self._versions.db.read(pipelines.list_all, projects or [])
        for row in found:
            gone = await self._versions.write_soon(
                pipeline_ops.delete, row.project, row.name, force=force, keep_repo=keep_repo
            )
            await self._blocking(self._dismiss, gone)
        return found

    def _job_name(self, message: pps_pb2.Job) -> tuple[str, str, str]:
        if not message.id:
            raise errors.InvalidArgument("the request names no job; set the job's id")
        return *pps_convert.pipeline_name(message.pipeline), message.id

    def _find_job(self, conn: sa.Connection, project: str, name: str, set_id: str) -> JobRow:
        pipeline = pipeline_ops.find(conn, project, name)
        job = jobs.find(conn, pipeline.id, set_id)
        if job is None:
            raise errors.NotFound(f"job {project}/{name}@{set_id} not found")
        return job

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
        inputs = [refs.commit(conn, convert.commit_name(one)) for one in request.input_commit]
        infos: list[pps_pb2.JobInfo] = []
        below: int | None = None
        marker = (
            request.pagination_marker.ToNanoseconds() / 1e9 if request.HasField("pagination_marker") else None
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

    def _datum_context(
        self, conn: sa.Connection, project: str, name: str, set_id: str
    ) -> tuple[JobRow, pps_pb2.Job, dict[str, pfs_pb2.Commit]]:
        """Return a job, its name on the wire, and its input commits by input name."""
        job = self._find_job(conn, project, name, set_id)
        pipeline = pipeline_ops.find(conn, project, name)
        spec = self._specs.of(conn, pipeline.id, job.version)
        inputs = plan.inputs_of(conn, spec, job)
        told: dict[str, pfs_pb2.Commit] = {}
        for key, leaf in datums.leaves(input_of(spec)):
            row = inputs.commits[key]
            if row is not None:
                told[leaf.name] = convert.commit_message(repos.repo_by_id(conn, row.repo_id), row.set_id)
        return job, pps_convert.job_message(pipeline, set_id), told

    def _datums_of_input(self, message: pps_pb2.Input) -> Iterator[pps_pb2.DatumInfo]:
        """Yield the datums that an input would have now, from the heads of its branches."""
        wanted = pps_pb2.CreatePipelineRequest(input=message)
        wanted.pipeline.name = "preview"
        wanted.transform.cmd.append("true")
        spec = pipeline_ops.read_request(pps_convert.spec_json(wanted)).spec
        snapshots: dict[datums.LeafKey, files.Snapshot] = {}
        heads: dict[str, pfs_pb2.Commit] = {}
        for key, leaf in datums.leaves(input_of(spec)):
            name = refs.CommitName(
                names.RepoName(leaf.project, leaf.repo, leaf.repo_type), branch=leaf.branch
            )
            found = files.snapshot(self._versions, name)
            snapshots[key] = found
            assert found.repo is not None
            assert found.row is not None
            heads[leaf.name] = convert.commit_message(found.repo, found.row.set_id)

        def items(leaf: PfsInput) -> Iterator[datums.ItemRef]:
            tree = snapshots[datums.leaf_key(leaf)].tree
            for entry in storage_files.glob(self._versions.trees, tree, compile_glob(leaf.glob)):
                yield plan.item(leaf, entry)

        for datum in sorted(
            datums.enumerate_datums(input_of(spec), items, spec.salt), key=lambda one: one.id
        ):
            yield pps_convert.datum_info(
                listing.ListedDatum(plan.row(datum), DatumState.UNKNOWN), None, heads
            )

    async def _blocking(self, fn: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, fn, *args)


def _ask_restart(write: Write, claim_id: str) -> None:
    jobs.ask_restart(write.conn, claim_id)


def _take(found: Iterator[T], number: int) -> list[T]:
    """Return the next ``number`` of an iterator; all of it when negative."""
    batch: list[T] = []
    for one in found:
        batch.append(one)
        if len(batch) == number:
            break
    return batch


def _matches(item: rows.RowItem, wanted: str) -> bool:
    """Tell whether a filter (a path, or a hash in hex) means an item."""
    return wanted.rstrip("/") == item.path.rstrip("/") or wanted == item.hash.hex()


def _no_jq(expression: str) -> None:
    if expression:
        raise errors.Unimplemented(
            f"jq filters are not built yet (got {json.dumps(expression)}); list without one and filter the answer with jq"
        )


def _empty() -> Empty:
    from google.protobuf.empty_pb2 import Empty

    return Empty()
