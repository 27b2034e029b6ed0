import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportRequest(_message.Message):
    __slots__ = ("machine_id", "name", "slots", "cpu", "memory_bytes", "workers", "wait_seconds", "leaving")
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    machine_id: str
    name: str
    slots: int
    cpu: float
    memory_bytes: int
    workers: _containers.RepeatedCompositeFieldContainer[WorkerReport]
    wait_seconds: float
    leaving: bool
    def __init__(self, machine_id: _Optional[str] = ..., name: _Optional[str] = ..., slots: _Optional[int] = ..., cpu: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., workers: _Optional[_Iterable[_Union[WorkerReport, _Mapping]]] = ..., wait_seconds: _Optional[float] = ..., leaving: _Optional[bool] = ...) -> None: ...

class WorkerReport(_message.Message):
    __slots__ = ("id", "phase", "reason", "queued", "ending")
    ID_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    id: str
    phase: str
    reason: str
    queued: bool
    ending: str
    def __init__(self, id: _Optional[str] = ..., phase: _Optional[str] = ..., reason: _Optional[str] = ..., queued: _Optional[bool] = ..., ending: _Optional[str] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[MachineWorker]
    def __init__(self, workers: _Optional[_Iterable[_Union[MachineWorker, _Mapping]]] = ...) -> None: ...

class MachineWorker(_message.Message):
    __slots__ = ("id", "token", "project", "pipeline", "version", "spec_json", "memory_bytes", "grace_seconds", "stop", "stop_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    GRACE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    STOP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    token: str
    project: str
    pipeline: str
    version: int
    spec_json: str
    memory_bytes: int
    grace_seconds: float
    stop: bool
    stop_seconds: float
    def __init__(self, id: _Optional[str] = ..., token: _Optional[str] = ..., project: _Optional[str] = ..., pipeline: _Optional[str] = ..., version: _Optional[int] = ..., spec_json: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., grace_seconds: _Optional[float] = ..., stop: _Optional[bool] = ..., stop_seconds: _Optional[float] = ...) -> None: ...

class CreateWorkerTokenRequest(_message.Message):
    __slots__ = ("valid_seconds",)
    VALID_SECONDS_FIELD_NUMBER: _ClassVar[int]
    valid_seconds: float
    def __init__(self, valid_seconds: _Optional[float] = ...) -> None: ...

class ListWorkerTokenRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerTokenInfo(_message.Message):
    __slots__ = ("id", "token", "created", "expires")
    ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    id: str
    token: str
    created: _timestamp_pb2.Timestamp
    expires: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., token: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeWorkerTokenRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RevokeWorkerTokenResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
