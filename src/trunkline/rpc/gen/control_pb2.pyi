import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListWorkerRequest(_message.Message):
    __slots__ = ("project", "pipeline")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("id", "project", "pipeline", "state", "reason", "created", "ready", "job_id", "datum_id", "pipeline_version", "machine")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    project: str
    pipeline: str
    state: str
    reason: str
    created: _timestamp_pb2.Timestamp
    ready: _timestamp_pb2.Timestamp
    job_id: str
    datum_id: str
    pipeline_version: int
    machine: str
    def __init__(self, id: _Optional[str] = ..., project: _Optional[str] = ..., pipeline: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[str] = ..., datum_id: _Optional[str] = ..., pipeline_version: _Optional[int] = ..., machine: _Optional[str] = ...) -> None: ...

class ListMachineRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MachineInfo(_message.Message):
    __slots__ = ("name", "kind", "group", "instance_type", "region", "spot", "cpu", "memory_bytes", "created", "ready", "pretended", "workers", "dollars_per_hour", "pipelines")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SPOT_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    PRETENDED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    DOLLARS_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    group: str
    instance_type: str
    region: str
    spot: bool
    cpu: float
    memory_bytes: int
    created: _timestamp_pb2.Timestamp
    ready: bool
    pretended: bool
    workers: _containers.RepeatedScalarFieldContainer[str]
    dollars_per_hour: float
    pipelines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., group: _Optional[str] = ..., instance_type: _Optional[str] = ..., region: _Optional[str] = ..., spot: _Optional[bool] = ..., cpu: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ready: _Optional[bool] = ..., pretended: _Optional[bool] = ..., workers: _Optional[_Iterable[str]] = ..., dollars_per_hour: _Optional[float] = ..., pipelines: _Optional[_Iterable[str]] = ...) -> None: ...

class InspectProgressRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ...) -> None: ...

class JobProgress(_message.Message):
    __slots__ = ("total", "recorded", "skipped", "running", "waiting", "workers", "median_seconds", "p90_seconds", "p99_seconds", "datums_per_second", "seconds_left", "seconds_left_p90", "late")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    P90_SECONDS_FIELD_NUMBER: _ClassVar[int]
    P99_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DATUMS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_P90_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    total: int
    recorded: int
    skipped: int
    running: int
    waiting: int
    workers: int
    median_seconds: float
    p90_seconds: float
    p99_seconds: float
    datums_per_second: float
    seconds_left: float
    seconds_left_p90: float
    late: _containers.RepeatedCompositeFieldContainer[LateDatum]
    def __init__(self, total: _Optional[int] = ..., recorded: _Optional[int] = ..., skipped: _Optional[int] = ..., running: _Optional[int] = ..., waiting: _Optional[int] = ..., workers: _Optional[int] = ..., median_seconds: _Optional[float] = ..., p90_seconds: _Optional[float] = ..., p99_seconds: _Optional[float] = ..., datums_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ..., seconds_left_p90: _Optional[float] = ..., late: _Optional[_Iterable[_Union[LateDatum, _Mapping]]] = ...) -> None: ...

class LateDatum(_message.Message):
    __slots__ = ("id", "paths", "worker_id", "seconds", "times_median")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMES_MEDIAN_FIELD_NUMBER: _ClassVar[int]
    id: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    worker_id: str
    seconds: float
    times_median: float
    def __init__(self, id: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., worker_id: _Optional[str] = ..., seconds: _Optional[float] = ..., times_median: _Optional[float] = ...) -> None: ...

class ListCostRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "number")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    number: int
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class CostInfo(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "worker_seconds", "work_seconds", "dollars", "unpriced_seconds", "pretended")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DOLLARS_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PRETENDED_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    worker_seconds: float
    work_seconds: float
    dollars: float
    unpriced_seconds: float
    pretended: bool
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., worker_seconds: _Optional[float] = ..., work_seconds: _Optional[float] = ..., dollars: _Optional[float] = ..., unpriced_seconds: _Optional[float] = ..., pretended: _Optional[bool] = ...) -> None: ...

class ExplainPipelineRequest(_message.Message):
    __slots__ = ("project", "pipeline", "number")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    number: int
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("at", "target", "sentence", "inputs_json")
    AT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    target: int
    sentence: str
    inputs_json: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., target: _Optional[int] = ..., sentence: _Optional[str] = ..., inputs_json: _Optional[str] = ...) -> None: ...

class CreateImageRequest(_message.Message):
    __slots__ = ("name", "requirements", "files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUIREMENTS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    requirements: str
    files: _containers.RepeatedCompositeFieldContainer[ImageFile]
    def __init__(self, name: _Optional[str] = ..., requirements: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ImageFile, _Mapping]]] = ...) -> None: ...

class ImageFile(_message.Message):
    __slots__ = ("path", "data", "mode")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    path: str
    data: bytes
    mode: int
    def __init__(self, path: _Optional[str] = ..., data: _Optional[bytes] = ..., mode: _Optional[int] = ...) -> None: ...

