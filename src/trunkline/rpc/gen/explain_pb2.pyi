import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from trunkline.rpc.gen import pfs_pb2 as _pfs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExplainDatumRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "datum_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    datum_id: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., datum_id: _Optional[str] = ...) -> None: ...

class DatumExplanation(_message.Message):
    __slots__ = ("datum_id", "job_id", "state", "cause", "sentence", "base_job_id", "processed_by_job_id", "changes", "reason", "cpu_seconds", "peak_memory_bytes", "download_bytes", "upload_bytes")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[DatumExplanation.Cause]
        FIRST: _ClassVar[DatumExplanation.Cause]
        NEW: _ClassVar[DatumExplanation.Cause]
        CHANGED: _ClassVar[DatumExplanation.Cause]
        SALT: _ClassVar[DatumExplanation.Cause]
        RECOVERED: _ClassVar[DatumExplanation.Cause]
        EVERY_JOB: _ClassVar[DatumExplanation.Cause]
        SKIPPED: _ClassVar[DatumExplanation.Cause]
        UNKNOWN: _ClassVar[DatumExplanation.Cause]
    CAUSE_UNSPECIFIED: DatumExplanation.Cause
    FIRST: DatumExplanation.Cause
    NEW: DatumExplanation.Cause
    CHANGED: DatumExplanation.Cause
    SALT: DatumExplanation.Cause
    RECOVERED: DatumExplanation.Cause
    EVERY_JOB: DatumExplanation.Cause
    SKIPPED: DatumExplanation.Cause
    UNKNOWN: DatumExplanation.Cause
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    BASE_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_BY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    datum_id: str
    job_id: str
    state: str
    cause: DatumExplanation.Cause
    sentence: str
    base_job_id: str
    processed_by_job_id: str
    changes: _containers.RepeatedCompositeFieldContainer[ItemChange]
    reason: str
    cpu_seconds: float
    peak_memory_bytes: int
    download_bytes: int
    upload_bytes: int
    def __init__(self, datum_id: _Optional[str] = ..., job_id: _Optional[str] = ..., state: _Optional[str] = ..., cause: _Optional[_Union[DatumExplanation.Cause, str]] = ..., sentence: _Optional[str] = ..., base_job_id: _Optional[str] = ..., processed_by_job_id: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[ItemChange, _Mapping]]] = ..., reason: _Optional[str] = ..., cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., download_bytes: _Optional[int] = ..., upload_bytes: _Optional[int] = ...) -> None: ...

class ItemChange(_message.Message):
    __slots__ = ("input", "path", "old_hash", "new_hash", "old_size", "new_size")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OLD_HASH_FIELD_NUMBER: _ClassVar[int]
    NEW_HASH_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    input: str
    path: str
    old_hash: bytes
    new_hash: bytes
    old_size: int
    new_size: int
    def __init__(self, input: _Optional[str] = ..., path: _Optional[str] = ..., old_hash: _Optional[bytes] = ..., new_hash: _Optional[bytes] = ..., old_size: _Optional[int] = ..., new_size: _Optional[int] = ...) -> None: ...

class ExplainJobRequest(_message.Message):
    __slots__ = ("project", "pipeline", "job_id")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ...) -> None: ...

class JobExplanation(_message.Message):
    __slots__ = ("job_id", "state", "reason", "phases")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    state: str
    reason: str
    phases: _containers.RepeatedCompositeFieldContainer[Phase]
    def __init__(self, job_id: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[Phase, _Mapping]]] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("kind", "begin", "end", "seconds", "sentence")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Phase.Kind]
        WAITING_FOR_INPUT: _ClassVar[Phase.Kind]
        WAITING_FOR_EARLIER_JOB: _ClassVar[Phase.Kind]
        PLANNING: _ClassVar[Phase.Kind]
        WAITING_FOR_WORKERS: _ClassVar[Phase.Kind]
        RUNNING: _ClassVar[Phase.Kind]
        STRAGGLING: _ClassVar[Phase.Kind]
        SETTLING: _ClassVar[Phase.Kind]
        EGRESSING: _ClassVar[Phase.Kind]
    KIND_UNSPECIFIED: Phase.Kind
    WAITING_FOR_INPUT: Phase.Kind
    WAITING_FOR_EARLIER_JOB: Phase.Kind
    PLANNING: Phase.Kind
    WAITING_FOR_WORKERS: Phase.Kind
    RUNNING: Phase.Kind
    STRAGGLING: Phase.Kind
    SETTLING: Phase.Kind
    EGRESSING: Phase.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    kind: Phase.Kind
    begin: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    seconds: float
    sentence: str
    def __init__(self, kind: _Optional[_Union[Phase.Kind, str]] = ..., begin: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seconds: _Optional[float] = ..., sentence: _Optional[str] = ...) -> None: ...

class ExplainStateRequest(_message.Message):
    __slots__ = ("project", "pipeline")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ...) -> None: ...

class StateExplanation(_message.Message):
    __slots__ = ("project", "pipeline", "state", "causes")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    state: str
    causes: _containers.RepeatedCompositeFieldContainer[StateCause]
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., state: _Optional[str] = ..., causes: _Optional[_Iterable[_Union[StateCause, _Mapping]]] = ...) -> None: ...

