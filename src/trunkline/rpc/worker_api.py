"""The worker API (``protos/trunkline/worker/worker.proto``), converted to and from calls of ``pps``.

Every call names its worker and is authenticated by the worker's token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import caller, limits, spec_annotations
from trunkline.model.states import DatumState
from trunkline.pfs import chunk_uploads
from trunkline.pps import logs
from trunkline.pps.pipeline_tokens import PipelineTokens
from trunkline.pps.secrets import NO_SECRETS
from trunkline.pps.workers import claims, input_reads, presigned, standing
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

    from trunkline.model.spec import PipelineSpec, Service
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import WorkerIdentity
    from trunkline.pps.secrets import DeliveredSecrets, SecretStore
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

    control = frozenset({"Register", "Claim", "Renew", "EndProgram"})
    long_lists = frozenset({"Fetch", "Log"})

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        executor: Executor,
        identity: WorkerIdentity,
        waiting: WaitingWorkers,
        renewals: standing.Renewals,
        secrets: SecretStore | None = None,
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            executor: runs blocking work.
            identity: verifies which worker makes a call.
            waiting: the workers that wait for work.
            renewals: of the workers of spouts.
            secrets: those that workers get with their assignments; None when the fleet delivers them.
        """
        super().__init__(versions, executor)
        self._grants = PackGrants(versions)
        self._specs = specs
        self._identity = identity
        self._tokens = PipelineTokens(versions)
        self._renewals = renewals
        self._secrets = secrets
        self._assignments = Assignments(versions, specs, secrets)
        self._dispatcher = Dispatcher(versions, specs, self._assignments, executor, waiting)

    async def Register(self, _request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        worker_id = await self._authenticate(call)
        await self._store(call).write_soon(claims.register, worker_id)
        return pb.RegisterResponse()

    async def Claim(self, request: pb.ClaimRequest, call: Call) -> pb.ClaimResponse:
        worker_id = await self._authenticate(call)
        work = await self._dispatcher.next_work(worker_id, request.wait_seconds, request.held)
        if work.assignment is None and work.spout is None:
            return pb.ClaimResponse(retire=work.retire, held=work.held)
        token = await self._tokens.issue(worker_id)
        if work.spout is not None:
            secrets = NO_SECRETS
            if self._secrets is not None:
                secrets = await self._blocking(self._secrets.delivered, work.spout.spec)
            return pb.ClaimResponse(assignment=_spout_message(work.spout, secrets, token))
        assert work.assignment is not None
        return pb.ClaimResponse(assignment=assignment_message(work.assignment, token, work.sent))

    async def Renew(self, request: pb.RenewRequest, call: Call) -> pb.RenewResponse:
        worker_id = await self._authenticate(call)
        if request.claim_id == worker_id:  # it runs a spout
            renewal = await self._store(call).db.read(standing.renew, worker_id)
            self._renewals.add(worker_id)
            return pb.RenewResponse(valid=renewal.valid, retire=renewal.retire)
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
        store, completion = self._store(call), None

        def add(frame: pb.CompleteRequest, *, is_last: bool) -> claims.PreparedCompletion | None:
            nonlocal completion
            if completion is None:
                assignment = self._assignments.held_by(worker_id, frame.claim_id)
                completion = Completion(store, frame.claim_id, assignment, self._grants, self._specs)
            _add(completion, frame)
            return completion.prepare() if is_last else None

        # One frame behind, so that the usual single one is one piece of work in a thread.
        frame: pb.CompleteRequest | None = None
        try:
            async for request in requests:
                if frame is not None:
                    await self._blocking(add, frame, is_last=False)
                frame = request
            if frame is None:
                raise errors.InvalidArgument("the stream of a completion is empty; send at least one frame")
            prepared = await self._blocking(add, frame, is_last=True)
            assert prepared is not None
        except claims.ClaimLost:
            return pb.CompleteResponse(accepted=False)
        except BaseException:
            if completion is not None:
                completion.abort()
            raise
        specs = self._specs if frame.claim_next else None
        completed = await store.write_soon(claims.complete, worker_id, prepared, specs)
        failpoints.reach("completion.recorded")
        response = pb.CompleteResponse(accepted=completed.accepted, retire=completed.retire)
        if completed.following is not None:
            work = await self._dispatcher.assign(worker_id, completed.following.claim)
            if work is not None and work.assignment is not None:
                response.assignment.CopyFrom(assignment_message(work.assignment, sent=work.sent))
        return response

    async def Log(self, request: pb.LogRequest, call: Call) -> pb.LogResponse:
        worker_id = await self._authenticate(call)
        if not request.lines:
            return pb.LogResponse()
        assignment: Assignment | None = None
        if request.claim_id != worker_id:
            try:
                assignment = await self._blocking(self._assignments.held_by, worker_id, request.claim_id)
            except claims.ClaimLost:
                return pb.LogResponse()  # the job has ended, so the lines are dropped
        await self._blocking(_store_lines, self._store(call), worker_id, assignment, request)
        return pb.LogResponse()

    async def EndProgram(self, request: pb.EndProgramRequest, call: Call) -> pb.EndProgramResponse:
        worker_id = await self._authenticate(call)
        limits.check_text(request.reason, limits.REASON, "the reason")
        await self._store(call).write_soon(standing.end_program, worker_id, request.claim_id, request.reason)
        return pb.EndProgramResponse()

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
    store: VersionedStore, worker_id: str, assignment: Assignment | None, request: pb.LogRequest
) -> None:
    """Store lines of an assignment, or of a spout, which belong to its pipeline alone."""
    datums = assignment.datums if assignment is not None else []
    lines = [
        logs.Line(
            datums[line.datum].id.hex() if line.datum < len(datums) else "",
            line.ts_ns / 1e9,
            line.message.decode("utf-8", "replace"),
            not line.system,
        )
        for line in request.lines
    ]
    data = logs.pack(lines)
    if assignment is None:
        pipeline_id, job_id = store.read(claims.require_worker, worker_id).pipeline_id, None
    else:
        pipeline_id, job_id = assignment.pipeline.id, assignment.job.id
    store.write(
        logs.store, pipeline_id=pipeline_id, job_id=job_id, worker_id=worker_id, lines=lines, data=data,
    )  # fmt: skip


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
                result.cpu_ns,
                result.peak_memory_bytes,
            )
        )
    if request.release:
        completion.release()


