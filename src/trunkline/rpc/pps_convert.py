"""Between messages of ``pps_v2`` and the values of the layers below.

A specification is JSON all the way: what comes as a message is turned into JSON first, so that V1 and V2 of
CreatePipeline take the same road, and what goes out is read from the stored JSON by protobuf itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import json_format

from trunkline import errors
from trunkline.model import limits, names, spec_text
from trunkline.model.names import JobName, PipelineName
from trunkline.model.states import DatumState, JobState, PipelineState
from trunkline.rpc import convert
from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from trunkline.pps.datum_queries import DatumContext
    from trunkline.pps.job_queries import JobInfo
    from trunkline.pps.listing import ListedDatum
    from trunkline.pps.logs import Line
    from trunkline.pps.pipeline_queries import PipelineInfo, PipelineRow

#: Fields of CreatePipelineRequest that steer the request and are no part of the specification.
_REQUEST_FLAGS = ("update", "reprocess", "dry_run", "spec_commit")
#: Fields of PipelineInfo.Details that stand in the specification under the same name.
_SPEC_FIELDS = (
    "transform", "tf_job", "parallelism_spec", "egress", "output_branch", "resource_requests", "resource_limits",
    "sidecar_resource_limits", "sidecar_resource_requests", "input", "description", "service", "spout",
    "datum_set_spec", "datum_timeout", "job_timeout", "datum_tries", "scheduling_spec", "pod_spec", "pod_patch",
    "s3_out", "metadata", "reprocess_spec", "autoscaling", "tolerations", "determined", "maximum_expected_uptime",
)  # fmt: skip
#: Likewise for JobInfo.Details.
_JOB_SPEC_FIELDS = (
    "transform", "parallelism_spec", "egress", "service", "spout", "resource_requests", "resource_limits",
    "sidecar_resource_limits", "sidecar_resource_requests", "input", "datum_set_spec", "datum_timeout",
    "job_timeout", "datum_tries", "scheduling_spec", "pod_spec", "pod_patch",
)  # fmt: skip


def pipeline_name(message: pps_pb2.Pipeline) -> PipelineName:
    """Return the pipeline that a message names; the name may carry ancestry.

    Raises:
        InvalidArgument: it names none.
    """
    if not message.name:
        raise errors.InvalidArgument("the request names no pipeline; set the pipeline's name")
    return PipelineName(message.project.name or names.DEFAULT_PROJECT, message.name)


def job_name(message: pps_pb2.Job) -> JobName:
    """Return the job that a message names.

    Raises:
        InvalidArgument: it names none.
    """
    if not message.id:
        raise errors.InvalidArgument("must specify a job: set the job's pipeline and id")
    return JobName(pipeline_name(message.pipeline), message.id)


def refuse_jq(expression: str) -> None:
    """Refuse a jq filter.

    Raises:
        Unimplemented: there is one.
    """
    if expression:
        raise errors.Unimplemented(
            f"jq filters are not built yet (got {json.dumps(expression)}); list without one and filter the answer"
        )


def spec_json(request: pps_pb2.CreatePipelineRequest) -> dict[str, Any]:
    """Return a specification that came as a message as JSON."""
    limits.check_count(request.ByteSize(), limits.SPEC, "the pipeline spec", "shorten it")
    try:
        found: dict[str, Any] = json_format.MessageToDict(request, preserving_proto_field_name=True)
    except (ValueError, json_format.SerializeToJsonError) as error:  # a time or a duration out of range
        raise errors.InvalidArgument(
            f"the pipeline spec cannot be read: {error}; correct the value"
        ) from error
    for flag in _REQUEST_FLAGS:
        found.pop(flag, None)
    return found


def spec_message(effective_json: str) -> pps_pb2.CreatePipelineRequest:
    """Return a stored specification as a message."""
    return json_format.Parse(effective_json, pps_pb2.CreatePipelineRequest(), ignore_unknown_fields=True)


def _copy(source: Any, target: Any, fields: tuple[str, ...]) -> None:
    """Copy the fields that are set from one message to another that has them under the same names."""
    for descriptor, value in source.ListFields():
        if descriptor.name not in fields:
            continue
        if descriptor.is_repeated:
            getattr(target, descriptor.name).MergeFrom(value)
        elif descriptor.message_type is not None:
            getattr(target, descriptor.name).CopyFrom(value)
        else:
            setattr(target, descriptor.name, value)


def pipeline_message(project: str, name: str) -> pps_pb2.Pipeline:
    """Return a pipeline's name."""
    return pps_pb2.Pipeline(project=pfs_pb2.Project(name=project), name=name)


def job_message(pipeline: PipelineRow, set_id: str) -> pps_pb2.Job:
    """Return a job's name."""
    return pps_pb2.Job(pipeline=pipeline_message(pipeline.project, pipeline.name), id=set_id)


def job_state(state: str) -> pps_pb2.JobState:
    """Return a job state on the wire."""
    return cast("pps_pb2.JobState", pps_pb2.JobState.Value(f"JOB_{JobState(state)}"))


def datum_state_of(number: int) -> DatumState:
    """Return a datum state that a request names.

    Raises:
        InvalidArgument: there is no such state.
    """
    return DatumState(convert.known_value(pps_pb2.DatumState.items(), number, "datum state"))


def datum_state(state: DatumState) -> pps_pb2.DatumState:
    """Return a datum state on the wire."""
    return cast("pps_pb2.DatumState", pps_pb2.DatumState.Value(str(state)))


