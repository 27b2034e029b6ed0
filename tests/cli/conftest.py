"""A real grpc.aio server with scripted answers, and fixtures that run the command line against it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import pytest
from cli_messages import Refusal
from google.protobuf.message_factory import GetMessageClass

from trunkline.cli.main import main
from trunkline.rpc.gen import (
    admin_pb2,
    console_pb2,
    control_pb2,
    debug_pb2,
    explain_pb2,
    machines_pb2,
    metadata_pb2,
    pfs_pb2,
    pps_pb2,
    transaction_pb2,
    version_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor


class ScriptedServer:
    """Answers each call with what ``answers`` holds for its name, and records the requests.

    An answer is a message, a list of messages for a stream, a Refusal, or a function of the requests that
    returns one of these. A call without an answer gets an empty message, or an empty stream.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: dict[str, list[Any]] = {}
        #: Metadata after each answer.
        self.trailing: list[tuple[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server, self.port = self._run(self._start())
        self.address = f"127.0.0.1:{self.port}"

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _start(self) -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 20 << 20)])
        for module, service in (
            (pfs_pb2, "API"),
            (pps_pb2, "API"),
            (version_pb2, "API"),
            (console_pb2, "Console"),
            (control_pb2, "Control"),
            (explain_pb2, "Explain"),
            (transaction_pb2, "API"),
            (debug_pb2, "Debug"),
            (machines_pb2, "Machines"),
            (metadata_pb2, "API"),
            (admin_pb2, "API"),
        ):
            server.add_generic_rpc_handlers((self._handlers(module.DESCRIPTOR.services_by_name[service]),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    def _handlers(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        methods = {method.name: self._handler(method) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def _handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler:
        request_class, answer_class = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

        async def answer(requests: Any, context: Any) -> Any:
            asked = [request async for request in requests] if method.client_streaming else requests
            self.asked.setdefault(method.name, []).append(asked)
            reply = self.answers.get(method.name, [] if method.server_streaming else answer_class())
            if callable(reply):
                reply = reply(asked)
            context.set_trailing_metadata(self.trailing)
            if isinstance(reply, Refusal):
                await context.abort(reply.code, reply.message)
            return reply

        async def stream(requests: Any, context: Any) -> Any:
            for message in await answer(requests, context):
                yield message

        kind = ("stream" if method.client_streaming else "unary") + (
            "_stream" if method.server_streaming else "_unary"
        )
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            stream if method.server_streaming else answer,
            request_deserializer=request_class.FromString,
            response_serializer=answer_class.SerializeToString,
        )

    def only(self, call: str) -> Any:
        """Return the request of the only call of that name."""
        (request,) = self.asked[call]
        return request

    def close(self) -> None:
        self._run(self._server.stop(None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty home, and no address in the environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for variable in (
        "XDG_CONFIG_HOME",
        "TRUNKLINE_ADDRESS",
        "PACHD_ADDRESS",
        "TRUNKLINE_CONTEXT",
        "PACH_CONFIG",
        "NO_COLOR",
    ):
        monkeypatch.delenv(variable, raising=False)
    return folder


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(server, capfd, monkeypatch) -> Callable[..., Outcome]:
    """Run a command line in this process against the scripted server."""
    monkeypatch.setenv("TRUNKLINE_ADDRESS", server.address)

    def run(*words: str) -> Outcome:
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def spawn(server) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a command line as a process of its own against the scripted server.

    A shell starts what it puts into the background with SIGINT ignored, and processes inherit that: a test run in the
    background would start command lines that Ctrl-C does not reach.
    """
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    processes: list[subprocess.Popen[bytes]] = []

    def spawn(*words: str, **settings: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "TRUNKLINE_ADDRESS": server.address, **settings.pop("env", {})}
        command = [sys.executable, "-m", "trunkline.cli", *words]
        streams = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        processes.append(subprocess.Popen(command, env=environment, **{**streams, **settings}))
        return processes[-1]

    yield spawn
    signal.signal(signal.SIGINT, ignored)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()
