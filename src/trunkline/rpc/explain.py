"""Explanations over ``trunkline.explain.v1.Explain``; ``pps.queries`` finds them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from trunkline.model import names
from trunkline.pps.queries import datum_causes, job_story, lineage, recommendations, state_causes
from trunkline.pps.queries.lineage import Cut, FilePlace, LineageStep
from trunkline.rpc import convert
from trunkline.rpc.gen import explain_pb2 as pb
from trunkline.rpc.servicer import ServicerBase, in_batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.call import Call


class ExplainServicer(ServicerBase):
    """Answers ``trunkline.explain.v1.Explain``."""

    def __init__(self, versions: VersionedStore, specs: Specs, executor: Executor) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: runs blocking work.
        """
        super().__init__(versions, executor)
        self._specs = specs

    async def ExplainDatum(self, request: pb.ExplainDatumRequest, call: Call) -> pb.DatumExplanation:
        job = names.JobName(_pipeline(request), request.job_id)
        explanation = await self._blocking(
            datum_causes.explain_datum, self._store(call), self._specs, job, request.datum_id
        )
        row = explanation.listed.row
        return pb.DatumExplanation(
            datum_id=row.id.hex(),
            job_id=job.id,
            state=explanation.listed.state.lower(),
            cause=explanation.cause,
            sentence=explanation.sentence,
            base_job_id=explanation.base_id,
            processed_by_job_id=row.job_id,
            changes=[
                pb.ItemChange(
                    input=change.input,
                    path=change.path,
                    old_hash=change.old_hash,
                    new_hash=change.new_hash,
                    old_size=change.old_size,
                    new_size=change.new_size,
                )
                for change in explanation.changes
            ],
            reason=row.reason,
            cpu_seconds=row.cpu_ns / 1e9,
            peak_memory_bytes=row.peak_memory,
            download_bytes=row.download_bytes,
            upload_bytes=row.upload_bytes,
        )

    async def ExplainJob(self, request: pb.ExplainJobRequest, call: Call) -> pb.JobExplanation:
        name = names.JobName(_pipeline(request), request.job_id)
        story = await self._store(call).query_soon(job_story.job_story, name, self._specs)
        explanation = pb.JobExplanation(
            job_id=story.job.set_id, state=story.job.state.lower(), reason=story.job.reason
        )
        for phase in story.phases:
            end = phase.end if phase.end is not None else story.now
            message = explanation.phases.add(
                kind=phase.kind, seconds=end - phase.begin, sentence=phase.sentence
            )
            convert.set_time(message.begin, phase.begin)
            if phase.end is not None:
                convert.set_time(message.end, phase.end)
        return explanation

    async def ExplainState(self, request: pb.ExplainStateRequest, call: Call) -> pb.StateExplanation:
        state = await self._store(call).query_soon(
            state_causes.explain_state, self._specs, _pipeline(request)
        )
        explanation = pb.StateExplanation(
            project=state.pipeline.project, pipeline=state.pipeline.name, state=state.pipeline.state.lower()
        )
        for cause in state.causes:
            message = explanation.causes.add(
                kind=cause.kind,
                sentence=cause.sentence,
                branch=cause.branch,
                job_id=cause.job_id,
            )
            if cause.at is not None:
                convert.set_time(message.at, cause.at)
        return explanation

    async def ExplainFile(self, request: pb.ExplainFileRequest, call: Call) -> AsyncIterator[pb.LineageStep]:
        steps = lineage.lineage(
            self._store(call),
            self._specs,
            convert.commit_name(request.file.commit),
            request.file.path,
            forward=request.forward,
            number=request.number,
        )
        async with aclosing(self._ahead(in_batches(map(_step, steps)))) as batches:
            async for batch in batches:
                for message in batch:
                    yield message

    async def Recommend(self, request: pb.RecommendRequest, call: Call) -> pb.Recommendation:
        advice = await self._blocking(
            recommendations.recommend, self._store(call), self._specs, _pipeline(request)
        )
        return pb.Recommendation(
            project=advice.pipeline.project,
            pipeline=advice.pipeline.name,
            job_id=advice.job_id,
            sample=advice.sample,
            proposals=[
                pb.Proposal(field=each.field, current=each.current, proposed=each.proposed)
                for each in advice.proposals
            ],
            cpus=pb.Quantiles(**advice.cpus._asdict()),
            memory_bytes=pb.Quantiles(**advice.memory._asdict()),
            download_bytes=pb.Quantiles(**advice.download._asdict()),
            upload_bytes=pb.Quantiles(**advice.upload._asdict()),
        )


def _step(step: LineageStep | Cut) -> pb.LineageStep:
    if isinstance(step, Cut):
        return pb.LineageStep(incomplete=step.reason)
    return pb.LineageStep(
        depth=step.depth,
        project=step.pipeline.project,
        pipeline=step.pipeline.name,
        pipeline_version=step.job.version,
        job_id=step.job.set_id,
        processed_by_job_id=step.row.job_id,
        datum_id=step.row.id.hex(),
        inputs=map(_place, step.inputs),
        outputs=map(_place, step.outputs),
    )


def _place(place: FilePlace) -> pb.LineageFile:
    return pb.LineageFile(
        repo=str(place.repo),
        commit_id=place.commit_id,
        path=place.path,
        input=place.input,
        hash=place.hash,
        size_bytes=place.size,
    )


def _pipeline(
    request: pb.ExplainDatumRequest | pb.ExplainJobRequest | pb.ExplainStateRequest | pb.RecommendRequest,
) -> names.PipelineName:
    return names.PipelineName(request.project or names.DEFAULT_PROJECT, request.pipeline)
