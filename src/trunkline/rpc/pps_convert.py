"""Converts messages of ``pps_v2`` to and from the values of the layers below.

A specification is JSON internally: a message is converted to JSON first, so that V1 and V2 of CreatePipeline share
one path, and replies are parsed from the stored JSON by protobuf itself.
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
from trunkline.rpc.gen import pfs_pb2, pps_pb2, taskapi_pb2

if TYPE_CHECKING:
    from trunkline.pps.logs import Line
    from trunkline.pps.queries import worker_queries
    from trunkline.pps.queries.datum_queries import DatumContext
    from trunkline.pps.queries.job_datums import ListedDatum
    from trunkline.pps.queries.job_queries import JobInfo
    from trunkline.pps.queries.pipeline_queries import PipelineInfo, PipelineRow

#: Fields of CreatePipelineRequest that are options of the request and not part of the specification.
_REQUEST_FLAGS = ("update", "reprocess", "dry_run", "spec_commit")
#: Fields of PipelineInfo.Details that have the same name in the specification.
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
    """Return the pipeline that a message names; the name may end with ancestry.

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


def spec_json(request: pps_pb2.CreatePipelineRequest) -> dict[str, Any]:
    """Return the specification in a message as JSON."""
    limits.check_count(request.ByteSize(), limits.SPEC, "the pipeline spec", "shorten it")
    try:
        spec: dict[str, Any] = json_format.MessageToDict(request, preserving_proto_field_name=True)
    except (ValueError, json_format.SerializeToJsonError) as error:  # a time or a duration out of range
        raise errors.InvalidArgument(
            f"the pipeline spec cannot be read: {error}; correct the value"
        ) from error
    for flag in _REQUEST_FLAGS:
        spec.pop(flag, None)
    return spec


def user_message(spec: dict[str, Any]) -> pps_pb2.CreatePipelineRequest:
    """Return a user's specification as a message.

    Raises:
        InvalidArgument: a field is unknown, or a value of a wrong type.
    """
    try:
        return json_format.ParseDict(spec, pps_pb2.CreatePipelineRequest())
    except json_format.ParseError as error:
        raise errors.InvalidArgument(
            f"the rendered template is not a pipeline spec: {error}; correct it"
        ) from error


def spec_message(effective_json: str) -> pps_pb2.CreatePipelineRequest:
    """Return a stored specification as a message."""
    return json_format.Parse(effective_json, pps_pb2.CreatePipelineRequest(), ignore_unknown_fields=True)


def _copy(source: Any, target: Any, fields: tuple[str, ...]) -> None:
    """Copy the fields that are set to another message that has fields of the same names."""
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


def state_of_job(state: pps_pb2.JobState) -> JobState:
    """Return the state that a message names.

    Raises:
        InvalidArgument: it names none.
    """
    name = pps_pb2.JobState.Name(state) if state in pps_pb2.JobState.values() else str(state)
    try:
        return JobState(name.removeprefix("JOB_"))
    except ValueError:
        states = ", ".join(f"JOB_{each}" for each in JobState)
        raise errors.InvalidArgument(
            f"state {name} is not a state of jobs here; the states are {states}"
        ) from None


def task_info(task: worker_queries.Task) -> taskapi_pb2.TaskInfo:
    """Return a message about datums that a worker has claimed; ``group`` is pipeline and job."""
    claim = task.claim
    data = {"start": claim.start, "stop": claim.stop, "recorded": claim.done, "worker": claim.worker_id}
    return taskapi_pb2.TaskInfo(
        id=claim.id,
        group=taskapi_pb2.Group(namespace=task.pipeline, group=task.job.set_id),
        state=taskapi_pb2.CLAIMED,
        input_type="datums",
        input_data=json.dumps(data),
    )


def job_state(state: str) -> pps_pb2.JobState:
    """Return a job state on the wire."""
    return cast("pps_pb2.JobState", pps_pb2.JobState.Value(f"JOB_{JobState(state)}"))


def datum_state_of(number: int) -> DatumState:
    """Return a datum state that a request names.

    Raises:
        InvalidArgument: no state has this number.
    """
    return DatumState(convert.known_value(pps_pb2.DatumState.items(), number, "datum state"))


def datum_state(state: DatumState) -> pps_pb2.DatumState:
    """Return a datum state on the wire."""
    return cast("pps_pb2.DatumState", pps_pb2.DatumState.Value(str(state)))


