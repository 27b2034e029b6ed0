"""The pipeline API (``pps_v2.API``): here pipelines, and the parts put together.

The parts: ``pps_jobs``, ``pps_datums``, ``pps_logs``, ``pps_secrets``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import jobs, pipelines
from trunkline.model import names
from trunkline.pps import pipelines as pipeline_ops
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.rpc.pps_base import refuse_jq
from trunkline.rpc.pps_datums import DatumCalls
from trunkline.rpc.pps_jobs import JobCalls
from trunkline.rpc.pps_logs import LogCalls
from trunkline.rpc.pps_secrets import SecretCalls
from trunkline.rpc.servicer import EMPTY_REPLY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from concurrent.futures import Executor

    import sqlalchemy as sa
    from google.protobuf.empty_pb2 import Empty

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Secrets
    from trunkline.pps.spec_cache import Specs


class PpsServicer(JobCalls, DatumCalls, LogCalls, SecretCalls):
    """Answers ``pps_v2.API``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        executor: Executor,
        dismiss: Callable[[list[str]], None],
        image_notice: Callable[[str], str],
        secrets: Secrets | None,
        check: Callable[[PipelineSpec], None],
    ) -> None:
        """Make the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: where blocking work runs.
            dismiss: ends workers whose pipeline was deleted.
            image_notice: says what an image name means on this fleet when that needs saying.
            secrets: where secrets are kept; None when this fleet has no place for them.
            check: refuses a specification whose workers the fleet can never run.
        """
        super().__init__(versions, specs, executor, secrets)
        self._dismiss = dismiss
        self._image_notice = image_notice
        self._check_workers = check

    async def CreatePipeline(self, request: pps_pb2.CreatePipelineRequest, _context: Any) -> Empty:
        made = await self._blocking(lambda: pipeline_ops.read_request(pps_convert.spec_json(request)))
        await self._check(made.spec)
        if not request.dry_run:
            await self._versions.write_soon(
                pipeline_ops.create, made, update=request.update, reprocess=request.reprocess
            )
        return EMPTY_REPLY

    async def CreatePipelineV2(
        self, request: pps_pb2.CreatePipelineV2Request, _context: Any
    ) -> pps_pb2.CreatePipelineV2Response:
        text = request.create_pipeline_request_json
        made = await self._blocking(lambda: pipeline_ops.read_request(pps_convert.user_json(text)))
        await self._check(made.spec)
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
        refuse_jq(request.jq_filter)
        for info in await self._versions.db.read(self._pipeline_list, request):
            yield info

    async def DeletePipeline(self, request: pps_pb2.DeletePipelineRequest, _context: Any) -> Empty:
        if request.all:
            await self._delete_pipelines(None, force=request.force, keep_repo=request.keep_repo)
            return EMPTY_REPLY
        project, name = pps_convert.pipeline_name(request.pipeline)
        try:
            gone = await self._versions.write_soon(
                pipeline_ops.delete, project, name, force=request.force, keep_repo=request.keep_repo
            )
        except errors.NotFound:
            if request.must_exist:
                raise
            return EMPTY_REPLY
        await self._blocking(self._dismiss, gone)
        return EMPTY_REPLY

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
        return EMPTY_REPLY

    async def StopPipeline(self, request: pps_pb2.StopPipelineRequest, _context: Any) -> Empty:
        try:
            await self._versions.write_soon(pipeline_ops.stop, *pps_convert.pipeline_name(request.pipeline))
        except errors.NotFound:
            if request.must_exist:
                raise
        return EMPTY_REPLY

    async def RerunPipeline(self, request: pps_pb2.RerunPipelineRequest, _context: Any) -> Empty:
        project, name = pps_convert.pipeline_name(request.pipeline)
        await self._versions.write_soon(pipeline_ops.rerun, project, name, reprocess=request.reprocess)
        return EMPTY_REPLY

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
        return EMPTY_REPLY

    async def delete_all(self) -> None:
        """Delete every pipeline with its repos."""
        await self._delete_pipelines(None, force=True, keep_repo=False)

    async def _check(self, spec: PipelineSpec) -> None:
        """Refuse a specification that this server's fleet cannot serve."""
        await self._blocking(self._check_workers, spec)
        if spec.transform is not None and spec.transform.secrets:
            await self._blocking(self.check_secrets, spec)

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
