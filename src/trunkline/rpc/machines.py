"""The API of machines that join (``protos/trunkline/machines/machines.proto``)."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Protocol

from trunkline import errors
from trunkline.model.spec import to_json
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting
from trunkline.pps import machine_tokens
from trunkline.rpc.gen import machines_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Executor

    from trunkline.model.workers import WorkerSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call

#: Seconds that a report waits at most for a change.
LONGEST_WAIT = 10.0
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Assigned(Protocol):
    """A worker that a machine should have."""

    worker_id: str
    spec: WorkerSpec | None
    stop: float | None


class Machines(Protocol):
    """The fleet that machines join."""

    def report(
        self,
        machine_id: str,
        machine: Machine,
        slots: int,
        sightings: Sequence[WorkerSighting],
        wake: Callable[[], None],
    ) -> tuple[bool, Sequence[Assigned]]:
        """Take a report over.

        Args:
            machine_id: of the machine.
            machine: what it is.
            slots: how many workers it takes.
            sightings: all workers that it has.
            wake: is called, from any thread, when what it should have changes.

        Returns:
            Whether it has other workers than it should have; all that it should have.

        Raises:
            InvalidArgument: the report is not valid.
        """

    def leave(self, machine_id: str) -> None:
        """Forget a machine whose workers have ended."""


class MachinesServicer(ServicerBase):
    """Answers ``trunkline.machines.v1.Machines``."""

    control = frozenset({"Report"})

    def __init__(self, versions: VersionedStore, executor: Executor, machines: Machines | None) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            executor: runs blocking work.
            machines: the fleet that machines join; None when machines cannot join.
        """
        super().__init__(versions, executor)
        self._machines = machines

    async def Report(self, request: pb.ReportRequest, call: Call) -> pb.ReportResponse:
        token = str(call.metadata.get("worker-token", ""))
        await self._versions.db.read(machine_tokens.verify, token, self._versions.clock.now())
        machines = self._joinable()
        if not _ID.match(request.machine_id):
            raise errors.InvalidArgument(
                f"machine_id {request.machine_id[:40]!r} is not a valid id; send 32 hex digits"
            )
        if request.leaving:
            machines.leave(request.machine_id)
            return pb.ReportResponse()
        machine = Machine(
            name=request.name, kind="joined", cpu=request.cpu, memory=max(0, request.memory_bytes)
        )
        sightings = [_sighting(each) for each in request.workers]
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        def report() -> tuple[bool, Sequence[Assigned]]:
            return machines.report(request.machine_id, machine, request.slots, sightings, wake)

        differs, workers = await self._blocking(report)
        wait = min(request.wait_seconds, LONGEST_WAIT)
        if not differs and wait > 0:
            try:
                await asyncio.wait_for(changed.wait(), wait)
            except TimeoutError:
                pass
            else:
                _, workers = await self._blocking(report)
        return pb.ReportResponse(workers=map(_worker_message, workers))

    async def CreateWorkerToken(self, request: pb.CreateWorkerTokenRequest, call: Call) -> pb.WorkerTokenInfo:
        self._joinable()
        token, text = await self._store(call).write_soon(machine_tokens.create, request.valid_seconds)
        message = _token_message(token)
        message.token = text
        return message

    async def ListWorkerToken(
        self, _request: pb.ListWorkerTokenRequest, _call: Call
    ) -> AsyncIterator[pb.WorkerTokenInfo]:
        for token in await self._versions.db.read(machine_tokens.list_all):
            yield _token_message(token)

    async def RevokeWorkerToken(
        self, request: pb.RevokeWorkerTokenRequest, call: Call
    ) -> pb.RevokeWorkerTokenResponse:
        await self._store(call).write_soon(machine_tokens.revoke, request.id)
        return pb.RevokeWorkerTokenResponse()

    def _joinable(self) -> Machines:
        if self._machines is None:
            raise errors.FailedPrecondition(
                "machines cannot join this server, because its workers are pods or simulated; serve with --fleet"
                " processes, containers or auto"
            )
        return self._machines


def _sighting(report: pb.WorkerReport) -> WorkerSighting:
    try:
        return WorkerSighting(
            worker_id=report.id,
            phase=WorkerPhase(report.phase),
            reason=report.reason[:4000],
            queued=report.queued,
            ending=WorkerEnding(report.ending or WorkerEnding.CRASHED),
        )
    except ValueError as error:
        raise errors.InvalidArgument(
            f"worker {report.id[:40]} of the report has a phase or an ending that is not valid: {error}"
        ) from error


def _worker_message(worker: Assigned) -> pb.MachineWorker:
    message = pb.MachineWorker(
        id=worker.worker_id, stop=worker.stop is not None, stop_seconds=worker.stop or 0.0
    )
    if (spec := worker.spec) is not None:
        message.token, message.project, message.pipeline = spec.token, spec.project, spec.pipeline
        message.version, message.memory_bytes = spec.version, spec.memory
        message.grace_seconds = spec.grace
        message.spec_json = json.dumps(to_json(spec.pipeline_spec))
    return message


def _token_message(token: machine_tokens.WorkerToken) -> pb.WorkerTokenInfo:
    message = pb.WorkerTokenInfo(id=token.id)
    message.created.FromNanoseconds(int(token.created * 1e9))
    message.expires.FromNanoseconds(int(token.expires * 1e9))
    return message
