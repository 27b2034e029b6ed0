from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterRequest(_message.Message):
    __slots__ = ("pid",)
    PID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    def __init__(self, pid: _Optional[int] = ...) -> None: ...

class RegisterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ClaimRequest(_message.Message):
    __slots__ = ("wait_seconds", "held")
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    wait_seconds: float
    held: str
    def __init__(self, wait_seconds: _Optional[float] = ..., held: _Optional[str] = ...) -> None: ...

class ClaimResponse(_message.Message):
    __slots__ = ("retire", "assignment", "held")
    RETIRE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    retire: bool
    assignment: Assignment
    held: bool
    def __init__(self, retire: _Optional[bool] = ..., assignment: _Optional[_Union[Assignment, _Mapping]] = ..., held: _Optional[bool] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("claim_id", "lease_seconds", "project", "pipeline", "direct", "datum_run", "batch_run", "program_run", "pipeline_token", "port", "sent_items", "sent_files")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    DATUM_RUN_FIELD_NUMBER: _ClassVar[int]
    BATCH_RUN_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_RUN_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    SENT_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SENT_FILES_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    lease_seconds: float
    project: str
    pipeline: str
    direct: bool
    datum_run: DatumRun
    batch_run: DatumRun
    program_run: DatumRun
    pipeline_token: str
    port: Port
    sent_items: _containers.RepeatedScalarFieldContainer[int]
    sent_files: _containers.RepeatedCompositeFieldContainer[FilePiece]
    def __init__(self, claim_id: _Optional[str] = ..., lease_seconds: _Optional[float] = ..., project: _Optional[str] = ..., pipeline: _Optional[str] = ..., direct: _Optional[bool] = ..., datum_run: _Optional[_Union[DatumRun, _Mapping]] = ..., batch_run: _Optional[_Union[DatumRun, _Mapping]] = ..., program_run: _Optional[_Union[DatumRun, _Mapping]] = ..., pipeline_token: _Optional[str] = ..., port: _Optional[_Union[Port, _Mapping]] = ..., sent_items: _Optional[_Iterable[int]] = ..., sent_files: _Optional[_Iterable[_Union[FilePiece, _Mapping]]] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("internal", "external")
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    internal: int
    external: int
    def __init__(self, internal: _Optional[int] = ..., external: _Optional[int] = ...) -> None: ...

class DatumRun(_message.Message):
    __slots__ = ("job_id", "output_commit_id", "command", "datum_tries", "datum_timeout_seconds", "items", "datums", "tracestate", "memory_retry_bytes")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    DATUM_TRIES_FIELD_NUMBER: _ClassVar[int]
    DATUM_TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DATUMS_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_RETRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    output_commit_id: str
    command: Command
    datum_tries: int
    datum_timeout_seconds: float
    items: _containers.RepeatedCompositeFieldContainer[Item]
    datums: _containers.RepeatedCompositeFieldContainer[Datum]
    tracestate: str
    memory_retry_bytes: int
    def __init__(self, job_id: _Optional[str] = ..., output_commit_id: _Optional[str] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., datum_tries: _Optional[int] = ..., datum_timeout_seconds: _Optional[float] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., datums: _Optional[_Iterable[_Union[Datum, _Mapping]]] = ..., tracestate: _Optional[str] = ..., memory_retry_bytes: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("cmd", "stdin", "err_cmd", "err_stdin", "env", "working_dir", "accept_return_code", "user", "secret_files")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CMD_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    ERR_CMD_FIELD_NUMBER: _ClassVar[int]
    ERR_STDIN_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIR_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_RETURN_CODE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SECRET_FILES_FIELD_NUMBER: _ClassVar[int]
    cmd: _containers.RepeatedScalarFieldContainer[str]
    stdin: _containers.RepeatedScalarFieldContainer[str]
    err_cmd: _containers.RepeatedScalarFieldContainer[str]
    err_stdin: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    working_dir: str
    accept_return_code: _containers.RepeatedScalarFieldContainer[int]
    user: str
    secret_files: _containers.RepeatedCompositeFieldContainer[SecretFile]
    def __init__(self, cmd: _Optional[_Iterable[str]] = ..., stdin: _Optional[_Iterable[str]] = ..., err_cmd: _Optional[_Iterable[str]] = ..., err_stdin: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., working_dir: _Optional[str] = ..., accept_return_code: _Optional[_Iterable[int]] = ..., user: _Optional[str] = ..., secret_files: _Optional[_Iterable[_Union[SecretFile, _Mapping]]] = ...) -> None: ...

class SecretFile(_message.Message):
    __slots__ = ("folder", "name", "content")
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    folder: str
    name: str
    content: bytes
    def __init__(self, folder: _Optional[str] = ..., name: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("input", "path", "hash", "commit_id", "size_bytes", "empty_files", "join_on", "group_by", "lazy")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    EMPTY_FILES_FIELD_NUMBER: _ClassVar[int]
    JOIN_ON_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    LAZY_FIELD_NUMBER: _ClassVar[int]
    input: str
    path: str
    hash: bytes
    commit_id: str
    size_bytes: int
    empty_files: bool
    join_on: str
    group_by: str
    lazy: bool
    def __init__(self, input: _Optional[str] = ..., path: _Optional[str] = ..., hash: _Optional[bytes] = ..., commit_id: _Optional[str] = ..., size_bytes: _Optional[int] = ..., empty_files: _Optional[bool] = ..., join_on: _Optional[str] = ..., group_by: _Optional[str] = ..., lazy: _Optional[bool] = ...) -> None: ...

class Datum(_message.Message):
    __slots__ = ("id", "items", "traceparent")
    ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    items: _containers.RepeatedScalarFieldContainer[int]
    traceparent: str
    def __init__(self, id: _Optional[str] = ..., items: _Optional[_Iterable[int]] = ..., traceparent: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("claim_id", "datum", "datum_started")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    DATUM_FIELD_NUMBER: _ClassVar[int]
    DATUM_STARTED_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    datum: int
    datum_started: float
    def __init__(self, claim_id: _Optional[str] = ..., datum: _Optional[int] = ..., datum_started: _Optional[float] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("valid", "restart_datum", "retire")
    VALID_FIELD_NUMBER: _ClassVar[int]
    RESTART_DATUM_FIELD_NUMBER: _ClassVar[int]
    RETIRE_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    restart_datum: bool
    retire: bool
    def __init__(self, valid: _Optional[bool] = ..., restart_datum: _Optional[bool] = ..., retire: _Optional[bool] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("claim_id", "items", "direct", "path")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DIRECT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    items: _containers.RepeatedScalarFieldContainer[int]
    direct: bool
    path: str
    def __init__(self, claim_id: _Optional[str] = ..., items: _Optional[_Iterable[int]] = ..., direct: _Optional[bool] = ..., path: _Optional[str] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("pieces", "packs")
    PIECES_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    pieces: _containers.RepeatedCompositeFieldContainer[FilePiece]
    packs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pieces: _Optional[_Iterable[_Union[FilePiece, _Mapping]]] = ..., packs: _Optional[_Iterable[str]] = ...) -> None: ...

class FilePiece(_message.Message):
    __slots__ = ("item", "path", "data", "last", "places")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    item: int
    path: str
    data: bytes
    last: bool
    places: _containers.RepeatedCompositeFieldContainer[ChunkPlace]
    def __init__(self, item: _Optional[int] = ..., path: _Optional[str] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ..., places: _Optional[_Iterable[_Union[ChunkPlace, _Mapping]]] = ...) -> None: ...

class ChunkPlace(_message.Message):
    __slots__ = ("id", "pack", "offset", "stored", "length", "codec")
    ID_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    pack: int
    offset: int
    stored: int
    length: int
    codec: int
    def __init__(self, id: _Optional[bytes] = ..., pack: _Optional[int] = ..., offset: _Optional[int] = ..., stored: _Optional[int] = ..., length: _Optional[int] = ..., codec: _Optional[int] = ...) -> None: ...

class OfferRequest(_message.Message):
    __slots__ = ("claim_id", "ids")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    ids: bytes
    def __init__(self, claim_id: _Optional[str] = ..., ids: _Optional[bytes] = ...) -> None: ...

class OfferResponse(_message.Message):
    __slots__ = ("missing", "pack", "url", "grant")
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[int]
    pack: str
    url: str
    grant: bytes
    def __init__(self, missing: _Optional[_Iterable[int]] = ..., pack: _Optional[str] = ..., url: _Optional[str] = ..., grant: _Optional[bytes] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("claim_id", "outputs", "results", "release", "packs", "files", "copies", "claim_next")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    COPIES_FIELD_NUMBER: _ClassVar[int]
    CLAIM_NEXT_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    outputs: _containers.RepeatedCompositeFieldContainer[OutputPiece]
    results: _containers.RepeatedCompositeFieldContainer[DatumResult]
    release: bool
    packs: _containers.RepeatedCompositeFieldContainer[StoredPack]
    files: _containers.RepeatedCompositeFieldContainer[StoredFile]
    copies: _containers.RepeatedCompositeFieldContainer[InputCopy]
    claim_next: bool
    def __init__(self, claim_id: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[OutputPiece, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[DatumResult, _Mapping]]] = ..., release: _Optional[bool] = ..., packs: _Optional[_Iterable[_Union[StoredPack, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[StoredFile, _Mapping]]] = ..., copies: _Optional[_Iterable[_Union[InputCopy, _Mapping]]] = ..., claim_next: _Optional[bool] = ...) -> None: ...

class InputCopy(_message.Message):
    __slots__ = ("datum", "path", "item", "source")
    DATUM_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    datum: int
    path: str
    item: int
    source: str
    def __init__(self, datum: _Optional[int] = ..., path: _Optional[str] = ..., item: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class StoredPack(_message.Message):
    __slots__ = ("pack", "size", "grant")
    PACK_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    pack: str
    size: int
    grant: bytes
    def __init__(self, pack: _Optional[str] = ..., size: _Optional[int] = ..., grant: _Optional[bytes] = ...) -> None: ...

class StoredFile(_message.Message):
    __slots__ = ("datum", "path", "chunks")
    DATUM_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    datum: int
    path: str
    chunks: bytes
    def __init__(self, datum: _Optional[int] = ..., path: _Optional[str] = ..., chunks: _Optional[bytes] = ...) -> None: ...

class OutputPiece(_message.Message):
    __slots__ = ("datum", "path", "data")
    DATUM_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    datum: int
    path: str
    data: bytes
    def __init__(self, datum: _Optional[int] = ..., path: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class DatumResult(_message.Message):
    __slots__ = ("datum", "state", "reason", "download_ns", "process_ns", "upload_ns", "download_bytes", "upload_bytes", "started", "finished", "cpu_ns", "peak_memory_bytes")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DatumResult.State]
        SUCCESS: _ClassVar[DatumResult.State]
        FAILED: _ClassVar[DatumResult.State]
        RECOVERED: _ClassVar[DatumResult.State]
    STATE_UNSPECIFIED: DatumResult.State
    SUCCESS: DatumResult.State
    FAILED: DatumResult.State
    RECOVERED: DatumResult.State
    DATUM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_NS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_NS_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    CPU_NS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    datum: int
    state: DatumResult.State
    reason: str
    download_ns: int
    process_ns: int
    upload_ns: int
    download_bytes: int
    upload_bytes: int
    started: float
    finished: float
    cpu_ns: int
    peak_memory_bytes: int
    def __init__(self, datum: _Optional[int] = ..., state: _Optional[_Union[DatumResult.State, str]] = ..., reason: _Optional[str] = ..., download_ns: _Optional[int] = ..., process_ns: _Optional[int] = ..., upload_ns: _Optional[int] = ..., download_bytes: _Optional[int] = ..., upload_bytes: _Optional[int] = ..., started: _Optional[float] = ..., finished: _Optional[float] = ..., cpu_ns: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("accepted", "retire", "assignment")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    RETIRE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    retire: bool
    assignment: Assignment
    def __init__(self, accepted: _Optional[bool] = ..., retire: _Optional[bool] = ..., assignment: _Optional[_Union[Assignment, _Mapping]] = ...) -> None: ...

class LogRequest(_message.Message):
    __slots__ = ("claim_id", "lines")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    def __init__(self, claim_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("datum", "ts_ns", "message", "system")
    DATUM_FIELD_NUMBER: _ClassVar[int]
    TS_NS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    datum: int
    ts_ns: int
    message: bytes
    system: bool
    def __init__(self, datum: _Optional[int] = ..., ts_ns: _Optional[int] = ..., message: _Optional[bytes] = ..., system: _Optional[bool] = ...) -> None: ...

class LogResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndProgramRequest(_message.Message):
    __slots__ = ("claim_id", "reason")
    CLAIM_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    claim_id: str
    reason: str
    def __init__(self, claim_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EndProgramResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
