"""The gRPC server of a worker, which its batch program asks for datums: ``pachyderm.worker.Worker``.

It runs in a thread with an event loop of its own and is imported only for batches, because the application and the
HTTP server are those of the server's port. The main thread waits for ``asked``, reads the error of the call, and
answers it with the variables of the next datum.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING

from trunkline.drivers.http.h2corn_server import H2cornServer
from trunkline.errors import FailedPrecondition, Unavailable
from trunkline.model.port_limits import PortLimits
from trunkline.rpc import methods
from trunkline.rpc.asgi.calls import Calls
from trunkline.rpc.asgi.grpc_application import GrpcApplication
from trunkline.rpc.gen import pps_pb2, worker_pb2
from trunkline.runtime.listening import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.call import Call

_SERVICE = worker_pb2.DESCRIPTOR.services_by_name["Worker"]
_LIMITS = PortLimits(connections=16)


class NextDatumServer:
    """Serves one batch program at a time. The main thread calls its methods."""

    def __init__(self, worker_id: str, restart: Callable[[], None]) -> None:
        """Listen on a free port of the loopback interface, which the containers of a pod share.

        Args:
            worker_id: of the worker.
            restart: starts the current datum again; called from another thread.
        """
        #: Readable when the program has asked.
        self.asked = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop = asyncio.new_event_loop()
        self._servicer = _Servicer(self.asked, worker_id, restart)
        self._thread = threading.Thread(target=self._loop.run_forever, name="next-datum", daemon=True)
        self._thread.start()
        self._http, self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> tuple[H2cornServer, int]:
        http = H2cornServer(Listeners(["127.0.0.1:0"]), _LIMITS, "text")
        table = methods.table({_SERVICE.full_name: self._servicer}, {_SERVICE.full_name: _SERVICE})
        await http.start(GrpcApplication(Calls(table)))
        return http, int(http.address.rpartition(":")[2])

    def close(self) -> None:
        """Stop; no program may use it any more."""
        asyncio.run_coroutine_threadsafe(self._http.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        os.close(self.asked)

    def take_error(self) -> str:
        """Return the error that the program has asked with, which is about its last datum; empty without one."""
        os.eventfd_read(self.asked)
        return self._servicer.error

    def answer(self, env: Sequence[str], job_id: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Give the program its next datum.

        Args:
            env: ``NAME=value`` each.
            job_id: of its job.
            files: path and hash of each of its files.
        """
        self._servicer.current = job_id, files, time.time()
        self._loop.call_soon_threadsafe(self._servicer.give, env)

    def end_datum(self) -> None:
        """Let ``Status`` say that the program has no datum."""
        self._servicer.current = None

    def forget(self) -> None:
        """End the call of a program that has ended."""

        async def forget() -> None:
            self._servicer.forget()

        asyncio.run_coroutine_threadsafe(forget(), self._loop).result()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.asked)


class _Servicer:
    """Answers the calls, in the event loop's thread."""

    def __init__(self, asked: int, worker_id: str, restart: Callable[[], None]) -> None:
        self._asked = asked
        self._worker_id = worker_id
        self._restart = restart
        #: Job and files of the datum that the program has, and since when; set by the main thread.
        self.current: tuple[str, Sequence[tuple[str, bytes]], float] | None = None
        self.error = ""
        #: Of the call that waits.
        self._waiting: asyncio.Future[Sequence[str]] | None = None
        #: A datum whose call ended before it had an answer: the program gets it when it asks again.
        self._undelivered: Sequence[str] | None = None

    async def NextDatum(
        self, request: worker_pb2.NextDatumRequest, call: Call
    ) -> worker_pb2.NextDatumResponse:
        del call
        if self._waiting is not None:
            raise FailedPrecondition(
                "another call of NextDatum waits for a datum; ask again when it has been answered"
            )
        env, self._undelivered = self._undelivered, None
        if env is None:
            self.error = request.error
            waiting = self._waiting = asyncio.get_running_loop().create_future()
            os.eventfd_write(self._asked, 1)
            try:
                env = await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                    self._undelivered = waiting.result()
                raise
            finally:
                self._waiting = None
        return worker_pb2.NextDatumResponse(env=env)

    async def Status(self, request: Empty, call: Call) -> pps_pb2.WorkerStatus:
        del request, call
        status = pps_pb2.WorkerStatus(worker_id=self._worker_id)
        if self.current is not None:
            status.job_id, files, since = self.current
            status.datum_status.started.FromNanoseconds(round(since * 1e9))
            for path, hash_ in files:
                status.datum_status.data.add(path=path, hash=hash_)
        return status

    async def Cancel(self, request: worker_pb2.CancelRequest, call: Call) -> worker_pb2.CancelResponse:
        """Start the datum again if it is of that job and has all of these files."""
        del call
        job_id, files, _ = self.current or ("", (), 0.0)
        if not job_id or job_id != request.job_id:
            return worker_pb2.CancelResponse()
        names = {name for path, hash_ in files for name in (path, hash_.hex(), b64encode(hash_).decode())}
        matches = names.issuperset(request.data_filters)
        if matches:
            self._restart()
        return worker_pb2.CancelResponse(success=matches)

    def give(self, env: Sequence[str]) -> None:
        """Answer the call that waits, or the next one."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(env)
        else:
            self._undelivered = env

    def forget(self) -> None:
        """End the call that waits."""
        self._undelivered = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unavailable("the program that asked was ended; nothing waits for it"))