class StateCause(_message.Message):
    __slots__ = ("kind", "sentence", "branch", "job_id", "at")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[StateCause.Kind]
        STOPPED: _ClassVar[StateCause.Kind]
        FAILED: _ClassVar[StateCause.Kind]
        CRASHING: _ClassVar[StateCause.Kind]
        WAITING_FOR_WORKERS: _ClassVar[StateCause.Kind]
        WORKING: _ClassVar[StateCause.Kind]
        INPUT_OPEN: _ClassVar[StateCause.Kind]
        NO_FILES: _ClassVar[StateCause.Kind]
        TRIGGER: _ClassVar[StateCause.Kind]
        CRON: _ClassVar[StateCause.Kind]
        UPSTREAM_FAILED: _ClassVar[StateCause.Kind]
        JOB_FAILED: _ClassVar[StateCause.Kind]
        NO_MATCH: _ClassVar[StateCause.Kind]
        IDLE: _ClassVar[StateCause.Kind]
    KIND_UNSPECIFIED: StateCause.Kind
    STOPPED: StateCause.Kind
    FAILED: StateCause.Kind
    CRASHING: StateCause.Kind
    WAITING_FOR_WORKERS: StateCause.Kind
    WORKING: StateCause.Kind
    INPUT_OPEN: StateCause.Kind
    NO_FILES: StateCause.Kind
    TRIGGER: StateCause.Kind
    CRON: StateCause.Kind
    UPSTREAM_FAILED: StateCause.Kind
    JOB_FAILED: StateCause.Kind
    NO_MATCH: StateCause.Kind
    IDLE: StateCause.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    kind: StateCause.Kind
    sentence: str
    branch: str
    job_id: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[StateCause.Kind, str]] = ..., sentence: _Optional[str] = ..., branch: _Optional[str] = ..., job_id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainFileRequest(_message.Message):
    __slots__ = ("file", "forward", "number")
    FILE_FIELD_NUMBER: _ClassVar[int]
    FORWARD_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    file: _pfs_pb2.File
    forward: bool
    number: int
    def __init__(self, file: _Optional[_Union[_pfs_pb2.File, _Mapping]] = ..., forward: _Optional[bool] = ..., number: _Optional[int] = ...) -> None: ...

class LineageStep(_message.Message):
    __slots__ = ("depth", "project", "pipeline", "pipeline_version", "job_id", "processed_by_job_id", "datum_id", "inputs", "outputs", "incomplete")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_BY_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    depth: int
    project: str
    pipeline: str
    pipeline_version: int
    job_id: str
    processed_by_job_id: str
    datum_id: str
    inputs: _containers.RepeatedCompositeFieldContainer[LineageFile]
    outputs: _containers.RepeatedCompositeFieldContainer[LineageFile]
    incomplete: str
    def __init__(self, depth: _Optional[int] = ..., project: _Optional[str] = ..., pipeline: _Optional[str] = ..., pipeline_version: _Optional[int] = ..., job_id: _Optional[str] = ..., processed_by_job_id: _Optional[str] = ..., datum_id: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[LineageFile, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[LineageFile, _Mapping]]] = ..., incomplete: _Optional[str] = ...) -> None: ...

class LineageFile(_message.Message):
    __slots__ = ("repo", "commit_id", "path", "input", "hash", "size_bytes")
    REPO_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    repo: str
    commit_id: str
    path: str
    input: str
    hash: bytes
    size_bytes: int
    def __init__(self, repo: _Optional[str] = ..., commit_id: _Optional[str] = ..., path: _Optional[str] = ..., input: _Optional[str] = ..., hash: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("project", "pipeline")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ...) -> None: ...

class Recommendation(_message.Message):
    __slots__ = ("project", "pipeline", "job_id", "sample", "proposals", "cpus", "memory_bytes", "download_bytes", "upload_bytes")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    project: str
    pipeline: str
    job_id: str
    sample: int
    proposals: _containers.RepeatedCompositeFieldContainer[Proposal]
    cpus: Quantiles
    memory_bytes: Quantiles
    download_bytes: Quantiles
    upload_bytes: Quantiles
    def __init__(self, project: _Optional[str] = ..., pipeline: _Optional[str] = ..., job_id: _Optional[str] = ..., sample: _Optional[int] = ..., proposals: _Optional[_Iterable[_Union[Proposal, _Mapping]]] = ..., cpus: _Optional[_Union[Quantiles, _Mapping]] = ..., memory_bytes: _Optional[_Union[Quantiles, _Mapping]] = ..., download_bytes: _Optional[_Union[Quantiles, _Mapping]] = ..., upload_bytes: _Optional[_Union[Quantiles, _Mapping]] = ...) -> None: ...

class Proposal(_message.Message):
    __slots__ = ("field", "current", "proposed")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    field: str
    current: str
    proposed: str
    def __init__(self, field: _Optional[str] = ..., current: _Optional[str] = ..., proposed: _Optional[str] = ...) -> None: ...

class Quantiles(_message.Message):
    __slots__ = ("median", "high", "largest")
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    median: float
    high: float
    largest: float
    def __init__(self, median: _Optional[float] = ..., high: _Optional[float] = ..., largest: _Optional[float] = ...) -> None: ...
