"""The worker API (``protos/trunkline/worker/worker.proto``), converted to and from calls of ``pps``.

Every call names its worker and is authenticated by the worker's token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import caller
from trunkline.model.states import DatumState
from trunkline.pfs import chunk_uploads
from trunkline.pps import logs
from trunkline.pps.workers import claims, input_reads, presigned
from trunkline.pps.workers.assignments import Assignment, Assignments
from trunkline.pps.workers.completion import Completion, DatumResult
from trunkline.pps.workers.dispatch import Dispatcher
from trunkline.pps.workers.presigned import PackGrants, PresignedReads, ReportedPack
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.rpc.servicer import ServicerBase
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from concurrent.futures import Executor

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import WorkerIdentity
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.waiting import WaitingWorkers
    from trunkline.rpc.call import Call

#: Bytes of file content in one Fetch frame.
FRAME = 1 << 20
#: Bytes of one place in it.
PLACE_BYTES = 64

_STATES = {
    pb.DatumResult.SUCCESS: DatumState.SUCCESS,
    pb.DatumResult.FAILED: DatumState.FAILED,
    pb.DatumResult.RECOVERED: DatumState.RECOVERED,
}


class WorkerServicer(ServicerBase):
    """Answers ``trunkline.worker.v1.Worker``."""

    control = frozenset({"Register", "Claim", "Renew"})
    long_lists = frozenset({"Fetch", "Log"})

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        executor: Executor,
        identity: WorkerIdentity,
        waiting: WaitingWorkers,
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: runs blocking work.
            identity: verifies which worker makes a call.
            waiting: the workers that wait for work.
        """
        super().__init__(versions, executor)
        self._grants = PackGrants(versions)
        self._specs = specs
        self._identity = identity
        self._assignments = Assignments(versions, specs)
        self._dispatcher = Dispatcher(versions, specs, self._assignments, executor, waiting)

    async def Register(self, _request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        worker_id = await self._authenticate(call)
        await self._store(call).write_soon(claims.register, worker_id)
        return pb.RegisterResponse()

    async def Claim(self, request: pb.ClaimRequest, call: Call) -> pb.ClaimResponse:
        worker_id = await self._authenticate(call)
        work = await self._dispatcher.next_work(worker_id, request.wait_seconds)
        if work.assignment is not None:
            return pb.ClaimResponse(assignment=assignment_message(work.assignment))
        return pb.ClaimResponse(retire=work.retire)

    async def Renew(self, request: pb.RenewRequest, call: Call) -> pb.RenewResponse:
        worker_id = await self._authenticate(call)
        running = request.datum_started > 0
        renewal = await self._store(call).write_soon(
            claims.renew,
            worker_id,
            request.claim_id,
            request.datum if running else None,
            request.datum_started if running else None,
        )
        return pb.RenewResponse(
            valid=renewal.valid, restart_datum=renewal.restart_datum, retire=renewal.retire
        )

    async def Fetch(self, request: pb.FetchRequest, call: Call) -> AsyncIterator[pb.FetchResponse]:
        worker_id = await self._authenticate(call)
        assignment = await self._blocking(self._assignments.held_by, worker_id, request.claim_id)
        frames = self._frames(self._store(call), assignment, request)
        while (frame := await self._blocking(next, frames, None)) is not None:
            yield frame

    async def Offer(self, request: pb.OfferRequest, call: Call) -> pb.OfferResponse:
        worker_id = await self._authenticate(call)
        await self._blocking(self._assignments.held_by, worker_id, request.claim_id)
        return await self._blocking(self._offer, request)

    async def Complete(self, requests: AsyncIterator[pb.CompleteRequest], call: Call) -> pb.CompleteResponse:
        worker_id = await self._authenticate(call)
        completion: Completion | None = None
        try:
            async for request in requests:
                if completion is None:
                    assignment = await self._blocking(self._assignments.held_by, worker_id, request.claim_id)
                    completion = Completion(
                        self._store(call), request.claim_id, assignment, self._grants, self._specs
                    )
                await self._blocking(_add, completion, request)
            if completion is None:
                raise errors.InvalidArgument("the stream of a completion is empty; send at least one frame")
            prepared = await self._blocking(completion.prepare)
        except claims.ClaimLost:
            return pb.CompleteResponse(accepted=False)
        except BaseException:
            if completion is not None:
                completion.abort()
            raise
        completed = await self._store(call).write_soon(claims.complete, worker_id, prepared)
        failpoints.reach("completion.recorded")
        return pb.CompleteResponse(accepted=completed.accepted, retire=completed.retire)

    async def Log(self, request: pb.LogRequest, call: Call) -> pb.LogResponse:
        worker_id = await self._authenticate(call)
        if not request.lines:
            return pb.LogResponse()
        try:
            assignment = await self._blocking(self._assignments.held_by, worker_id, request.claim_id)
        except claims.ClaimLost:
            return pb.LogResponse()  # the job has ended, so the lines are dropped
        await self._blocking(_store_lines, self._store(call), worker_id, assignment, request)
        return pb.LogResponse()

    def _offer(self, request: pb.OfferRequest) -> pb.OfferResponse:
        ids = [
            request.ids[at : at + chunk_uploads.ID_BYTES]
            for at in range(0, len(request.ids), chunk_uploads.ID_BYTES)
        ]
        missing, grant = self._grants.offer(request.claim_id, ids)
        return pb.OfferResponse(missing=missing, pack=grant.pack, url=grant.url, grant=grant.grant)

    async def _authenticate(self, call: Call) -> str:
        """Return the calling worker's id, or raise Unauthenticated. Sets the worker as the caller."""
        worker_id = str(call.metadata.get("worker-id", ""))
        await self._identity.verify(worker_id, str(call.metadata.get("worker-token", "")))
        call.caller = caller.worker(worker_id)
        return worker_id

    def _frames(
        self, store: VersionedStore, assignment: Assignment, request: pb.FetchRequest
    ) -> Iterator[pb.FetchResponse]:
        """Yield the files of items in frames of about ``FRAME`` bytes."""
        reads = PresignedReads(store) if request.direct else None
        frame, size = pb.FetchResponse(), 0
        for item, path, data, places, last in input_reads.pieces(
            store, assignment, request.items, reads, request.path
        ):
            message = frame.pieces.add(item=item, path=path, data=data, last=last)
            size += len(data) + len(path) + 16
            if places:
                message.places.extend(map(_place_message, places))
                size += PLACE_BYTES * len(places)
            if reads is not None:
                frame.packs.extend(reads.take_urls())
            if size >= FRAME:
                yield frame
                frame, size = pb.FetchResponse(), 0
        if frame.pieces:
            yield frame


def _store_lines(
    store: VersionedStore, worker_id: str, assignment: Assignment, request: pb.LogRequest
) -> None:
    lines = [
        logs.Line(
            assignment.datums[line.datum].id.hex() if line.datum < len(assignment.datums) else "",
            line.ts_ns / 1e9,
            line.message.decode("utf-8", "replace"),
            not line.system,
        )
        for line in request.lines
    ]
    data = logs.pack(lines)
    store.write(
        logs.store,
        pipeline_id=assignment.pipeline.id,
        job_id=assignment.job.id,
        worker_id=worker_id,
        lines=lines,
        data=data,
    )


def _add(completion: Completion, request: pb.CompleteRequest) -> None:
    """Add a frame to a completion."""
    for pack in request.packs:
        completion.add_pack(ReportedPack(pack.pack, pack.size, pack.grant))
    for file in request.files:
        completion.add_file(file.datum, file.path, file.chunks)
    for copy in request.copies:
        completion.add_copy(copy.datum, copy.path, copy.item, copy.source)
    for piece in request.outputs:
        completion.add_output(piece.datum, piece.path, piece.data)
    for result in request.results:
        completion.add_result(
            DatumResult(
                result.datum,
                _STATES.get(result.state, DatumState.UNKNOWN),
                result.reason,
                result.download_ns,
                result.process_ns,
                result.upload_ns,
                result.download_bytes,
                result.upload_bytes,
                result.started,
                result.finished,
            )
        )
    if request.release:
        completion.release()


def _place_message(place: presigned.ChunkPlace) -> pb.ChunkPlace:
    id, pack, offset, stored, length, codec = place
    return pb.ChunkPlace(id=id, pack=pack, offset=offset, stored=stored, length=length, codec=codec)


def assignment_message(assignment: Assignment) -> pb.Assignment:
    """Return the message for an assignment."""
    run = _datum_run(assignment)
    assert assignment.spec.transform is not None
    is_batch = assignment.spec.transform.datum_batching
    return pb.Assignment(
        claim_id=assignment.claim_id,
        lease_seconds=claims.LEASE,
        project=assignment.pipeline.project,
        pipeline=assignment.pipeline.name,
        direct=assignment.direct,
        datum_run=None if is_batch else run,
        batch_run=run if is_batch else None,
    )


def _datum_run(assignment: Assignment) -> pb.DatumRun:
    spec = assignment.spec
    transform = spec.transform
    assert transform is not None
    position = {item: number for number, item in enumerate(assignment.items)}
    traces = assignment.datum_traces()
    return pb.DatumRun(
        job_id=assignment.job.set_id,
        output_commit_id=assignment.job.set_id,
        command=pb.Command(
            cmd=transform.cmd,
            stdin=transform.stdin,
            err_cmd=transform.err_cmd,
            err_stdin=transform.err_stdin,
            env=dict(transform.env),
            working_dir=transform.working_dir,
            accept_return_code=transform.accept_return_code,
            user=transform.user,
        ),
        datum_tries=spec.datum_tries or 1,
        datum_timeout_seconds=spec.datum_timeout or 0.0,
        items=[
            pb.Item(
                input=item.input,
                path=item.path,
                hash=item.hash,
                commit_id=source.commit_id,
                size_bytes=0 if source.leaf.empty_files or source.leaf.lazy else item.size,
                empty_files=source.leaf.empty_files,
                lazy=source.leaf.lazy and not source.leaf.empty_files,
                join_on=source.join_on(item),
                group_by=source.group_by(item),
            )
            for item, source in zip(assignment.items, map(assignment.source, assignment.items), strict=True)
        ],
        datums=[
            pb.Datum(
                id=row.id.hex(),
                items=[position[item] for item in row.items],
                traceparent=context.header if context is not None else "",
            )
            for row, context in zip(assignment.datums, traces, strict=True)
        ],
        tracestate=next((context.state for context in traces if context is not None), ""),
    )
