"""Executes one assignment: runs its datums in order and reports their results in order.

Results are reported in batches, once a second or once their outputs are large, because each report is a
transaction of the server; and always when the assignment ends, so that a short job does not wait.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from trunkline.errors import FailedPrecondition, InvalidArgument, Unimplemented
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import outputs
from trunkline.worker.api import patiently
from trunkline.worker.circuit_breaker import StoreUnreachable
from trunkline.worker.datum import DatumRunner, Finished
from trunkline.worker.inputs import Inputs
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.worker.api import ServerAPI
    from trunkline.worker.batch import BatchProgram
    from trunkline.worker.datum import Captured
    from trunkline.worker.heartbeat import Heartbeat
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.presigned_writes import Stored
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.scratch import ScratchPool

#: Seconds. The most work that is lost when a worker dies, besides the running datum.
MAX_AGE = 1.0
#: Bytes of outputs after which finished datums are reported.
MAX_WAITING = 32 << 20
#: Bytes of outputs in one frame: the size with the highest throughput.
_FRAME = 1 << 20
#: Bytes from which on the worker uploads an output directly to the object store, if it can: for smaller outputs the
#: extra calls to server and store cost more than the bytes.
LARGE_BYTES = 1 << 20


def work(
    api: ServerAPI,
    heartbeat: Heartbeat,
    interrupts: Interrupts,
    sandbox: Sandbox,
    scratch: ScratchPool,
    assignment: pb.Assignment,
    notes: Sequence[str],
    batch: BatchProgram,
) -> pb.Assignment | None:
    """Run the assignment's datums and report them; the flags of ``interrupts`` show how it ended.

    Returns the next assignment, if the answer to the last report has one.

    Args:
        api: the main thread's connection.
        heartbeat: renews the claim meanwhile.
        interrupts: flags that end the work early.
        sandbox: where commands run.
        scratch: folders for the files of datums.
        assignment: the claimed work.
        notes: sentences for the log of the first datum.
        batch: runs the datums of batches.

    Raises:
        Unimplemented: the assignment is a kind of work that this worker does not support.
    """
    is_batch = assignment.HasField("batch_run")
    if is_batch:
        run = pb.DatumRun()
        run.CopyFrom(assignment.batch_run)
        assignment.datum_run.CopyFrom(run)
    if not assignment.HasField("datum_run"):
        raise Unimplemented(
            f"claim {assignment.claim_id} is for a kind of work that this worker does not support; run workers of the"
            " server's version"
        )
    interrupts.lower_for_new_claim()
    heartbeat.hold(assignment.claim_id, assignment.lease_seconds)
    for note in notes:
        heartbeat.logs.add(0, time.time_ns(), note.encode(), system=True)
    claimed = _Run(api, heartbeat, interrupts, sandbox, scratch, assignment, batch if is_batch else None)
    try:
        claimed.run_all()
    except Interrupted:
        pass  # lost, or abandoned: the server gives the datums to another worker
    finally:
        heartbeat.let_go()
        claimed.close()
        batch.rest()
    return claimed.following


class _Run:
    def __init__(
        self,
        api: ServerAPI,
        heartbeat: Heartbeat,
        interrupts: Interrupts,
        sandbox: Sandbox,
        scratch: ScratchPool,
        assignment: pb.Assignment,
        batch: BatchProgram | None,
    ) -> None:
        self._api = api
        self._heartbeat = heartbeat
        self._interrupts = interrupts
        self._assignment = assignment
        self._scratch = scratch
        owner, fault = None, ""
        try:
            owner = sandbox.find_user(assignment.datum_run.command.user)
            sandbox.place_secrets(assignment.datum_run.command.secret_files)
        except InvalidArgument as error:
            fault = error.message
        if batch is not None and not sandbox.has_one_path:
            fault = (
                "datum batching needs /pfs, and this machine does not let workers have a private root; allow user "
                "namespaces or remove transform.datum_batching"
            )
        self._inputs = Inputs(api, interrupts, assignment, scratch, owner)
        self._runner = DatumRunner(
            sandbox, scratch, heartbeat, interrupts, assignment, self._inputs, owner, fault, batch
        )
        self._waiting: list[Finished] = []
        self._waiting_bytes = 0
        self._handed_in = time.monotonic()
        #: The next assignment, if the last report's answer has one.
        self.following: pb.Assignment | None = None

    def close(self) -> None:
        """Remove all files of this assignment."""
        self._forget_waiting()
        self._runner.clean()
        self._inputs.close()

    def run_all(self) -> None:
        """Run and report all datums, or as many as a request to retire leaves time for."""
        count = len(self._assignment.datum_run.datums)
        for position in range(count):
            try:
                finished = self._run_datum(position)
            except Interrupted:
                if self._interrupts.give_back and not self._is_worthless():
                    self._report(release=True)
                    return
                raise
            self._log_note(position)
            self._inputs.done_with(position)
            self._waiting.append(finished)
            self._waiting_bytes += finished.result.upload_bytes
            last = position + 1 == count
            if self._interrupts.retire and not last:
                self._report(release=True)
                return
            aged = time.monotonic() - self._handed_in >= MAX_AGE
            if last or aged or self._waiting_bytes >= MAX_WAITING:
                self._report(release=False, last=last)
            if self._interrupts.retire and not last:
                self._report(release=True)  # the server requested it in its last answer
                return

    def _log_note(self, position: int) -> None:
        note = self._api.store.take_note()
        if note:
            self._heartbeat.logs.add(position, time.time_ns(), note.encode(), system=True)

    def _run_datum(self, position: int) -> Finished:
        while True:
            if self._is_worthless() or self._interrupts.give_back:
                raise Interrupted
            self._interrupts.restart_datum = False
            try:
                return self._runner.run(position)
            except Interrupted:
                if not self._interrupts.restart_datum or self._interrupts.give_back:
                    raise

    def _is_worthless(self) -> bool:
        return self._interrupts.claim_lost or self._interrupts.abandon

    def _report(self, release: bool, last: bool = False) -> None:
        self._heartbeat.report(0, 0.0)
        patiently(lambda: self._heartbeat.logs.ship(self._api), self._interrupts)
        answer = self._complete(release, claim_next=last and not self._interrupts.retire)
        self._forget_waiting()
        self._handed_in = time.monotonic()
        self.following = answer.assignment if answer.HasField("assignment") else None
        self._interrupts.retire |= answer.retire
        if not answer.accepted:
            self._interrupts.claim_lost = True
            raise Interrupted

    def _complete(self, release: bool, claim_next: bool) -> pb.CompleteResponse:
        """Report the finished datums; large outputs go directly to the object store if possible."""
        large = [
            (finished, output)
            for finished in self._waiting
            for output in finished.outputs
            if output.data is None and output.source is None and os.lstat(output.file).st_size >= LARGE_BYTES
        ]
        if large and self._assignment.direct and self._api.store.open:
            try:
                stored = self._store(large)
                return patiently(
                    lambda: self._api.complete(self._frames(release, claim_next, stored)), self._interrupts
                )
            except StoreUnreachable as error:
                self._api.store.close(str(error))
                self._log_note(self._waiting[0].result.datum)
                patiently(lambda: self._heartbeat.logs.ship(self._api), self._interrupts)
            except FailedPrecondition:
                pass  # a server that was restarted does not know the offers of the former process
        return patiently(lambda: self._api.complete(self._frames(release, claim_next)), self._interrupts)

    def _store(self, large: Sequence[tuple[Finished, Captured]]) -> Stored:
        from trunkline.worker import presigned_writes  # its imports take 25 ms, which few workers need

        def offer(ids: bytes) -> pb.OfferResponse:
            return patiently(lambda: self._api.offer(self._assignment.claim_id, ids), self._interrupts)

        def check() -> None:
            if self._is_worthless():
                raise Interrupted

        begun = time.monotonic_ns()
        stored = presigned_writes.store(
            offer,
            [
                presigned_writes.Output(finished.result.datum, output.path, output.file)
                for finished, output in large
            ],
            self._scratch.disk,
            check,
        )
        share = (time.monotonic_ns() - begun) // len(large)
        for finished, _ in large:
            finished.result.upload_ns += share
        return stored

    def _forget_waiting(self) -> None:
        for finished in self._waiting:
            if finished.datum_dir:
                self._runner.take_back(finished.result.datum, finished.datum_dir)
        self._waiting, self._waiting_bytes = [], 0

    def _frames(
        self, release: bool, claim_next: bool, stored: Stored | None = None
    ) -> Iterator[pb.CompleteRequest]:
        """Yield the frames of a report.

        Args:
            release: give the rest of the claim back.
            claim_next: ask for the next claim.
            stored: files that are sent as chunk lists.
        """
        claim = self._assignment.claim_id
        frame = pb.CompleteRequest(claim_id=claim)
        size = 0
        apart: set[tuple[int, str]] = set()
        if stored is not None:
            for pack in stored.packs:
                yield pb.CompleteRequest(claim_id=claim, packs=[pack])
            for file in stored.files:
                apart.add((file.datum, file.path))
                yield pb.CompleteRequest(claim_id=claim, files=[file])
        for finished in self._waiting:
            begun = time.monotonic_ns()
            for output in finished.outputs:
                if (finished.result.datum, output.path) in apart:
                    continue
                if output.source is not None:
                    item, source = output.source
                    frame.copies.add(datum=finished.result.datum, path=output.path, item=item, source=source)
                    size += len(output.path) + len(source)
                    continue
                for data in _pieces(output.data, output.file):
                    frame.outputs.add(datum=finished.result.datum, path=output.path, data=data)
                    size += len(data) + len(output.path)
                    if size >= _FRAME:
                        yield frame
                        frame, size = pb.CompleteRequest(claim_id=claim), 0
            finished.result.upload_ns += time.monotonic_ns() - begun
        frame.results.extend(finished.result for finished in self._waiting)
        frame.release = release
        frame.claim_next = claim_next
        yield frame


def _pieces(data: bytes | None, file: str) -> Iterator[bytes]:
    """Yield the bytes in pieces of at most a frame; one empty piece for an empty file."""
    if data is not None:
        for start in range(0, len(data) or 1, _FRAME):
            yield data[start : start + _FRAME] if start or len(data) > _FRAME else data
        return
    with open(outputs.open_file(file), "rb", buffering=0) as reader:
        piece = reader.read(_FRAME)
        yield piece
        while piece := reader.read(_FRAME):
            yield piece
