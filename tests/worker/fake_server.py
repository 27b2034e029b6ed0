"""A server of the worker API that gives out literal assignments and records what workers report.

A real grpc.aio server on a loop of its own in a thread; only what stands behind it is literal.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import grpc

from trunkline.rpc.gen import worker_api_pb2 as pb

SERVICE = "trunkline.worker.v1.Worker"


@dataclass
class FakeServer:
    #: Assignments to hand out, in order.
    assignments: list[pb.Assignment] = field(default_factory=list)
    #: (input, path of the item) -> {path of the file: content}
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    #: What to answer to Claim when no assignment is left: retire, or wait.
    retire_when_empty: bool = True
    retire_after_complete: bool = False
    #: Answer the last results of an assignment with the next one, if it is asked for.
    gives_following: bool = False
    refuse_completions: bool = False
    lose_claims: bool = False
    restart_once: bool = False
    knows_worker: bool = True
    #: What Offer answers; reported packs are refused, as by a server that was started meanwhile.
    pack_url: str = ""

    registered: list[int] = field(default_factory=list)
    claims: int = 0
    #: Reasons with which standing programs ended.
    ended_programs: list[str] = field(default_factory=list)
    fetches: list[list[int]] = field(default_factory=list)
    renewals: list[pb.RenewRequest] = field(default_factory=list)
    #: Per completion: (results, outputs by (datum, path), release)
    completions: list[tuple[list[pb.DatumResult], dict[tuple[int, str], bytes], bool]] = field(
        default_factory=list
    )
    packs: list[pb.StoredPack] = field(default_factory=list)
    lines: list[pb.LogLine] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    #: Names of the calls of the side thread in their order.
    calls: list[str] = field(default_factory=list)
    address: str = ""

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        #: Log answers only while it is set.
        self.takes_lines = threading.Event()
        self.takes_lines.set()
        self._handed: dict[str, pb.Assignment] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = None
        self.open("127.0.0.1:0")

    # what tests ask

    def results(self) -> list[pb.DatumResult]:
        return [result for results, _, _ in self.completions for result in results]

    def outputs(self) -> dict[tuple[int, str], bytes]:
        merged: dict[tuple[int, str], bytes] = {}
        for _, outputs, _ in self.completions:
            merged |= outputs
        return merged

    def log(self, system: bool = False) -> list[bytes]:
        return [line.message for line in self.lines if line.system == system]

    def wait_until(self, condition, seconds: float = 60.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, seconds), f"not reached within {seconds} s"

    # life

    def open(self, listen: str) -> None:
        self._await(self._open(listen))

    def shut(self) -> None:
        self._await(self._server.stop(0))

    def close(self) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self, listen: str) -> None:
        self._server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 20 << 20)]
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port(listen)}"
        await self._server.start()

    def _handlers(self):
        def unary(method, request, response):
            return grpc.unary_unary_rpc_method_handler(
                method,
                request_deserializer=request.FromString,
                response_serializer=response.SerializeToString,
            )

        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Register": unary(self._register, pb.RegisterRequest, pb.RegisterResponse),
                "Claim": unary(self._claim, pb.ClaimRequest, pb.ClaimResponse),
                "Renew": unary(self._renew, pb.RenewRequest, pb.RenewResponse),
                "EndProgram": unary(self._end_program, pb.EndProgramRequest, pb.EndProgramResponse),
                "Log": unary(self._log, pb.LogRequest, pb.LogResponse),
                "Offer": unary(self._offer, pb.OfferRequest, pb.OfferResponse),
                "Fetch": grpc.unary_stream_rpc_method_handler(
                    self._fetch,
                    request_deserializer=pb.FetchRequest.FromString,
                    response_serializer=pb.FetchResponse.SerializeToString,
                ),
                "Complete": grpc.stream_unary_rpc_method_handler(
                    self._complete,
                    request_deserializer=pb.CompleteRequest.FromString,
                    response_serializer=pb.CompleteResponse.SerializeToString,
                ),
            },
        )

    def _note(self, act) -> None:
        with self.changed:
            act()
            self.changed.notify_all()

    async def _check(self, context) -> None:
        if not self.knows_worker:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this worker is not known")

    async def _register(self, request, context):
        await self._check(context)
        self.metadata.append(dict(context.invocation_metadata()))
        self._note(lambda: self.registered.append(request.pid))
        return pb.RegisterResponse()

    async def _claim(self, request, context):
        await self._check(context)
        self._note(lambda: setattr(self, "claims", self.claims + 1))
        while request.held and not self.assignments and not self.retire_when_empty:  # noqa: ASYNC110 - plain fields
            await asyncio.sleep(0.02)
        if self.assignments:
            assignment = self.assignments.pop(0)
            self._handed[assignment.claim_id] = assignment
            return pb.ClaimResponse(assignment=assignment)
        if not self.retire_when_empty:
            await asyncio.sleep(request.wait_seconds)
        return pb.ClaimResponse(retire=self.retire_when_empty)

    async def _renew(self, request, context):
        await self._check(context)
        self.calls.append("Renew")
        self._note(lambda: self.renewals.append(request))
        restart, self.restart_once = self.restart_once, False
        return pb.RenewResponse(valid=not self.lose_claims, restart_datum=restart)

    async def _end_program(self, request, context):
        await self._check(context)
        self._note(lambda: self.ended_programs.append(request.reason))
        return pb.EndProgramResponse()

    async def _log(self, request, context):
        await self._check(context)
        await asyncio.to_thread(self.takes_lines.wait, 30)
        self.calls.append("Log")
        self._note(lambda: self.lines.extend(request.lines))
        return pb.LogResponse()

    async def _offer(self, request, context):
        await self._check(context)
        missing = range(len(request.ids) // 32)
        return pb.OfferResponse(missing=missing, pack="packs/aa/given", url=self.pack_url)

    async def _fetch(self, request, context):
        await self._check(context)
        self._note(lambda: self.fetches.append(list(request.items)))
        assignment = self._handed[request.claim_id]
        for number in request.items:
            item = getattr(assignment, assignment.WhichOneof("work")).items[number]
            for path, content in sorted(self.files[item.input, item.path].items()):
                pieces = [content[at : at + (1 << 20)] for at in range(0, len(content) or 1, 1 << 20)]
                for piece in pieces:
                    last = piece is pieces[-1]
                    yield pb.FetchResponse(
                        pieces=[pb.FilePiece(item=number, path=path, data=piece, last=last)]
                    )

    async def _complete(self, frames, context):
        await self._check(context)
        outputs: dict[tuple[int, str], bytes] = {}
        async for frame in frames:
            if frame.packs:
                self._note(lambda frame=frame: self.packs.extend(frame.packs))
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not given by this server")
            for piece in frame.outputs:
                key = (piece.datum, piece.path)
                outputs[key] = outputs.get(key, b"") + piece.data
        if self.refuse_completions:
            return pb.CompleteResponse(accepted=False)
        self._note(lambda: self.completions.append((list(frame.results), outputs, frame.release)))
        response = pb.CompleteResponse(accepted=True, retire=self.retire_after_complete)
        if self.gives_following and frame.claim_next and self.assignments:
            following = self.assignments.pop(0)
            self._handed[following.claim_id] = following
            response.assignment.CopyFrom(following)
        return response


def assignment(
    server: FakeServer, inputs: dict[str, dict[str, bytes]], cmd: list[str], **command
) -> pb.DatumRun:
    """One datum per file of the first input, crossed with all files of the others as whole folders."""
    message = pb.Assignment(
        claim_id=f"claim-{len(server.assignments)}",
        lease_seconds=30,
        project="default",
        pipeline="edges",
        datum_run=pb.DatumRun(
            job_id="1" * 32,
            output_commit_id="1" * 32,
            datum_tries=1,
            command=pb.Command(cmd=cmd, **command),
        ),
    )
    run = message.datum_run
    (first, files), *others = inputs.items()
    for name, tree in others:
        run.items.add(input=name, path="/", commit_id="c" * 32, size_bytes=sum(map(len, tree.values())))
        server.files[name, "/"] = tree
    shared = range(len(others))
    for path, content in files.items():
        server.files[first, path] = {path: content}
        run.items.add(input=first, path=path, commit_id="c" * 32, size_bytes=len(content))
        run.datums.add(id=f"{len(run.datums):064x}", items=[*shared, len(run.items) - 1])
    server.assignments.append(message)
    return run
