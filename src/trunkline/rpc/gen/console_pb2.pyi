import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobRow(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "state", "reason", "created", "started", "finished", "total", "processed", "skipped", "failed", "recovered", "version", "restart", "dollars")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    DOLLARS_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    state: str
    reason: str
    created: _timestamp_pb2.Timestamp
    started: _timestamp_pb2.Timestamp
    finished: _timestamp_pb2.Timestamp
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    version: int
    restart: int
    dollars: float
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., total: _Optional[int] = ..., processed: _Optional[int] = ..., skipped: _Optional[int] = ..., failed: _Optional[int] = ..., recovered: _Optional[int] = ..., version: _Optional[int] = ..., restart: _Optional[int] = ..., dollars: _Optional[float] = ...) -> None: ...

class InspectOverviewRequest(_message.Message):
    __slots__ = ("seconds", "number")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    number: int
    def __init__(self, seconds: _Optional[float] = ..., number: _Optional[int] = ...) -> None: ...

class Overview(_message.Message):
    __slots__ = ("position", "at", "projects", "failed", "failed_total", "running", "running_total", "waiting", "waiting_total", "dollars_per_hour", "unpriced_workers", "workers", "pretended")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_TOTAL_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    WAITING_TOTAL_FIELD_NUMBER: _ClassVar[int]
    DOLLARS_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_WORKERS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    PRETENDED_FIELD_NUMBER: _ClassVar[int]
    position: str
    at: _timestamp_pb2.Timestamp
    projects: _containers.RepeatedCompositeFieldContainer[ProjectSummary]
    failed: _containers.RepeatedCompositeFieldContainer[JobRow]
    failed_total: int
    running: _containers.RepeatedCompositeFieldContainer[JobRow]
    running_total: int
    waiting: _containers.RepeatedCompositeFieldContainer[WaitingPipeline]
    waiting_total: int
    dollars_per_hour: float
    unpriced_workers: int
    workers: int
    pretended: bool
    def __init__(self, position: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., projects: _Optional[_Iterable[_Union[ProjectSummary, _Mapping]]] = ..., failed: _Optional[_Iterable[_Union[JobRow, _Mapping]]] = ..., failed_total: _Optional[int] = ..., running: _Optional[_Iterable[_Union[JobRow, _Mapping]]] = ..., running_total: _Optional[int] = ..., waiting: _Optional[_Iterable[_Union[WaitingPipeline, _Mapping]]] = ..., waiting_total: _Optional[int] = ..., dollars_per_hour: _Optional[float] = ..., unpriced_workers: _Optional[int] = ..., workers: _Optional[int] = ..., pretended: _Optional[bool] = ...) -> None: ...

class ProjectSummary(_message.Message):
    __slots__ = ("name", "description", "created", "repos", "pipelines", "pipeline_states", "live_jobs", "ended_jobs", "workers")
    class PipelineStatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LiveJobsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class EndedJobsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REPOS_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_STATES_FIELD_NUMBER: _ClassVar[int]
    LIVE_JOBS_FIELD_NUMBER: _ClassVar[int]
    ENDED_JOBS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    created: _timestamp_pb2.Timestamp
    repos: int
    pipelines: int
    pipeline_states: _containers.ScalarMap[str, int]
    live_jobs: _containers.ScalarMap[str, int]
    ended_jobs: _containers.ScalarMap[str, int]
    workers: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., repos: _Optional[int] = ..., pipelines: _Optional[int] = ..., pipeline_states: _Optional[_Mapping[str, int]] = ..., live_jobs: _Optional[_Mapping[str, int]] = ..., ended_jobs: _Optional[_Mapping[str, int]] = ..., workers: _Optional[int] = ...) -> None: ...

class WaitingPipeline(_message.Message):
    __slots__ = ("project", "pipeline", "kind", "sentence", "since", "job_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    kind: str
    sentence: str
    since: _timestamp_pb2.Timestamp
    job_id: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., kind: _Optional[str] = ..., sentence: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_id: _Optional[str] = ...) -> None: ...

