"""Calls every RPC with messages that nobody should send, and looks at what others notice of it.

Messages are made from the descriptors, by a seed: the same seed makes the same calls. What counts as a fault is an
answer that blames the server (INTERNAL, UNKNOWN, DATA_LOSS), a message of several lines, and any failure of the
probe, which makes ordinary calls meanwhile.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from trunkline.rpc.gen import pfs_pb2, pps_pb2
from trunkline.rpc.methods import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

#: Codes that say that the fault is the server's.
FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
#: RPCs that delete what the fuzzer and the probe work on. They get bytes that are no message, and nothing else.
DESTRUCTIVE = {
    "pfs_v2.API/DeleteAll", "pfs_v2.API/DeleteRepos", "pfs_v2.API/DeleteProject", "pps_v2.API/DeleteAll",
    "pps_v2.API/DeletePipelines", "pps_v2.API/DeletePipeline", "pfs_v2.API/DeleteRepo",
}  # fmt: skip
#: Seconds after which a call that waits by design is given up, and any other.
WAITING, PATIENCE = 0.3, 20.0
WAITS = ("Subscribe", "Inspect", "Watch", "Claim", "GetLogs", "RunLoadTest", "RunPFSLoadTest", "DumpV2")
KINDS = ("bytes", "empty", "random", "extreme", "large", "deep")

TEXTS = [
    "",
    "a",
    "fuzz",
    "default",
    "master",
    "user",
    "spec",
    "meta",
    "/",
    "/x",
    "//",
    "..",
    "/../x",
    "*",
    "/**",
    "[",
    "{",
    "!(",
    "\0",
    "a\0b",
    "\n",
    "a\nb",
    "\u202e",
    "\ufffd",
    "é" * 300,
    "a" * 5_000,
    "-1",
    "9" * 400,
    "NaN",
    "null",
    "master^",
    "^",
    "master^999999999",
    "master.1",
    "fuzz@master:/x",
    "0" * 32,
    "0" * 12 + "4" + "0" * 19,
    "__filesets__",
    "out",
    "%s%n",
    "'; DROP TABLE repo; --",
    "+(+(+(a)))b",
    "*(*(*(*(?)X|a)X|a)X|a)",
    "(a*)*(a*)*(a*)*b",
    "?" * 999,
    '{a="b"} |~ "(.|.)*~$"',
    '{pipelineName=~"(a|a)*b"}',
    '{a=~"("}',
    '{"pipeline": {"name": "x"}}',
    "[" * 2_000,
    '{"a":' + "9" * 5_000 + "}",
    "http://127.0.0.1:1/",
    "file:///etc/passwd",
]
INTEGERS = [0, 1, -1, 100, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1]
FLOATS = [0.0, -1.0, 1e308, -1e308, float("nan"), float("inf"), float("-inf")]
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def methods() -> dict[str, MethodDescriptor]:
    """Return every RPC by its name, such as ``pfs_v2.API/InspectRepo``."""
    return {
        f"{name}/{method.name}": method for name, service in SERVICES.items() for method in service.methods
    }


class Messages:
    """Makes messages by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        #: Texts that mean something on this server, such as ids.
        self.names: list[str] = []

    def make(self, method: MethodDescriptor, kind: str) -> bytes:
        """Return one request of a method."""
        message = GetMessageClass(method.input_type)()
        match kind:
            case "bytes":
                return self._bytes()
            case "empty":
                self._fill_empty(message, 3)
            case "random":
                self._fill(message, 4, chance=self._random.choice((0.2, 0.5, 0.9)), extreme=False)
            case "extreme":
                self._fill(message, 4, chance=0.8, extreme=True)
            case "large":
                self._fill(message, 2, chance=0.5, extreme=False)
                self._enlarge(message)
            case "deep":
                self._fill(message, 2, chance=0.5, extreme=False)
                self._deepen(message, 80)
        return message.SerializeToString()

    def _bytes(self) -> bytes:
        return self._random.choice(
            (
                self._random.randbytes(self._random.choice((1, 2, 7, 60, 3_000))),
                b"\xff" * self._random.choice((1, 11, 200_000)),
                b"\x0a" * 50,
                b"\x0b" * 60_000,
                b"\x12" + b"\xff" * 1_000_000,
                b"\x0a\xff\xff\xff\xff\x0f",
            )
        )

    def _fill_empty(self, message: Message, depth: int) -> None:
        """Set sub-messages and leave them empty."""
        for descriptor in message.DESCRIPTOR.fields:
            if descriptor.message_type is None or _is_map(descriptor) or self._random.random() < 0.3:
                continue
            if descriptor.is_repeated:
                inner = getattr(message, descriptor.name).add()
            else:
                inner = getattr(message, descriptor.name)
                inner.SetInParent()
            if depth and self._random.random() < 0.6:
                self._fill_empty(inner, depth - 1)

    def _fill(self, message: Message, depth: int, *, chance: float, extreme: bool) -> None:
        for descriptor in message.DESCRIPTOR.fields:
            if self._random.random() > chance:
                continue
            count = self._random.choice((0, 1, 2, 5)) if descriptor.is_repeated else 1
            if _is_map(descriptor):
                self._fill_map(message, descriptor, count)
            elif descriptor.message_type is not None:
                for _ in range(count if depth else 0):
                    target = getattr(message, descriptor.name)
                    inner = target.add() if descriptor.is_repeated else target
                    if not descriptor.is_repeated:
                        inner.SetInParent()
                    self._fill(inner, depth - 1, chance=chance, extreme=extreme)
            elif descriptor.is_repeated:
                getattr(message, descriptor.name).extend(
                    self._scalar(descriptor, extreme) for _ in range(count)
                )
            else:
                setattr(message, descriptor.name, self._scalar(descriptor, extreme))

    def _fill_map(self, message: Message, descriptor: FieldDescriptor, count: int) -> None:
        entry = descriptor.message_type
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        if value.message_type is None:
            for _ in range(count):
                getattr(message, descriptor.name)[self._scalar(key, False)] = self._scalar(value, False)

    def _scalar(self, descriptor: FieldDescriptor, extreme: bool) -> Any:
        if descriptor.type == FieldDescriptor.TYPE_BYTES:
            return self._random.choice((b"", b"\0", self._random.randbytes(32), b"\xff" * 5_000))
        match descriptor.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                if self.names and self._random.random() < 0.3:
                    return self._random.choice(self.names)
                # With extreme numbers beside names that exist, a call gets past the look-up of the names.
                return self._random.choice(TEXTS if self._random.random() < 0.5 else TEXTS[:10])
            case FieldDescriptor.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                return self._random.choice([*descriptor.enum_type.values_by_number, 999, -1])
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return self._random.choice(FLOATS)
            case _:
                low, high = RANGES[descriptor.cpp_type]
                fitting = [number for number in INTEGERS if low <= number <= high]
                return self._random.choice(fitting if extreme else fitting[:4])

    def _enlarge(self, message: Message) -> None:
        """Make one field a mebibyte long, or a list of many."""
        fields = [descriptor for descriptor in message.DESCRIPTOR.fields if not _is_map(descriptor)]
        self._random.shuffle(fields)
        for descriptor in fields:
            if descriptor.is_repeated and descriptor.message_type is not None:
                for _ in range(20_000):
                    getattr(message, descriptor.name).add()
                return
            if descriptor.cpp_type == FieldDescriptor.CPPTYPE_STRING:
                is_bytes = descriptor.type == FieldDescriptor.TYPE_BYTES
                values = [b"x" * 10] * 50_000 if is_bytes else ["x" * 10] * 50_000
                if descriptor.is_repeated:
                    getattr(message, descriptor.name).extend(values)
                else:
                    setattr(message, descriptor.name, b"x" * 3_000_000 if is_bytes else "x" * 3_000_000)
                return

    def _deepen(self, message: Message, levels: int) -> None:
        """Nest messages of a kind within each other as far as they go."""
        while levels:
            inner = next((d for d in _nestable(message) if _can_recurse(d)), None)
            if inner is None:
                return
            target = getattr(message, inner.name)
            message = target.add() if inner.is_repeated else target
            if not inner.is_repeated:
                message.SetInParent()
            levels -= 1