def _place_message(place: presigned.ChunkPlace) -> pb.ChunkPlace:
    id, pack, offset, stored, length, codec = place
    return pb.ChunkPlace(id=id, pack=pack, offset=offset, stored=stored, length=length, codec=codec)


def assignment_message(
    assignment: Assignment, token: str = "", sent: input_reads.SentFiles | None = None
) -> pb.Assignment:
    """Return the message for an assignment.

    Args:
        assignment: what a worker does under one claim.
        token: for the commands' own calls to the server.
        sent: input files that come with it.
    """
    sent = sent or input_reads.SentFiles()
    run = _datum_run(assignment)
    spec = assignment.spec
    assert spec.transform is not None
    is_batch, is_service = spec.transform.datum_batching, spec.service is not None
    return pb.Assignment(
        claim_id=assignment.claim_id,
        lease_seconds=claims.LEASE,
        project=assignment.pipeline.project,
        pipeline=assignment.pipeline.name,
        direct=assignment.direct,
        datum_run=None if is_batch or is_service else run,
        batch_run=run if is_batch else None,
        program_run=run if is_service else None,
        pipeline_token=token,
        port=_port(spec.published),
        sent_items=sent.items,
        sent_files=[
            pb.FilePiece(item=piece.item, path=piece.path, data=piece.data, last=piece.last)
            for piece in sent.pieces
        ],
    )


def _spout_message(spout: standing.SpoutRun, secrets: DeliveredSecrets, token: str) -> pb.Assignment:
    return pb.Assignment(
        claim_id=spout.worker_id,
        lease_seconds=claims.LEASE,
        project=spout.pipeline.project,
        pipeline=spout.pipeline.name,
        program_run=pb.DatumRun(command=_command(spout.spec, secrets)),
        pipeline_token=token,
        port=_port(spout.spec.published),
    )


def _port(service: Service | None) -> pb.Port | None:
    if service is None:
        return None
    return pb.Port(internal=service.internal_port, external=service.external_port)


def _command(spec: PipelineSpec, secrets: DeliveredSecrets) -> pb.Command:
    transform = spec.transform
    assert transform is not None
    return pb.Command(
        cmd=transform.cmd,
        stdin=transform.stdin,
        err_cmd=transform.err_cmd,
        err_stdin=transform.err_stdin,
        env={**transform.env, **secrets.variables},
        working_dir=transform.working_dir,
        accept_return_code=transform.accept_return_code,
        user=transform.user,
        secret_files=[
            pb.SecretFile(folder=folder, name=name, content=content)
            for folder, name, content in secrets.files
        ],
    )


def _datum_run(assignment: Assignment) -> pb.DatumRun:
    spec = assignment.spec
    position = {item: number for number, item in enumerate(assignment.items)}
    traces = assignment.datum_traces()
    return pb.DatumRun(
        job_id=assignment.job.set_id,
        output_commit_id=assignment.job.set_id,
        command=_command(spec, assignment.secrets),
        datum_tries=spec.datum_tries or 1,
        datum_timeout_seconds=spec.datum_timeout or 0.0,
        memory_retry_bytes=spec_annotations.memory_retry_limit(spec),
        items=[
            pb.Item(
                input=item.input,
                path=item.path,
                hash=item.hash,
                commit_id=source.commit_id,
                size_bytes=0 if source.leaf.empty_files or source.lazy else item.size,
                empty_files=source.leaf.empty_files,
                lazy=source.lazy,
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