class InspectGraphRequest(_message.Message):
    __slots__ = ("project", "commit_set", "known_etag")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SET_FIELD_NUMBER: _ClassVar[int]
    KNOWN_ETAG_FIELD_NUMBER: _ClassVar[int]
    project: str
    commit_set: str
    known_etag: str
    def __init__(self, project: _Optional[str] = ..., commit_set: _Optional[str] = ..., known_etag: _Optional[str] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("position", "etag", "unchanged", "nodes", "edges")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    position: str
    etag: str
    unchanged: bool
    nodes: _containers.RepeatedCompositeFieldContainer[GraphNode]
    edges: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    def __init__(self, position: _Optional[str] = ..., etag: _Optional[str] = ..., unchanged: _Optional[bool] = ..., nodes: _Optional[_Iterable[_Union[GraphNode, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ...) -> None: ...

class GraphNode(_message.Message):
    __slots__ = ("id", "project", "kind", "name", "state", "stopped", "reason", "job", "workers", "workers_wanted", "workers_limit", "size_bytes", "head_commit", "head_at", "work", "outside", "ready_worker_ids")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_WANTED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEAD_COMMIT_FIELD_NUMBER: _ClassVar[int]
    HEAD_AT_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    READY_WORKER_IDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    project: str
    kind: str
    name: str
    state: str
    stopped: bool
    reason: str
    job: JobRow
    workers: int
    workers_wanted: int
    workers_limit: int
    size_bytes: int
    head_commit: str
    head_at: _timestamp_pb2.Timestamp
    work: str
    outside: bool
    ready_worker_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., project: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., stopped: _Optional[bool] = ..., reason: _Optional[str] = ..., job: _Optional[_Union[JobRow, _Mapping]] = ..., workers: _Optional[int] = ..., workers_wanted: _Optional[int] = ..., workers_limit: _Optional[int] = ..., size_bytes: _Optional[int] = ..., head_commit: _Optional[str] = ..., head_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., work: _Optional[str] = ..., outside: _Optional[bool] = ..., ready_worker_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GraphEdge(_message.Message):
    __slots__ = ("to", "branch")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    to: str
    branch: str
    def __init__(self, to: _Optional[str] = ..., branch: _Optional[str] = ..., **kwargs) -> None: ...

class ListRepoRowRequest(_message.Message):
    __slots__ = ("project",)
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    project: str
    def __init__(self, project: _Optional[str] = ...) -> None: ...

class RepoRows(_message.Message):
    __slots__ = ("rows", "position")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[RepoRow]
    position: str
    def __init__(self, rows: _Optional[_Iterable[_Union[RepoRow, _Mapping]]] = ..., position: _Optional[str] = ...) -> None: ...

class RepoRow(_message.Message):
    __slots__ = ("name", "description", "branches", "size_bytes", "head_at", "is_output")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEAD_AT_FIELD_NUMBER: _ClassVar[int]
    IS_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    branches: int
    size_bytes: int
    head_at: _timestamp_pb2.Timestamp
    is_output: bool
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., branches: _Optional[int] = ..., size_bytes: _Optional[int] = ..., head_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., is_output: _Optional[bool] = ...) -> None: ...

class ListJobRowRequest(_message.Message):
    __slots__ = ("projects", "pipelines", "states", "commit_set", "until", "page_token", "number", "count")
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SET_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    projects: _containers.RepeatedScalarFieldContainer[str]
    pipelines: _containers.RepeatedScalarFieldContainer[str]
    states: _containers.RepeatedScalarFieldContainer[str]
    commit_set: str
    until: _timestamp_pb2.Timestamp
    page_token: str
    number: int
    count: bool
    def __init__(self, projects: _Optional[_Iterable[str]] = ..., pipelines: _Optional[_Iterable[str]] = ..., states: _Optional[_Iterable[str]] = ..., commit_set: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_token: _Optional[str] = ..., number: _Optional[int] = ..., count: _Optional[bool] = ..., **kwargs) -> None: ...

class JobRowPage(_message.Message):
    __slots__ = ("rows", "next_page_token", "position", "total", "total_is_least")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_IS_LEAST_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[JobRow]
    next_page_token: str
    position: str
    total: int
    total_is_least: bool
    def __init__(self, rows: _Optional[_Iterable[_Union[JobRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[str] = ..., total: _Optional[int] = ..., total_is_least: _Optional[bool] = ...) -> None: ...

class ListRunRequest(_message.Message):
    __slots__ = ("project", "page_token", "number")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    project: str
    page_token: str
    number: int
    def __init__(self, project: _Optional[str] = ..., page_token: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class RunPage(_message.Message):
    __slots__ = ("runs", "next_page_token", "position")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_page_token: str
    position: str
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., position: _Optional[str] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("commit_set", "started", "finished", "commits", "job_states", "origin")
    class JobStatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    COMMIT_SET_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    JOB_STATES_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    commit_set: str
    started: _timestamp_pb2.Timestamp
    finished: _timestamp_pb2.Timestamp
    commits: int
    job_states: _containers.ScalarMap[str, int]
    origin: str
    def __init__(self, commit_set: _Optional[str] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commits: _Optional[int] = ..., job_states: _Optional[_Mapping[str, int]] = ..., origin: _Optional[str] = ...) -> None: ...

class InspectScalingRequest(_message.Message):
    __slots__ = ("project", "pipeline", "until", "width")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    until: _timestamp_pb2.Timestamp
    width: int
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., width: _Optional[int] = ..., **kwargs) -> None: ...

class Scaling(_message.Message):
    __slots__ = ("points", "decisions", "workers_limit", "autoscaling", "position")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    AUTOSCALING_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[ScalingPoint]
    decisions: _containers.RepeatedCompositeFieldContainer[ScalingDecision]
    workers_limit: int
    autoscaling: bool
    position: str
    def __init__(self, points: _Optional[_Iterable[_Union[ScalingPoint, _Mapping]]] = ..., decisions: _Optional[_Iterable[_Union[ScalingDecision, _Mapping]]] = ..., workers_limit: _Optional[int] = ..., autoscaling: _Optional[bool] = ..., position: _Optional[str] = ...) -> None: ...

class ScalingPoint(_message.Message):
    __slots__ = ("at", "asked", "existing", "ready", "busy", "queue")
    AT_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    asked: float
    existing: float
    ready: float
    busy: float
    queue: float
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., asked: _Optional[float] = ..., existing: _Optional[float] = ..., ready: _Optional[float] = ..., busy: _Optional[float] = ..., queue: _Optional[float] = ...) -> None: ...

class ScalingDecision(_message.Message):
    __slots__ = ("at", "target", "sentence")
    AT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    target: int
    sentence: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., target: _Optional[int] = ..., sentence: _Optional[str] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("text", "number")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    text: str
    number: int
    def __init__(self, text: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits",)
    HITS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[SearchHit]
    def __init__(self, hits: _Optional[_Iterable[_Union[SearchHit, _Mapping]]] = ...) -> None: ...

class SearchHit(_message.Message):
    __slots__ = ("kind", "project", "name", "id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    project: str
    name: str
    id: str
    def __init__(self, kind: _Optional[str] = ..., project: _Optional[str] = ..., name: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class FindDeletionRequest(_message.Message):
    __slots__ = ("project", "repo", "ref", "pipeline", "job_id", "commit_set")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REPO_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SET_FIELD_NUMBER: _ClassVar[int]
    project: str
    repo: str
    ref: str
    pipeline: str
    job_id: str
    commit_set: str
    def __init__(self, project: _Optional[str] = ..., repo: _Optional[str] = ..., ref: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., commit_set: _Optional[str] = ...) -> None: ...

class Deletion(_message.Message):
    __slots__ = ("kind", "name", "at", "similar", "projects")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    WITH_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    at: _timestamp_pb2.Timestamp
    similar: _containers.RepeatedScalarFieldContainer[str]
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., similar: _Optional[_Iterable[str]] = ..., projects: _Optional[_Iterable[str]] = ..., **kwargs) -> None: ...

class InspectServerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "commit", "started", "address", "data_folder", "database", "store", "fleet", "simulated", "keep_days", "keep_log_bytes", "keep_event_bytes", "limits")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DATA_FOLDER_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    KEEP_DAYS_FIELD_NUMBER: _ClassVar[int]
    KEEP_LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEEP_EVENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    version: str
    commit: str
    started: _timestamp_pb2.Timestamp
    address: str
    data_folder: str
    database: str
    store: str
    fleet: str
    simulated: str
    keep_days: float
    keep_log_bytes: int
    keep_event_bytes: int
    limits: _containers.RepeatedCompositeFieldContainer[LimitInfo]
    def __init__(self, version: _Optional[str] = ..., commit: _Optional[str] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., address: _Optional[str] = ..., data_folder: _Optional[str] = ..., database: _Optional[str] = ..., store: _Optional[str] = ..., fleet: _Optional[str] = ..., simulated: _Optional[str] = ..., keep_days: _Optional[float] = ..., keep_log_bytes: _Optional[int] = ..., keep_event_bytes: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[LimitInfo, _Mapping]]] = ...) -> None: ...

class LimitInfo(_message.Message):
    __slots__ = ("name", "value", "unit", "bounds", "is_setting")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    BOUNDS_FIELD_NUMBER: _ClassVar[int]
    IS_SETTING_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    bounds: str
    is_setting: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., bounds: _Optional[str] = ..., is_setting: _Optional[bool] = ...) -> None: ...

class InspectDatumsRequest(_message.Message):
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

class DatumSummary(_message.Message):
    __slots__ = ("states", "seconds", "input_bytes", "output_bytes", "slowest", "failed", "failed_total", "position")
    class StatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STATES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SLOWEST_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    states: _containers.ScalarMap[str, int]
    seconds: FiveNumbers
    input_bytes: FiveNumbers
    output_bytes: FiveNumbers
    slowest: _containers.RepeatedCompositeFieldContainer[DatumLine]
    failed: _containers.RepeatedCompositeFieldContainer[DatumLine]
    failed_total: int
    position: str
    def __init__(self, states: _Optional[_Mapping[str, int]] = ..., seconds: _Optional[_Union[FiveNumbers, _Mapping]] = ..., input_bytes: _Optional[_Union[FiveNumbers, _Mapping]] = ..., output_bytes: _Optional[_Union[FiveNumbers, _Mapping]] = ..., slowest: _Optional[_Iterable[_Union[DatumLine, _Mapping]]] = ..., failed: _Optional[_Iterable[_Union[DatumLine, _Mapping]]] = ..., failed_total: _Optional[int] = ..., position: _Optional[str] = ...) -> None: ...

class FiveNumbers(_message.Message):
    __slots__ = ("count", "least", "lower_quartile", "median", "upper_quartile", "largest", "error")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LEAST_FIELD_NUMBER: _ClassVar[int]
    LOWER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    UPPER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    count: int
    least: float
    lower_quartile: float
    median: float
    upper_quartile: float
    largest: float
    error: float
    def __init__(self, count: _Optional[int] = ..., least: _Optional[float] = ..., lower_quartile: _Optional[float] = ..., median: _Optional[float] = ..., upper_quartile: _Optional[float] = ..., largest: _Optional[float] = ..., error: _Optional[float] = ...) -> None: ...

class DatumLine(_message.Message):
    __slots__ = ("id", "state", "paths", "inputs", "seconds", "started", "worker_id", "input_bytes", "output_bytes", "reason", "processed_by_job_id", "position", "outputs", "outputs_total")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_BY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    inputs: int
    seconds: float
    started: _timestamp_pb2.Timestamp
    worker_id: str
    input_bytes: int
    output_bytes: int
    reason: str
    processed_by_job_id: str
    position: int
    outputs: _containers.RepeatedScalarFieldContainer[str]
    outputs_total: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., inputs: _Optional[int] = ..., seconds: _Optional[float] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worker_id: _Optional[str] = ..., input_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ..., reason: _Optional[str] = ..., processed_by_job_id: _Optional[str] = ..., position: _Optional[int] = ..., outputs: _Optional[_Iterable[str]] = ..., outputs_total: _Optional[int] = ...) -> None: ...

class ListDatumRowRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "order", "states", "text", "offset", "page_token", "number", "until", "worker_ids", "positions", "ids")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ID: _ClassVar[ListDatumRowRequest.Order]
        STATE: _ClassVar[ListDatumRowRequest.Order]
        DURATION: _ClassVar[ListDatumRowRequest.Order]
    ID: ListDatumRowRequest.Order
    STATE: ListDatumRowRequest.Order
    DURATION: ListDatumRowRequest.Order
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WORKER_IDS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    order: ListDatumRowRequest.Order
    states: _containers.RepeatedScalarFieldContainer[str]
    text: str
    offset: int
    page_token: str
    number: int
    until: _timestamp_pb2.Timestamp
    worker_ids: _containers.RepeatedScalarFieldContainer[str]
    positions: _containers.RepeatedScalarFieldContainer[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., order: _Optional[_Union[ListDatumRowRequest.Order, str]] = ..., states: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ..., offset: _Optional[int] = ..., page_token: _Optional[str] = ..., number: _Optional[int] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., worker_ids: _Optional[_Iterable[str]] = ..., positions: _Optional[_Iterable[int]] = ..., ids: _Optional[_Iterable[str]] = ..., **kwargs) -> None: ...

class DatumRowPage(_message.Message):
    __slots__ = ("rows", "total", "next_page_token", "position", "is_cut")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[DatumLine]
    total: int
    next_page_token: str
    position: str
    is_cut: bool
    def __init__(self, rows: _Optional[_Iterable[_Union[DatumLine, _Mapping]]] = ..., total: _Optional[int] = ..., next_page_token: _Optional[str] = ..., position: _Optional[str] = ..., is_cut: _Optional[bool] = ...) -> None: ...

class InspectTimelineRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "until", "width", "lanes")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    until: _timestamp_pb2.Timestamp
    width: int
    lanes: int
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., width: _Optional[int] = ..., lanes: _Optional[int] = ..., **kwargs) -> None: ...

