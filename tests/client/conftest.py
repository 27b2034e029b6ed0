"""Real grpc.aio servers for the tests of the client, in a thread and in a process of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from certificates import Authority

LIMIT = 64 << 20


# ruff: noqa: ARG002 - gRPC decides the methods' arguments


class Servicer:
    """One method per kind of call; the requests control what happens."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.metadata: dict[str, str] = {}

    async def echo(self, request: bytes, context: Any) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        return request

    async def sleep(self, request: bytes, context: Any) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request

    async def fail(self, request: bytes, context: Any) -> bytes:
        code, _, message = request.partition(b" ")
        await context.abort(next(c for c in grpc.StatusCode if c.name == code.decode()), message.decode())
        return b""

    async def trailing(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata([("x-long", "v" * int(request))])
        return b"done"

    async def count(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        number = size = 0
        async for request in requests:
            number += 1
            size += len(request)
        return f"{number} {size}".encode()

    async def refuse_at(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for request in requests:
            if request == b"bad":
                await context.abort(grpc.StatusCode.NOT_FOUND, 'repo "x" not found; create it first')
        return b"fine"

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        number, size = map(int, request.split())
        for position in range(number):
            yield position.to_bytes(4, "big") + bytes(size)

    async def endless(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        context.add_done_callback(lambda _: self.cancelled.set())
        while True:
            yield bytes(int(request))

    async def fail_late(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        await context.abort(grpc.StatusCode.DATA_LOSS, "100 % wrong - ünlucky")

    def handler(self) -> grpc.GenericRpcHandler:
        unary, upload, download = (
            grpc.unary_unary_rpc_method_handler,
            grpc.stream_unary_rpc_method_handler,
            grpc.unary_stream_rpc_method_handler,
        )
        return grpc.method_handlers_generic_handler(
            "test.T",
            {
                "Echo": unary(self.echo),
                "Sleep": unary(self.sleep),
                "Fail": unary(self.fail),
                "Trailing": unary(self.trailing),
                "Count": upload(self.count),
                "RefuseAt": upload(self.refuse_at),
                "Many": download(self.many),
                "Endless": download(self.endless),
                "FailLate": download(self.fail_late),
            },
        )


async def start(
    servicer: Servicer, port: int = 0, credentials: grpc.ServerCredentials | None = None
) -> tuple[grpc.aio.Server, int]:
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((servicer.handler(),))
    if credentials is None:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    return server, port


class RunningServer:
    """A server on a loop in a thread, which the test may stop and start again on its port."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.servicer = Servicer()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server, self.port = self._run(start(self.servicer, 0, credentials))
        self.address = f"127.0.0.1:{self.port}"

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def stop(self) -> None:
        self._run(self._server.stop(None))

    def restart(self) -> None:
        self._server, self.port = self._run(start(self.servicer, self.port))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def server() -> Iterator[RunningServer]:
    running = RunningServer()
    yield running
    running.close()


@pytest.fixture(scope="module")
def secure_server(authority: Authority) -> Iterator[RunningServer]:
    """A server with TLS, whose certificate is valid for localhost and 127.0.0.1."""
    pair = authority.issue("localhost", "127.0.0.1")
    running = RunningServer(
        grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
    )
    yield running
    running.close()


@pytest.fixture
def server_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that can be killed, and its address."""
    process = subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    yield process, address
    process.kill()
    process.wait()
    process.stdout.close()


async def _serve() -> None:
    server, port = await start(Servicer())
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