class ImageInfo(_message.Message):
    __slots__ = ("name", "digest", "state", "reason", "paths")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    state: str
    reason: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ListImageRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteImageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteImageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InspectStorageRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StorageInfo(_message.Message):
    __slots__ = ("chunks", "packs", "stored_bytes", "chunk_bytes", "written_bytes")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    chunks: int
    packs: int
    stored_bytes: int
    chunk_bytes: int
    written_bytes: int
    def __init__(self, chunks: _Optional[int] = ..., packs: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., chunk_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("kinds", "projects", "repos", "pipelines", "job_ids", "after", "since", "stored_only")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    REPOS_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    STORED_ONLY_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    projects: _containers.RepeatedScalarFieldContainer[str]
    repos: _containers.RepeatedScalarFieldContainer[str]
    pipelines: _containers.RepeatedScalarFieldContainer[str]
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    after: str
    since: _timestamp_pb2.Timestamp
    stored_only: bool
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., projects: _Optional[_Iterable[str]] = ..., repos: _Optional[_Iterable[str]] = ..., pipelines: _Optional[_Iterable[str]] = ..., job_ids: _Optional[_Iterable[str]] = ..., after: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stored_only: _Optional[bool] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "kind", "json")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    json: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class InspectEventLogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EventLog(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: str
    def __init__(self, position: _Optional[str] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("specs_json", "prune", "dry_run", "reprocess", "basis")
    SPECS_JSON_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REPROCESS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    specs_json: _containers.RepeatedScalarFieldContainer[str]
    prune: bool
    dry_run: bool
    reprocess: bool
    basis: str
    def __init__(self, specs_json: _Optional[_Iterable[str]] = ..., prune: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., reprocess: _Optional[bool] = ..., basis: _Optional[str] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("changes", "basis", "commit_set")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SET_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[PipelineChange]
    basis: str
    commit_set: str
    def __init__(self, changes: _Optional[_Iterable[_Union[PipelineChange, _Mapping]]] = ..., basis: _Optional[str] = ..., commit_set: _Optional[str] = ...) -> None: ...

class PipelineChange(_message.Message):
    __slots__ = ("project", "pipeline", "action", "fields")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    action: str
    fields: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., action: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("path", "before_json", "after_json")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    path: str
    before_json: str
    after_json: str
    def __init__(self, path: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ...) -> None: ...

class PlanUpdateRequest(_message.Message):
    __slots__ = ("spec_json", "reprocess")
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    REPROCESS_FIELD_NUMBER: _ClassVar[int]
    spec_json: str
    reprocess: bool
    def __init__(self, spec_json: _Optional[str] = ..., reprocess: _Optional[bool] = ...) -> None: ...

class CheckSpecRequest(_message.Message):
    __slots__ = ("text", "project", "reprocess")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REPROCESS_FIELD_NUMBER: _ClassVar[int]
    text: str
    project: str
    reprocess: bool
    def __init__(self, text: _Optional[str] = ..., project: _Optional[str] = ..., reprocess: _Optional[bool] = ...) -> None: ...

class SpecCheck(_message.Message):
    __slots__ = ("code", "problem", "spec_json", "effective_json", "plan", "notice")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_JSON_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    code: str
    problem: str
    spec_json: str
    effective_json: str
    plan: UpdatePlan
    notice: str
    def __init__(self, code: _Optional[str] = ..., problem: _Optional[str] = ..., spec_json: _Optional[str] = ..., effective_json: _Optional[str] = ..., plan: _Optional[_Union[UpdatePlan, _Mapping]] = ..., notice: _Optional[str] = ...) -> None: ...

class UpdatePlan(_message.Message):
    __slots__ = ("project", "pipeline", "version", "fields", "total", "run", "removed", "causes", "datum_seconds", "workers", "seconds", "dollars")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    DATUM_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DOLLARS_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    version: int
    fields: _containers.RepeatedCompositeFieldContainer[FieldChange]
    total: int
    run: int
    removed: int
    causes: _containers.RepeatedCompositeFieldContainer[PlannedDatums]
    datum_seconds: float
    workers: int
    seconds: float
    dollars: float
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., version: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ..., total: _Optional[int] = ..., run: _Optional[int] = ..., removed: _Optional[int] = ..., causes: _Optional[_Iterable[_Union[PlannedDatums, _Mapping]]] = ..., datum_seconds: _Optional[float] = ..., workers: _Optional[int] = ..., seconds: _Optional[float] = ..., dollars: _Optional[float] = ...) -> None: ...

class PlannedDatums(_message.Message):
    __slots__ = ("cause", "datums", "examples")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    DATUMS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    cause: str
    datums: int
    examples: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cause: _Optional[str] = ..., datums: _Optional[int] = ..., examples: _Optional[_Iterable[str]] = ...) -> None: ...