class Timeline(_message.Message):
    __slots__ = ("until", "width", "lanes", "lanes_total", "position")
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    LANES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    width: int
    lanes: _containers.RepeatedCompositeFieldContainer[Lane]
    lanes_total: int
    position: str
    def __init__(self, until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., width: _Optional[int] = ..., lanes: _Optional[_Iterable[_Union[Lane, _Mapping]]] = ..., lanes_total: _Optional[int] = ..., position: _Optional[str] = ..., **kwargs) -> None: ...

class Lane(_message.Message):
    __slots__ = ("worker_id", "machine", "busy", "failures", "bars", "has_bars", "datums")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    BARS_FIELD_NUMBER: _ClassVar[int]
    HAS_BARS_FIELD_NUMBER: _ClassVar[int]
    DATUMS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    machine: str
    busy: bytes
    failures: _containers.RepeatedCompositeFieldContainer[FailureSlice]
    bars: _containers.RepeatedCompositeFieldContainer[TimelineBar]
    has_bars: bool
    datums: int
    def __init__(self, worker_id: _Optional[str] = ..., machine: _Optional[str] = ..., busy: _Optional[bytes] = ..., failures: _Optional[_Iterable[_Union[FailureSlice, _Mapping]]] = ..., bars: _Optional[_Iterable[_Union[TimelineBar, _Mapping]]] = ..., has_bars: _Optional[bool] = ..., datums: _Optional[int] = ...) -> None: ...

