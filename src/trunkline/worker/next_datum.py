"""The gRPC server of a worker, which its batch program asks for datums: ``pachyderm.worker.Worker``.

It is imported only for batches, because the application and the HTTP server are those of the server's port. While a
program has a datum, the main thread runs its event loop: then a call reaches the main thread, and its answer the
program, without a change of threads. Between claims another thread runs the loop, so that ``Status`` is answered then
too (docs/design/decisions/0132-the-loop-of-batches.md).
"""

from __future__ import annotations

import asyncio
import select
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
from trunkline.worker.command import ASKED, LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.empty_pb2 import Empty

    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.call import Call

_SERVICE = worker_pb2.DESCRIPTOR.services_by_name["Worker"]
_LIMITS = PortLimits(connections=16)


class NextDatumServer:
    """Serves one batch program at a time. The main thread calls its methods."""

    def __init__(self, worker_id: str, restart: Callable[[], None]) -> None:
        """Listen on a free port of the loopback interface, which the containers of a pod share.

        Args:
            worker_id: of the worker.
            restart: starts the current datum again; called from any thread.
        """
        self._loop = asyncio.new_event_loop()
        #: Waits for the program, and for its calls.
        self.poller = LoopPoller(self._loop, self._take_loop)
        self._servicer = _Servicer(worker_id, restart, self.poller.ask)
        #: The thread that runs the loop between claims, from ``rest`` until ``_take_loop``.
        self._thread: threading.Thread | None = None
        self._rest, self._parked = threading.Semaphore(0), threading.Semaphore(0)
        self._is_resting = self._closed = False
        self._http, self.port = self._loop.run_until_complete(self._start())

    async def _start(self) -> tuple[H2cornServer, int]:
        http = H2cornServer(Listeners(["127.0.0.1:0"]), _LIMITS, "text")
        table = methods.table({_SERVICE.full_name: self._servicer}, {_SERVICE.full_name: _SERVICE})
        application = GrpcApplication(Calls(table))

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await application(scope, receive, send)
            self._servicer.answered()

        await http.start(answer)
        return http, int(http.address.rpartition(":")[2])

    def close(self) -> None:
        """Stop; no program may use it any more."""
        self._take_loop()
        self._loop.run_until_complete(self._http.close())
        self._closed = True
        self._rest.release()
        if self._thread is not None:
            self._thread.join()
        self._loop.close()

    def rest(self) -> None:
        """Let the other thread answer calls until the main thread has a datum again."""
        if self._is_resting:
            return
        self.poller.clear()  # another thread does not know what to do when they are readable
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="next-datum", daemon=True)
            self._thread.start()
        self._is_resting = True
        self._rest.release()

    def _serve(self) -> None:
        while self._rest.acquire() and not self._closed:
            self._loop.run_forever()  # until ``_take_loop`` stops it
            self._parked.release()

    def _take_loop(self) -> None:
        """Let the main thread run the loop from now on."""
        if self._is_resting:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._parked.acquire()
            self._is_resting = False

    def take_error(self) -> str:
        """Return the error that the program has asked with, which is about its last datum; empty without one."""
        self.poller.asks = False
        return self._servicer.error

    def answer(
        self,
        env: Sequence[str],
        job_id: str,
        files: Sequence[tuple[str, bytes]],
        then: Callable[[], None] | None = None,
    ) -> None:
        """Give the program its next datum; the answer is sent while the poller waits.

        Args:
            env: ``NAME=value`` each.
            job_id: of its job.
            files: path and hash of each of its files.
            then: called once, when the answer has been sent.
        """
        self._take_loop()
        self._servicer.current = job_id, files, time.time()
        self._servicer.give(env, then)

    def end_datum(self) -> None:
        """Let ``Status`` say that the program has no datum."""
        self._servicer.current = None

    def forget(self) -> None:
        """End the call of a program that has ended."""
        self._take_loop()
        self._servicer.forget()
        self.poller.asks = False
        self._loop.run_until_complete(asyncio.sleep(0))  # its call ends


class LoopPoller:
    """Waits as ``select.poll`` does while the event loop runs, also for a call of ``NextDatum``: ``ASKED``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take_loop: Callable[[], None]) -> None:
        self._loop = loop
        self._take_loop = take_loop
        #: Whether the program has asked for its next datum.
        self.asks = False
        self._polls = False
        self._watched: set[int] = set()
        self._events: list[tuple[int, int]] = []

    def register(self, descriptor: int, events: int = select.POLLIN, /) -> None:
        """Wait for a descriptor to be readable; it stays registered for later datums of the program.

        Args:
            descriptor: to be watched.
            events: always ``POLLIN``.
        """
        del events
        if descriptor not in self._watched:
            self._take_loop()
            self._watched.add(descriptor)
            self._loop.add_reader(descriptor, self._add, descriptor)

    def unregister(self, descriptor: int, /) -> None:
        """Wait for a descriptor no more."""
        self._watched.remove(descriptor)
        self._loop.remove_reader(descriptor)

    def clear(self) -> None:
        """Wait for no descriptor any more, before they are closed."""
        self._take_loop()
        for descriptor in self._watched:
            self._loop.remove_reader(descriptor)
        self._watched.clear()

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """Run the loop until something happens, or for so many milliseconds; return what has happened."""
        timer = None
        if self.asks or timeout < LONGEST_WAIT * 1000:
            timer = self._loop.call_later(0.0 if self.asks else timeout / 1000, self._loop.stop)
        self._polls = True
        self._loop.run_forever()
        self._polls = False
        if timer is not None:
            timer.cancel()
        events, self._events = self._events, []
        if self.asks:
            events.append((ASKED, select.POLLIN))
        return events

    def ask(self) -> None:
        """Note that the program has asked. Called by the loop."""
        self.asks = True
        if self._polls:
            self._loop.stop()

    def _add(self, descriptor: int) -> None:
        self._events.append((descriptor, select.POLLIN))
        self._loop.stop()


class _Servicer:
    """Answers the calls, in the thread that runs the event loop."""

    def __init__(self, worker_id: str, restart: Callable[[], None], ask: Callable[[], None]) -> None:
        self._worker_id = worker_id
        self._restart = restart
        self._ask = ask
        #: Job and files of the datum that the program has, and since when; set by the main thread.
        self.current: tuple[str, Sequence[tuple[str, bytes]], float] | None = None
        self.error = ""
        #: Of the call that waits.
        self._waiting: asyncio.Future[Sequence[str]] | None = None
        #: A datum whose call ended before it had an answer: the program gets it when it asks again.
        self._undelivered: Sequence[str] | None = None
        self._then: Callable[[], None] | None = None

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
            self._ask()
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

    def give(self, env: Sequence[str], then: Callable[[], None] | None) -> None:
        """Answer the call that waits, or the next one."""
        self._then = then
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(env)
        else:
            self._undelivered = env

    def answered(self) -> None:
        """Do what was to be done after an answer."""
        then, self._then = self._then, None
        if then is not None:
            then()

    def forget(self) -> None:
        """End the call that waits."""
        self._undelivered = self._then = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unavailable("the program that asked was ended; nothing waits for it"))