def _is_map(descriptor: FieldDescriptor) -> bool:
    return descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry


def _nestable(message: Message) -> Iterator[FieldDescriptor]:
    return (d for d in message.DESCRIPTOR.fields if d.message_type is not None and not _is_map(d))


def _can_recurse(descriptor: FieldDescriptor, depth: int = 3) -> bool:
    """Return whether a message of this field may hold one of its own kind, not too far below."""
    inner = descriptor.message_type
    return any(
        d.message_type is inner or (depth and d.message_type is not None and _can_recurse(d, depth - 1))
        for d in inner.fields
        if d.message_type is not None
    )


@dataclass
class Outcome:
    """What a run of the fuzzer met."""

    calls: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    #: RPC, kind, code, message.
    faults: list[tuple[str, str, str, str]] = field(default_factory=list)


class Fuzzer:
    """Calls the RPCs of a server."""

    def __init__(self, address: str, seed: int) -> None:
        self.messages = Messages(seed)
        self._order = random.Random(seed)
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self.outcome = Outcome()
        self._missing: set[str] = set()

    def close(self) -> None:
        self._channel.close()

    def run(self, seconds: float, only: Callable[[str], bool] = lambda _: True) -> Outcome:
        """Call RPCs in turns until the time is over; every one at least once with each kind if it suffices."""
        end = time.monotonic() + seconds
        calls = [(name, kind) for name in methods() if only(name) for kind in KINDS]
        while True:
            self._order.shuffle(calls)
            for name, kind in calls:
                if time.monotonic() > end:
                    return self.outcome
                if name not in self._missing and (kind == "bytes" or name not in DESTRUCTIVE):
                    self._call(name, kind)

    def _call(self, name: str, kind: str) -> None:
        method = methods()[name]
        short = name.rpartition("/")[2]
        count = self._order.choice((0, 1, 3)) if method.client_streaming else 1
        requests = [self.messages.make(method, kind) for _ in range(count)]
        timeout = WAITING if short.startswith(WAITS) else PATIENCE
        code, details = self._answer(name, method, requests, timeout)
        outcome = self.outcome
        outcome.calls += 1
        outcome.codes[code] = outcome.codes.get(code, 0) + 1
        if code == "UNIMPLEMENTED" and "is not built yet in Trunkline" in details:
            self._missing.add(name)
        late = code == "DEADLINE_EXCEEDED" and timeout == PATIENCE
        if code in FAULTS or late or "\n" in details:
            outcome.faults.append((name, kind, code, details[:300]))

    def _answer(
        self, name: str, method: MethodDescriptor, requests: list[bytes], timeout: float
    ) -> tuple[str, str]:
        how = (
            "stream" if method.client_streaming else "unary",
            "stream" if method.server_streaming else "unary",
        )
        call = getattr(self._channel, "_".join(how))(f"/{name}", None, None)
        try:
            answer = call(iter(requests) if method.client_streaming else requests[0], timeout=timeout)
            if method.server_streaming:
                for number, _ in enumerate(answer):
                    if number > 500:
                        answer.cancel()
                        break
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""


