"""The worker API (``protos/trunkline/worker/worker.proto``): claims, inputs out, outputs in, logs.

Every call names its worker and proves it with the worker's token. An assignment is a pure function of its
claim, so it can be worked out again after a restart; the last ones are kept at hand.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.meta import jobs, pipelines, workers
from trunkline.pps import claims, datum_rows, datums, logs, plan
from trunkline.pps.autoscaler import token_hash
from trunkline.pps.spec_cache import input_of
from trunkline.rpc import assignments
from trunkline.rpc.assignments import Assigned
from trunkline.rpc.completion import Completion
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.rpc.presigned import LARGE_BYTES, DirectReads, GivenPacks, signs
from trunkline.rpc.servicer import ServicerBase
from trunkline.rpc.store_api import ID_BYTES, MOST_IDS
from trunkline.storage import files as storage_files
from trunkline.storage.chunks import ChunkId
from trunkline.storage.segments import TreeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.jobs import ClaimRow, JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs


#: Bytes of file content in one Fetch frame.
FRAME = 1 << 20
#: Bytes of one place in it.
PLACE_BYTES = 64
#: Assignments kept at hand; each is as large as its run of datums.
ASSIGNMENTS_KEPT = 256


class WorkerServicer(ServicerBase):
    """Answers ``trunkline.worker.v1.Worker``."""

    def __init__(self, versions: VersionedStore, specs: Specs, executor: Executor) -> None:
        super().__init__(versions, executor)
        self._specs = specs
        self._given = GivenPacks(versions.chunks.objects)
        self._tokens: dict[str, bytes] = {}
        self._assigned: OrderedDict[str, Assigned] = OrderedDict()

    async def Register(self, _request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        worker_id = await self._authenticate(context)
        await self._versions.write_soon(_register, worker_id)
        return pb.RegisterResponse()

    async def Claim(self, request: pb.ClaimRequest, context: Any) -> pb.ClaimResponse:
        worker_id = await self._authenticate(context)
        worker = await self._versions.db.read(claims.known, worker_id)
        if worker.state == "busy":
            await self._versions.write_soon(claims.let_go, worker_id)
        topic = f"work:{worker.pipeline_id}"
        loop = asyncio.get_running_loop()
        end = loop.time() + request.wait_seconds
        while True:
            stamp = self._versions.wakeups.stamp(topic)
            if await self._versions.db.read(claims.work_waits, worker_id):
                claimed = await self._versions.write_soon(claims.take, worker_id, self._specs)
                if claimed is not None:
                    assigned = await self._blocking(self._assign, claimed.claim)
                    return pb.ClaimResponse(assignment=assignments.message(claimed.claim, assigned))
                if (await self._versions.db.read(claims.known, worker_id)).state == "retiring":
                    return pb.ClaimResponse(retire=True)
            if not await self._versions.wakeups.changed(stamp, topic, timeout=max(0.0, end - loop.time())):
                return pb.ClaimResponse()

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        worker_id = await self._authenticate(context)
        running = request.datum_started > 0
        valid, restart, retire = await self._versions.write_soon(
            claims.renew,
            worker_id,
            request.claim_id,
            request.datum if running else None,
            request.datum_started if running else None,
        )
        return pb.RenewResponse(valid=valid, restart_datum=restart, retire=retire)

    async def Fetch(self, request: pb.FetchRequest, context: Any) -> AsyncIterator[pb.FetchResponse]:
        worker_id = await self._authenticate(context)
        assigned = await self._blocking(self._owned, worker_id, request.claim_id)
        pieces = self._pieces(assigned, request.items, direct=request.direct)
        while (frame := await self._blocking(next, pieces, None)) is not None:
            yield frame

    async def Offer(self, request: pb.OfferRequest, context: Any) -> pb.OfferResponse:
        worker_id = await self._authenticate(context)
        await self._blocking(self._owned, worker_id, request.claim_id)
        return await self._blocking(self._offer, request)

    def _offer(self, request: pb.OfferRequest) -> pb.OfferResponse:
        ids = [ChunkId(request.ids[at : at + ID_BYTES]) for at in range(0, len(request.ids), ID_BYTES)]
        if len(request.ids) % ID_BYTES or len(ids) > MOST_IDS:
            raise errors.InvalidArgument(
                f"the question for {len(request.ids)} bytes of chunk ids cannot be answered; ask for at most"
                f" {MOST_IDS} ids of {ID_BYTES} bytes each"
            )
        known = self._versions.chunks.lengths(ids)
        missing = [at for at, id in enumerate(ids) if id not in known]
        pack, url = self._given.give(request.claim_id) if missing else ("", "")
        return pb.OfferResponse(missing=missing, pack=pack, url=url)

    async def Complete(
        self, requests: AsyncIterator[pb.CompleteRequest], context: Any
    ) -> pb.CompleteResponse:
        worker_id = await self._authenticate(context)
        receiving: Completion | None = None
        try:
            async for request in requests:
                if receiving is None:
                    assigned = await self._blocking(self._owned, worker_id, request.claim_id)
                    receiving = Completion(self._versions, request.claim_id, assigned, self._given)
                await self._blocking(receiving.take, request)
            if receiving is None:
                raise errors.InvalidArgument("a hand-in needs at least one frame")
            handed = await self._blocking(receiving.finish)
        except claims.ClaimLost:
            return pb.CompleteResponse(accepted=False)
        except BaseException:
            if receiving is not None:
                receiving.abort()
            raise
        accepted, retire = await self._versions.write_soon(claims.hand_in, worker_id, handed)
        self._given.forget(handed.packs)
        return pb.CompleteResponse(accepted=accepted, retire=retire)

    async def Log(self, request: pb.LogRequest, context: Any) -> pb.LogResponse:
        worker_id = await self._authenticate(context)
        if not request.lines:
            return pb.LogResponse()
        try:
            assigned = await self._blocking(self._owned, worker_id, request.claim_id)
        except claims.ClaimLost:
            return pb.LogResponse()  # the job is over; nobody asks for these lines
        await self._blocking(self._store_lines, worker_id, assigned, list(request.lines))
        return pb.LogResponse()

    def _store_lines(self, worker_id: str, assigned: Assigned, given: list[pb.LogLine]) -> None:
        lines = [
            logs.Line(
                assigned.datums[line.datum].id.hex() if line.datum < len(assigned.datums) else "",
                line.ts_ns / 1e9,
                line.message.decode("utf-8", "replace"),
                not line.system,
            )
            for line in given
        ]
        data = logs.pack(lines)
        self._versions.write(
            logs.store,
            pipeline_id=assigned.pipeline.id,
            job_id=assigned.job.id,
            worker_id=worker_id,
            lines=lines,
            data=data,
        )

    async def _authenticate(self, context: Any) -> str:
        """Return the calling worker's id, or raise Unauthenticated."""
        given = dict(context.invocation_metadata())
        worker_id, token = str(given.get("worker-id", "")), str(given.get("worker-token", ""))
        expected = self._tokens.get(worker_id)
        if expected is None:
            row = await self._versions.db.read(workers.by_id, worker_id)
            if row is None:
                raise errors.Unauthenticated(
                    f"worker {worker_id or '(none)'} is not known here (any more); it must exit"
                )
            if len(self._tokens) > 10_000:
                self._tokens.clear()
            expected = self._tokens[worker_id] = row.token_hash
        if not hmac.compare_digest(token_hash(token), expected):
            raise errors.Unauthenticated(f"the token of worker {worker_id} is wrong")
        return worker_id

    def _owned(self, worker_id: str, claim_id: str) -> Assigned:
        """Return what a claim of the worker means; raise ClaimLost when it is not the worker's any more."""
        claim = self._versions.read(jobs.claim_by_id, claim_id)
        if claim is None or claim.worker_id != worker_id:
            raise claims.ClaimLost(f"claim {claim_id} is not held by worker {worker_id} (any more)")
        found = self._assigned.get(claim_id)
        return found if found is not None and found.first == claim.start else self._assign(claim)

    def _assign(self, claim: ClaimRow) -> Assigned:
        """Work out what a claim means, and keep it."""
        job, pipeline, spec, inputs = self._versions.read(self._look, claim.job_id)
        assert job.todo is not None
        found = datum_rows.trees(self._versions).rows(TreeId(job.todo), claim.start, claim.stop)
        run = [datum_rows.decode(key, value) for key, value in found]
        items = dict.fromkeys(item for row in run for item in row.items)
        leaves = {leaf.name: key for key, leaf in datums.leaves(input_of(spec))}
        commits = {name: inputs.commits[key] for name, key in leaves.items()}
        assigned = Assigned(
            job,
            pipeline,
            spec,
            claim.start,
            run,
            list(items),
            {name: inputs.trees[key] for name, key in leaves.items()},
            {name: row.set_id if row is not None else "" for name, row in commits.items()},
            signs(self._versions.chunks.objects),
        )
        self._assigned[claim.id] = assigned
        while len(self._assigned) > ASSIGNMENTS_KEPT:
            self._assigned.popitem(last=False)
        return assigned

    def _look(
        self, conn: sa.Connection, job_id: int
    ) -> tuple[JobRow, PipelineRow, PipelineSpec, plan.Inputs]:
        job = jobs.by_id(conn, job_id)
        pipeline = pipelines.by_id(conn, job.pipeline_id) if job is not None else None
        if job is None or pipeline is None:
            raise claims.ClaimLost("the claim's job was deleted")
        spec = self._specs.of(conn, pipeline.id, job.version)
        return job, pipeline, spec, plan.inputs_of(conn, spec, job)

    def _pieces(
        self, assigned: Assigned, wanted: Iterable[int], *, direct: bool
    ) -> Iterator[pb.FetchResponse]:
        """Yield the files of items in frames of about ``FRAME`` bytes."""
        reads = DirectReads(self._versions.chunks) if direct else None
        frame, size = pb.FetchResponse(), 0
        for position in wanted:
            if position >= len(assigned.items):
                raise errors.InvalidArgument(
                    f"the assignment has {len(assigned.items)} items, item {position} was asked for"
                )
            item = assigned.items[position]
            for piece in self._content(assigned.trees[item.input], item, reads):
                piece.item = position
                frame.pieces.append(piece)
                size += len(piece.data) + len(piece.path) + 16 + PLACE_BYTES * len(piece.places)
                if reads is not None and reads.fresh:
                    frame.packs.extend(reads.fresh)
                    reads.fresh.clear()
                if size >= FRAME:
                    yield frame
                    frame, size = pb.FetchResponse(), 0
        if frame.pieces:
            yield frame

    def _content(
        self, tree: TreeId, item: datum_rows.RowItem, reads: DirectReads | None
    ) -> Iterator[pb.FilePiece]:
        """Yield the pieces of an item's files."""
        trees = self._versions.trees
        if item.path.endswith("/"):
            entries = storage_files.walk(trees, tree, item.path)
        else:
            one = storage_files.inspect(trees, tree, item.path)
            entries = iter([one] if one is not None else [])
        for entry in entries:
            if entry.is_dir:
                continue
            before = pb.FilePiece(path=entry.path)
            large = reads is not None and entry.size >= LARGE_BYTES
            pieces = self._large(entry, reads) if large and reads is not None else self._read(entry)
            first = True
            for piece in pieces:
                if not first:
                    yield before
                before, first = piece, False
            before.last = True
            yield before

    def _read(self, entry: storage_files.FileEntry) -> Iterator[pb.FilePiece]:
        for data in storage_files.read(self._versions.chunks, entry.value):
            yield pb.FilePiece(path=entry.path, data=data)

    def _large(self, entry: storage_files.FileEntry, reads: DirectReads) -> Iterator[pb.FilePiece]:
        for run in reads.pieces(entry.value):
            if run.places:
                yield pb.FilePiece(path=entry.path, places=run.places)
            else:
                for data in self._versions.chunks.read_many(run.others):
                    yield pb.FilePiece(path=entry.path, data=data)


def _register(write: WriteTransaction, worker_id: str) -> None:
    worker = claims.known(write.conn, worker_id)
    if worker.state in ("pending", "starting"):
        workers.set_ready(write.conn, worker_id, write.now)
        write.tx.wake("workers", f"pipeline:{worker.pipeline_id}")