class TimelineBar(_message.Message):
    __slots__ = ("position", "begin", "seconds", "state", "count", "failed")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    position: int
    begin: _timestamp_pb2.Timestamp
    seconds: float
    state: str
    count: int
    failed: int
    def __init__(self, position: _Optional[int] = ..., begin: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seconds: _Optional[float] = ..., state: _Optional[str] = ..., count: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class FailureSlice(_message.Message):
    __slots__ = ("slice", "failed")
    SLICE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    slice: int
    failed: int
    def __init__(self, slice: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class CompareJobsRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_a", "job_b")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_A_FIELD_NUMBER: _ClassVar[int]
    JOB_B_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_a: str
    job_b: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_a: _Optional[str] = ..., job_b: _Optional[str] = ...) -> None: ...

class JobComparison(_message.Message):
    __slots__ = ("a", "b", "datums_a", "datums_b", "spec", "inputs", "now_failed", "now_good", "added", "removed", "changed", "changes_are_least")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    DATUMS_A_FIELD_NUMBER: _ClassVar[int]
    DATUMS_B_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    NOW_FAILED_FIELD_NUMBER: _ClassVar[int]
    NOW_GOOD_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_ARE_LEAST_FIELD_NUMBER: _ClassVar[int]
    a: JobRow
    b: JobRow
    datums_a: DatumSummary
    datums_b: DatumSummary
    spec: _containers.RepeatedCompositeFieldContainer[SpecChange]
    inputs: _containers.RepeatedCompositeFieldContainer[InputChange]
    now_failed: _containers.RepeatedCompositeFieldContainer[DatumLine]
    now_good: _containers.RepeatedCompositeFieldContainer[DatumLine]
    added: int
    removed: int
    changed: int
    changes_are_least: bool
    def __init__(self, a: _Optional[_Union[JobRow, _Mapping]] = ..., b: _Optional[_Union[JobRow, _Mapping]] = ..., datums_a: _Optional[_Union[DatumSummary, _Mapping]] = ..., datums_b: _Optional[_Union[DatumSummary, _Mapping]] = ..., spec: _Optional[_Iterable[_Union[SpecChange, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[InputChange, _Mapping]]] = ..., now_failed: _Optional[_Iterable[_Union[DatumLine, _Mapping]]] = ..., now_good: _Optional[_Iterable[_Union[DatumLine, _Mapping]]] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ..., changes_are_least: _Optional[bool] = ...) -> None: ...

class SpecChange(_message.Message):
    __slots__ = ("path", "before_json", "after_json")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    path: str
    before_json: str
    after_json: str
    def __init__(self, path: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ...) -> None: ...

class InputChange(_message.Message):
    __slots__ = ("branch", "commit_a", "commit_b")
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_A_FIELD_NUMBER: _ClassVar[int]
    COMMIT_B_FIELD_NUMBER: _ClassVar[int]
    branch: str
    commit_a: str
    commit_b: str
    def __init__(self, branch: _Optional[str] = ..., commit_a: _Optional[str] = ..., commit_b: _Optional[str] = ...) -> None: ...

class LogName(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "datum_id", "worker_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    datum_id: str
    worker_id: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., datum_id: _Optional[str] = ..., worker_id: _Optional[str] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("log", "position", "from_begin", "line", "before", "after", "full")
    LOG_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FROM_BEGIN_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    log: LogName
    position: str
    from_begin: bool
    line: int
    before: int
    after: int
    full: bool
    def __init__(self, log: _Optional[_Union[LogName, _Mapping]] = ..., position: _Optional[str] = ..., from_begin: _Optional[bool] = ..., line: _Optional[int] = ..., before: _Optional[int] = ..., after: _Optional[int] = ..., full: _Optional[bool] = ..., **kwargs) -> None: ...

class LogWindow(_message.Message):
    __slots__ = ("lines", "at_begin", "at_end", "lines_total", "lines_before", "event_position", "expired")
    LINES_FIELD_NUMBER: _ClassVar[int]
    AT_BEGIN_FIELD_NUMBER: _ClassVar[int]
    AT_END_FIELD_NUMBER: _ClassVar[int]
    LINES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    LINES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    EVENT_POSITION_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    at_begin: bool
    at_end: bool
    lines_total: int
    lines_before: int
    event_position: str
    expired: bool
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., at_begin: _Optional[bool] = ..., at_end: _Optional[bool] = ..., lines_total: _Optional[int] = ..., lines_before: _Optional[int] = ..., event_position: _Optional[str] = ..., expired: _Optional[bool] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("position", "at", "text", "length", "worker_id", "job_id", "datum_id", "source")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    position: str
    at: _timestamp_pb2.Timestamp
    text: str
    length: int
    worker_id: str
    job_id: str
    datum_id: str
    source: str
    def __init__(self, position: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., text: _Optional[str] = ..., length: _Optional[int] = ..., worker_id: _Optional[str] = ..., job_id: _Optional[str] = ..., datum_id: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class SearchLogRequest(_message.Message):
    __slots__ = ("log", "text", "regex", "match_case", "until", "number")
    LOG_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REGEX_FIELD_NUMBER: _ClassVar[int]
    MATCH_CASE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    log: LogName
    text: str
    regex: bool
    match_case: bool
    until: _timestamp_pb2.Timestamp
    number: int
    def __init__(self, log: _Optional[_Union[LogName, _Mapping]] = ..., text: _Optional[str] = ..., regex: _Optional[bool] = ..., match_case: _Optional[bool] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., number: _Optional[int] = ..., **kwargs) -> None: ...

class LogHits(_message.Message):
    __slots__ = ("lines", "total", "done")
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    total: int
    done: bool
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ..., total: _Optional[int] = ..., done: _Optional[bool] = ...) -> None: ...

class InspectLogRequest(_message.Message):
    __slots__ = ("log", "until", "width")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    log: LogName
    until: _timestamp_pb2.Timestamp
    width: int
    def __init__(self, log: _Optional[_Union[LogName, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., width: _Optional[int] = ..., **kwargs) -> None: ...

class LogHistogram(_message.Message):
    __slots__ = ("until", "lines")
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    lines: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lines: _Optional[_Iterable[int]] = ..., **kwargs) -> None: ...

class Tree(_message.Message):
    __slots__ = ("project", "repo", "ref")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    REPO_FIELD_NUMBER: _ClassVar[int]
    REF_FIELD_NUMBER: _ClassVar[int]
    project: str
    repo: str
    ref: str
    def __init__(self, project: _Optional[str] = ..., repo: _Optional[str] = ..., ref: _Optional[str] = ...) -> None: ...

class ListFolderRequest(_message.Message):
    __slots__ = ("tree", "path", "offset", "from_name", "number", "count")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FROM_NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    path: str
    offset: int
    from_name: str
    number: int
    count: bool
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ..., from_name: _Optional[str] = ..., number: _Optional[int] = ..., count: _Optional[bool] = ...) -> None: ...

class FolderPage(_message.Message):
    __slots__ = ("commit_id", "finished", "entries", "offset", "total", "size_bytes", "files", "hash")
    COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    commit_id: str
    finished: _timestamp_pb2.Timestamp
    entries: _containers.RepeatedCompositeFieldContainer[FolderEntry]
    offset: int
    total: int
    size_bytes: int
    files: int
    hash: bytes
    def __init__(self, commit_id: _Optional[str] = ..., finished: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[FolderEntry, _Mapping]]] = ..., offset: _Optional[int] = ..., total: _Optional[int] = ..., size_bytes: _Optional[int] = ..., files: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class FolderEntry(_message.Message):
    __slots__ = ("name", "folder", "size_bytes", "files", "hash", "datum_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    folder: bool
    size_bytes: int
    files: int
    hash: bytes
    datum_id: str
    def __init__(self, name: _Optional[str] = ..., folder: _Optional[bool] = ..., size_bytes: _Optional[int] = ..., files: _Optional[int] = ..., hash: _Optional[bytes] = ..., datum_id: _Optional[str] = ...) -> None: ...

class CompareFoldersRequest(_message.Message):
    __slots__ = ("old", "new", "path", "page_token", "number")
    OLD_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    old: Tree
    new: Tree
    path: str
    page_token: str
    number: int
    def __init__(self, old: _Optional[_Union[Tree, _Mapping]] = ..., new: _Optional[_Union[Tree, _Mapping]] = ..., path: _Optional[str] = ..., page_token: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class FolderComparison(_message.Message):
    __slots__ = ("entries", "next_page_token", "added", "removed", "changed", "added_bytes", "removed_bytes", "old_commit_id", "new_commit_id")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ADDED_BYTES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OLD_COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ChangedEntry]
    next_page_token: str
    added: int
    removed: int
    changed: int
    added_bytes: int
    removed_bytes: int
    old_commit_id: str
    new_commit_id: str
    def __init__(self, entries: _Optional[_Iterable[_Union[ChangedEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ..., added_bytes: _Optional[int] = ..., removed_bytes: _Optional[int] = ..., old_commit_id: _Optional[str] = ..., new_commit_id: _Optional[str] = ...) -> None: ...

class ChangedEntry(_message.Message):
    __slots__ = ("name", "folder", "change", "old_size", "new_size", "old_hash", "new_hash", "added", "removed", "changed", "old_files", "new_files")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    OLD_HASH_FIELD_NUMBER: _ClassVar[int]
    NEW_HASH_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    OLD_FILES_FIELD_NUMBER: _ClassVar[int]
    NEW_FILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    folder: bool
    change: str
    old_size: int
    new_size: int
    old_hash: bytes
    new_hash: bytes
    added: int
    removed: int
    changed: int
    old_files: int
    new_files: int
    def __init__(self, name: _Optional[str] = ..., folder: _Optional[bool] = ..., change: _Optional[str] = ..., old_size: _Optional[int] = ..., new_size: _Optional[int] = ..., old_hash: _Optional[bytes] = ..., new_hash: _Optional[bytes] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ..., old_files: _Optional[int] = ..., new_files: _Optional[int] = ...) -> None: ...

class ListFileVersionRequest(_message.Message):
    __slots__ = ("tree", "path", "page_token", "number")
    TREE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    tree: Tree
    path: str
    page_token: str
    number: int
    def __init__(self, tree: _Optional[_Union[Tree, _Mapping]] = ..., path: _Optional[str] = ..., page_token: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class FileVersionPage(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[FileVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[FileVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FileVersion(_message.Message):
    __slots__ = ("commit_id", "finished", "change", "size_bytes", "hash", "datum_id")
    COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    commit_id: str
    finished: _timestamp_pb2.Timestamp
    change: str
    size_bytes: int
    hash: bytes
    datum_id: str
    def __init__(self, commit_id: _Optional[str] = ..., finished: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change: _Optional[str] = ..., size_bytes: _Optional[int] = ..., hash: _Optional[bytes] = ..., datum_id: _Optional[str] = ...) -> None: ...
