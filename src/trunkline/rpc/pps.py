"""The pipeline API (``pps_v2.API``): the methods for pipelines, and the combined servicer.

The other methods are in ``pps_jobs``, ``pps_datums``, ``pps_logs``, ``pps_secrets``, ``pps_defaults`` and
``load_tests``.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import names, spec_text
from trunkline.pfs.queries import Page
from trunkline.pps import crons, pipeline_removal, pipelines, spec_defaults
from trunkline.pps.queries import alerts, pipeline_queries
from trunkline.pps.queries.pipeline_queries import PipelineFilter
from trunkline.rpc import convert, pps_convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.rpc.jq_filters import filtered, without_first
from trunkline.rpc.load_tests import PipelineLoadCalls
from trunkline.rpc.pps_datums import DatumCalls
from trunkline.rpc.pps_defaults import DefaultsCalls
from trunkline.rpc.pps_jobs import JobCalls
from trunkline.rpc.pps_logs import LogCalls
from trunkline.rpc.pps_secrets import SecretCalls
from trunkline.rpc.servicer import EMPTY_REPLY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from concurrent.futures import Executor

    from google.protobuf.empty_pb2 import Empty

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Programs
    from trunkline.pps.admission import Admission
    from trunkline.pps.pipelines import Request
    from trunkline.pps.queries.log_search import Records
    from trunkline.pps.queries.pipeline_queries import PipelineInfo
    from trunkline.pps.secrets import SecretStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call


class PpsServicer(JobCalls, DatumCalls, LogCalls, SecretCalls, DefaultsCalls, PipelineLoadCalls):
    """Answers ``pps_v2.API``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        executor: Executor,
        admission: Admission,
        secrets: SecretStore,
        programs: Programs,
        records: Records,
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: runs blocking work.
            admission: checks specifications.
            secrets: the secrets for commands.
            programs: runs jq filters and templates.
            records: the newest log records of the server.
        """
        super().__init__(versions, executor)
        self._specs = specs
        self._admission = admission
        self._secrets = secrets
        self._programs = programs
        self._records = records

    async def CreatePipeline(self, request: pps_pb2.CreatePipelineRequest, call: Call) -> Empty:
        await self._create(call, lambda: pps_convert.spec_json(request), request)
        return EMPTY_REPLY

    async def CreatePipelineV2(
        self, request: pps_pb2.CreatePipelineV2Request, call: Call
    ) -> pps_pb2.CreatePipelineV2Response:
        text = request.create_pipeline_request_json
        effective_json = await self._create(call, lambda: pps_convert.user_json(text), request)
        return pps_pb2.CreatePipelineV2Response(effective_create_pipeline_request_json=effective_json)

    async def _create(
        self,
        call: Call,
        read: Callable[[], Mapping[str, object]],
        request: pps_pb2.CreatePipelineRequest | pps_pb2.CreatePipelineV2Request,
    ) -> str:
        """Create a pipeline from the result of ``read``, which may block; return the complete specification."""
        admitted = await self._blocking(self._read, self._store(call), read)
        if not request.dry_run:
            await self._store(call).write_soon(
                pipelines.create, admitted, update=request.update, reprocess=request.reprocess
            )
        return admitted.effective_json

    def _read(self, store: VersionedStore, read: Callable[[], Mapping[str, object]]) -> Request:
        user = read()
        return self._admission.admit(user, store.read(spec_defaults.for_spec, user))

    async def InspectPipeline(
        self, request: pps_pb2.InspectPipelineRequest, call: Call
    ) -> pps_pb2.PipelineInfo:
        name = pps_convert.pipeline_name(request.pipeline)
        info = await self._store(call).query_soon(
            pipeline_queries.pipeline, self._specs, name, details=request.details
        )
        return self._pipeline_info(info)

    async def ListPipeline(
        self, request: pps_pb2.ListPipelineRequest, call: Call
    ) -> AsyncIterator[pps_pb2.PipelineInfo]:
        single = bool(request.pipeline.name)
        page = Page(request.page.page_size, request.page.page_index)
        filter_ = PipelineFilter(
            pipeline=pps_convert.pipeline_name(request.pipeline) if single else None,
            projects=[convert.project_name(project) for project in request.projects],
            job_id=request.commit_set.id,
            history=request.history,
            page=Page() if request.jq_filter else page,
            details=True,  # as in Pachyderm, whatever the request sets: pachctl depends on it
        )
        pages = (
            map(self._pipeline_info, page)
            for page in pipeline_queries.list_pipelines(self._store(call), self._specs, filter_)
        )
        first, stop = page.bounds
        steps = filtered(self._programs, request.jq_filter, pages, stop or 0)
        if request.jq_filter:  # pages of what the filter lets through
            steps = without_first(steps, first)
        async with aclosing(self._ahead(steps)) as lists:
            async for infos in lists:
                for info in infos:
                    yield info

    def _pipeline_info(self, info: PipelineInfo) -> pps_pb2.PipelineInfo:
        return pps_convert.pipeline_info(info, self._admission.notice(info.spec))

    async def DeletePipeline(self, request: pps_pb2.DeletePipelineRequest, call: Call) -> Empty:
        force, keep_repo = request.force, request.keep_repo
        if request.all:
            await self._blocking(
                pipeline_removal.delete_all, self._store(call), [], force=force, keep_repo=keep_repo
            )
            return EMPTY_REPLY
        name = pps_convert.pipeline_name(request.pipeline)
        try:
            await self._blocking(
                pipeline_removal.delete_in_slices,
                self._store(call),
                name.project,
                name.name,
                force=force,
                keep_repo=keep_repo,
            )
        except errors.NotFound:
            if request.must_exist:
                raise
        return EMPTY_REPLY

    async def DeletePipelines(
        self, request: pps_pb2.DeletePipelinesRequest, call: Call
    ) -> pps_pb2.DeletePipelinesResponse:
        projects = [] if request.all else [convert.project_name(project) for project in request.projects]
        deleted = await self._blocking(
            pipeline_removal.delete_all,
            self._store(call),
            projects,
            force=request.force,
            keep_repo=request.keep_repo,
        )
        return pps_pb2.DeletePipelinesResponse(
            pipelines=[pps_convert.pipeline_message(row.project, row.name) for row in deleted]
        )

    async def StartPipeline(self, request: pps_pb2.StartPipelineRequest, call: Call) -> Empty:
        name = pps_convert.pipeline_name(request.pipeline)
        await self._store(call).write_soon(pipelines.start, name.project, name.name)
        return EMPTY_REPLY

    async def StopPipeline(self, request: pps_pb2.StopPipelineRequest, call: Call) -> Empty:
        name = pps_convert.pipeline_name(request.pipeline)
        try:
            await self._store(call).write_soon(pipelines.stop, name.project, name.name)
        except errors.NotFound:
            if request.must_exist:
                raise
        return EMPTY_REPLY

    async def RerunPipeline(self, request: pps_pb2.RerunPipelineRequest, call: Call) -> Empty:
        name = pps_convert.pipeline_name(request.pipeline)
        await self._store(call).write_soon(
            pipelines.rerun, name.project, name.name, reprocess=request.reprocess
        )
        return EMPTY_REPLY

    async def RunCron(self, request: pps_pb2.RunCronRequest, call: Call) -> Empty:
        name = pps_convert.pipeline_name(request.pipeline)
        await self._blocking(crons.run_now, self._store(call), self._specs, name.project, name.name)
        return EMPTY_REPLY

    async def CheckStatus(
        self, request: pps_pb2.CheckStatusRequest, call: Call
    ) -> AsyncIterator[pps_pb2.CheckStatusResponse]:
        project = convert.project_name(request.project) if request.HasField("project") else None
        for row, texts in await self._store(call).query_soon(alerts.of_pipelines, self._specs, project):
            pipeline = pps_convert.pipeline_message(row.project, row.name)
            yield pps_pb2.CheckStatusResponse(project=pipeline.project, pipeline=pipeline, alerts=texts)

    async def RenderTemplate(
        self, request: pps_pb2.RenderTemplateRequest, call: Call
    ) -> pps_pb2.RenderTemplateResponse:
        del call  # a template sees its arguments only
        return await self._blocking(self._rendered, request)

    def _rendered(self, request: pps_pb2.RenderTemplateRequest) -> pps_pb2.RenderTemplateResponse:
        text = self._programs.render(request.template, request.args)
        specs = spec_text.parse_specs(text, "the rendered template")
        return pps_pb2.RenderTemplateResponse(json=text, specs=map(pps_convert.user_message, specs))

    async def PipelinesSummary(
        self, request: pps_pb2.PipelinesSummaryRequest, call: Call
    ) -> pps_pb2.PipelinesSummaryResponse:
        projects = [picker.name or names.DEFAULT_PROJECT for picker in request.projects]
        summaries = await self._store(call).query_soon(pipeline_queries.summaries, projects)
        return pps_pb2.PipelinesSummaryResponse(
            summaries=[
                pps_pb2.PipelinesSummary(
                    project=pfs_pb2.Project(name=summary.project),
                    active_pipelines=summary.active,
                    paused_pipelines=summary.paused,
                    failed_pipelines=summary.failed,
                    unhealthy_pipelines=summary.unhealthy,
                )
                for summary in summaries
            ]
        )

    async def DeleteAll(self, _request: Empty, call: Call) -> Empty:
        await self._blocking(pipeline_removal.delete_all, self._store(call), [], force=True, keep_repo=False)
        return EMPTY_REPLY