def pipeline_info(info: PipelineInfo, notice: str) -> pps_pb2.PipelineInfo:
    """Return the reply about a pipeline in one of its versions.

    Args:
        info: the pipeline.
        notice: warnings about fields that have no effect on this fleet.
    """
    row, version = info.row, info.version
    message = pps_pb2.PipelineInfo(
        pipeline=pipeline_message(row.project, row.name),
        version=version.version,
        stopped=row.stopped,
        state=f"PIPELINE_{PipelineState(row.state)}",
        reason=row.reason,
        user_spec_json=version.user_json,
        effective_spec_json=version.effective_json,
    )
    message.metadata.update(row.metadata)
    message.spec_commit.CopyFrom(
        convert.commit_message(names.RepoName(row.project, row.name, names.SPEC), version.spec_set_id)
    )
    newest = info.newest_job
    if newest is not None:
        message.last_job_state = job_state(newest.state)
    spec = spec_message(version.effective_json)
    message.type = _type(spec)
    message.parallelism = spec.parallelism_spec.constant or 1
    if info.details is not None:
        _copy(spec, message.details, _SPEC_FIELDS)
        details = message.details
        details.salt = version.salt
        details.reason = notice
        convert.set_time(details.created_at, row.created_at)
        convert.set_time(details.updated_at, row.updated_at)
        details.workers_requested = row.target
        details.workers_available = info.details.workers_available
        if info.details.workers_started is not None:
            convert.set_time(details.workers_started_at, info.details.workers_started)
        details.unclaimed_tasks = info.details.unclaimed
        if newest is not None and newest.state in (JobState.FAILURE, JobState.UNRUNNABLE):
            details.recent_error = newest.reason
    return message


def _type(spec: pps_pb2.CreatePipelineRequest) -> pps_pb2.PipelineInfo.PipelineType:
    kinds = pps_pb2.PipelineInfo
    if spec.HasField("spout"):
        return kinds.PIPELINE_TYPE_SPOUT
    return kinds.PIPELINE_TYPE_SERVICE if spec.HasField("service") else kinds.PIPELINE_TYPE_TRANSFORM


def job_info(info: JobInfo) -> pps_pb2.JobInfo:
    """Return the reply about a job."""
    job = info.row
    message = pps_pb2.JobInfo(
        job=job_message(info.pipeline, job.set_id),
        pipeline_version=job.version,
        output_commit=convert.commit_message(info.output_repo, job.set_id),
        restart=job.restart,
        data_processed=job.processed,
        data_skipped=job.skipped,
        data_total=job.total,
        data_failed=job.failed,
        data_recovered=job.recovered,
        state=job_state(job.state),
        reason=info.reason,
    )
    # With its branch, which other replies omit and clients expect in this one.
    message.output_commit.branch.CopyFrom(convert.branch_message(info.output_repo, info.output_branch))
    _stats(message.stats, job)
    convert.set_time(message.created, job.created)
    if job.started is not None:
        convert.set_time(message.started, job.started)
    if job.finished is not None:
        convert.set_time(message.finished, job.finished)
    if info.version is not None:
        _copy(spec_message(info.version.effective_json), message.details, _JOB_SPEC_FIELDS)
        message.details.salt = info.version.salt
        _set_commits(message.details.input, job.set_id)
        for claim in info.claims:
            status = message.details.worker_status.add(worker_id=claim.worker_id or "", job_id=job.set_id)
            if claim.datum_started is not None:
                convert.set_time(status.datum_status.started, claim.datum_started)
    return message


def _set_commits(input: pps_pb2.Input, id: str) -> None:
    """Let each leaf of a job's input name the commit that the job reads: the set's, unless it names one itself."""
    for leaf in (input.pfs, input.cron):
        if leaf.repo and not leaf.commit:
            leaf.commit = id
    for side in (*input.join, *input.group, *input.cross, *input.union):
        _set_commits(side, id)


def _stats(message: pps_pb2.ProcessStats, row: Any) -> None:
    """Fill in times and bytes from a job or datum row."""
    message.download_time.FromNanoseconds(row.download_ns)
    message.process_time.FromNanoseconds(row.process_ns)
    message.upload_time.FromNanoseconds(row.upload_ns)
    message.download_bytes = row.download_bytes
    message.upload_bytes = row.upload_bytes


class DatumInfos:
    """Builds the messages about the datums of one list; holds the fields that they share."""

    def __init__(self, context: DatumContext) -> None:
        self._job: pps_pb2.Job | None = None
        if context.job is not None and context.pipeline is not None:
            self._job = job_message(context.pipeline, context.job.set_id)
        self._inputs = {
            place: convert.commit_message(commit.repo, commit.id) for place, commit in context.inputs.items()
        }

    def with_files(self, listed: ListedDatum) -> pps_pb2.DatumInfo:
        """Return the reply about a datum of a job, with its folder in the meta commit."""
        info = self.info(listed)
        if self._job is not None:
            owner = self._job.pipeline
            meta = names.RepoName(owner.project.name, owner.name, names.META)
            info.pfs_state.commit.CopyFrom(convert.commit_message(meta, self._job.id))
            info.pfs_state.path = f"/pfs/{info.datum.id}"
        return info

    def info(self, listed: ListedDatum) -> pps_pb2.DatumInfo:
        """Return the reply about a datum."""
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
            commit = self._inputs.get((item.input, item.origin))
            if commit is not None:
                data.file.commit.CopyFrom(commit)
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
    """Parse the JSON of CreatePipelineV2.

    Raises:
        InvalidArgument: it is not a JSON object; the message says where.
    """
    spec = spec_text.parse_request(text)
    for flag in _REQUEST_FLAGS:
        spec.pop(flag, None)
    return spec