class Probe:
    """Makes ordinary calls beside the fuzzer, in a thread of its own. A context."""

    def __init__(self, address: str, pause: float = 0.02) -> None:
        self._channel = grpc.insecure_channel(address)
        self._pause = pause
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        #: Seconds of each call.
        self.latencies: list[float] = []
        self.failures: list[str] = []

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(60)
        self._channel.close()

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def _run(self) -> None:
        steps = [
            ("admin_v2.API/InspectCluster", [b""]),
            ("grpc.health.v1.Health/Check", [b""]),
            (
                "pfs_v2.API/ModifyFile",
                [frame.SerializeToString() for frame in put_frames("probe", "/file", b"x")],
            ),
            (
                "pfs_v2.API/GetFile",
                [
                    pfs_pb2.GetFileRequest(
                        file=pfs_pb2.File(commit=commit_of("probe"), path="/file")
                    ).SerializeToString()
                ],
            ),
        ]
        while not self._end.is_set():
            for name, requests in steps:
                begun = time.monotonic()
                try:
                    if name.endswith("ModifyFile"):
                        self._channel.stream_unary(f"/{name}")(iter(requests), timeout=PATIENCE)
                    elif name.endswith("GetFile"):
                        list(self._channel.unary_stream(f"/{name}")(requests[0], timeout=PATIENCE))
                    else:
                        self._channel.unary_unary(f"/{name}")(requests[0], timeout=PATIENCE)
                except grpc.RpcError as error:
                    self.failures.append(f"{name}: {error.code().name} {error.details()}")
                self.latencies.append(time.monotonic() - begun)
                self._end.wait(self._pause)


# --- a world to call about ------------------------------------------------------------------------------


def commit_of(repo: str, branch: str = "master") -> pfs_pb2.Commit:
    return pfs_pb2.Commit(branch=pfs_pb2.Branch(repo=repo_of(repo), name=branch))


def repo_of(name: str) -> pfs_pb2.Repo:
    return pfs_pb2.Repo(name=name, type="user", project=pfs_pb2.Project(name="default"))


def put_frames(repo: str, path: str, content: bytes) -> list[pfs_pb2.ModifyFileRequest]:
    frame = pfs_pb2.ModifyFileRequest()
    frame.add_file.path = path
    frame.add_file.raw.value = content
    return [pfs_pb2.ModifyFileRequest(set_commit=commit_of(repo)), frame]


def make_world(address: str) -> list[str]:
    """Make repos, a file, a pipeline with a job; return ids that calls can name."""
    with grpc.insecure_channel(address) as channel:

        def unary(name: str, request: Message, reply: Any) -> Any:
            return channel.unary_unary(
                f"/{name}", type(request).SerializeToString, reply.FromString if reply else None
            )(request, timeout=PATIENCE)

        for name in ("fuzz", "probe"):
            unary("pfs_v2.API/CreateRepo", pfs_pb2.CreateRepoRequest(repo=repo_of(name)), None)
            frames = [frame.SerializeToString() for frame in put_frames(name, "/x", b"content")]
            channel.stream_unary("/pfs_v2.API/ModifyFile")(iter(frames), timeout=PATIENCE)
        spec = pps_pb2.CreatePipelineRequest(autoscaling=True)
        spec.pipeline.name = "copy"
        spec.transform.cmd.extend(["sh", "-c", "cp /pfs/fuzz/* /pfs/out; echo aaaaaaaaaaaaaaaaaaaaaaaa"])
        spec.input.pfs.repo, spec.input.pfs.glob = "fuzz", "/*"
        unary("pps_v2.API/CreatePipeline", spec, None)
        commits = channel.unary_stream(
            "/pfs_v2.API/ListCommit",
            pfs_pb2.ListCommitRequest.SerializeToString,
            pfs_pb2.CommitInfo.FromString,
        )(pfs_pb2.ListCommitRequest(repo=repo_of("fuzz")), timeout=PATIENCE)
        return [info.commit.id for info in commits] + ["fuzz", "copy"]