def pipeline_info(shown: PipelineInfo, notice: str) -> pps_pb2.PipelineInfo:
    """Return what InspectPipeline replies about a pipeline in one of its versions.

    Args:
        shown: the pipeline.
        notice: what users should know about its fields on this fleet.
    """
    row, version = shown.row, shown.version
    info = pps_pb2.PipelineInfo(
        pipeline=pipeline_message(row.project, row.name),
        version=version.version,
        stopped=row.stopped,
        state=f"PIPELINE_{PipelineState(row.state)}",
        reason=row.reason,
        type=pps_pb2.PipelineInfo.PIPELINE_TYPE_TRANSFORM,
        user_spec_json=version.user_json,
        effective_spec_json=version.effective_json,
    )
    info.metadata.update(row.metadata)
    info.spec_commit.CopyFrom(
        convert.commit_message(names.RepoName(row.project, row.name, names.SPEC), version.spec_set_id)
    )
    newest = shown.newest_job
    if newest is not None:
        info.last_job_state = job_state(newest.state)
    spec = spec_message(version.effective_json)
    info.parallelism = spec.parallelism_spec.constant or 1
    if shown.details is not None:
        _copy(spec, info.details, _SPEC_FIELDS)
        details = info.details
        details.salt = version.salt
        details.reason = notice
        convert.set_time(details.created_at, row.created_at)
        convert.set_time(details.updated_at, row.updated_at)
        details.workers_requested = row.target
        details.workers_available = shown.details.workers_available
        if shown.details.workers_started is not None:
            convert.set_time(details.workers_started_at, shown.details.workers_started)
        details.unclaimed_tasks = shown.details.unclaimed
        if newest is not None and newest.state in (JobState.FAILURE, JobState.UNRUNNABLE):
            details.recent_error = newest.reason
    return info


def job_info(shown: JobInfo) -> pps_pb2.JobInfo:
    """Return what InspectJob replies about a job."""
    job = shown.row
    info = pps_pb2.JobInfo(
        job=job_message(shown.pipeline, job.set_id),
        pipeline_version=job.version,
        output_commit=convert.commit_message(shown.output_repo, job.set_id),
        restart=job.restart,
        data_processed=job.processed,
        data_skipped=job.skipped,
        data_total=job.total,
        data_failed=job.failed,
        data_recovered=job.recovered,
        state=job_state(job.state),
        reason=shown.reason,
    )
    # With its branch, which other replies leave out and clients expect in this one.
    info.output_commit.branch.CopyFrom(convert.branch_message(shown.output_repo, shown.output_branch))
    _stats(info.stats, job)
    convert.set_time(info.created, job.created)
    if job.started is not None:
        convert.set_time(info.started, job.started)
    if job.finished is not None:
        convert.set_time(info.finished, job.finished)
    if shown.version is not None:
        _copy(spec_message(shown.version.effective_json), info.details, _JOB_SPEC_FIELDS)
        info.details.salt = shown.version.salt
        for claim in shown.claims:
            status = info.details.worker_status.add(worker_id=claim.worker_id or "", job_id=job.set_id)
            if claim.datum_started is not None:
                convert.set_time(status.datum_status.started, claim.datum_started)
    return info


def _stats(message: pps_pb2.ProcessStats, given: Any) -> None:
    """Fill in times and bytes from a job or datum row."""
    message.download_time.FromNanoseconds(given.download_ns)
    message.process_time.FromNanoseconds(given.process_ns)
    message.upload_time.FromNanoseconds(given.upload_ns)
    message.download_bytes = given.download_bytes
    message.upload_bytes = given.upload_bytes


class DatumInfos:
    """Makes the messages about the datums of one list; holds what they all repeat."""

    def __init__(self, context: DatumContext) -> None:
        self._job: pps_pb2.Job | None = None
        if context.job is not None and context.pipeline is not None:
            self._job = job_message(context.pipeline, context.job.set_id)
        self._inputs = {
            name: convert.commit_message(commit.repo, commit.id) for name, commit in context.inputs.items()
        }

    def info(self, listed: ListedDatum) -> pps_pb2.DatumInfo:
        """Return what ListDatum replies about a datum."""
        row = listed.row
        info = pps_pb2.DatumInfo(datum=pps_pb2.Datum(id=row.id.hex()), state=datum_state(listed.state))
        if self._job is not None:
            info.datum.job.CopyFrom(self._job)
            if row.job_id:
                info.datum.job.id = row.job_id
        _stats(info.stats, row)
        for item in row.items:
            is_dir = item.path.endswith("/")
            data = info.data.add(
                file_type=pfs_pb2.DIR if is_dir else pfs_pb2.FILE, size_bytes=item.size, hash=item.hash
            )
            data.file.path = item.path
            if item.input in self._inputs:
                data.file.commit.CopyFrom(self._inputs[item.input])
        return info


def log_message(pipeline: PipelineRow, line: Line) -> pps_pb2.LogMessage:
    """Return a log line on the wire."""
    message = pps_pb2.LogMessage(
        project_name=pipeline.project,
        pipeline_name=pipeline.name,
        job_id=line.job,
        worker_id=line.worker,
        datum_id=line.datum,
        user=line.user,
        message=line.message,
    )
    convert.set_time(message.ts, line.ts)
    return message


def user_json(text: str) -> dict[str, Any]:
    """Read the JSON of CreatePipelineV2.

    Raises:
        InvalidArgument: it is no JSON object; says where.
    """
    found = spec_text.parse_request(text)
    for flag in _REQUEST_FLAGS:
        found.pop(flag, None)
    return found
