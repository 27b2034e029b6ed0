"""Works through one assignment: runs its datums in order and hands their results in, in order.

Results are handed in together, once a second or once their outputs are large, because a hand-in is a
transaction of the server; and always when the assignment ends, so that a short job does not wait.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker.api import patiently
from trunkline.worker.datum import DatumRunner, Finished
from trunkline.worker.inputs import Inputs
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.worker.api import ServerAPI
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.keeper import Keeper
    from trunkline.worker.places import Places
    from trunkline.worker.world import World

#: Seconds. What a worker that dies loses at most, besides the running datum.
MAX_AGE = 1.0
#: Bytes of outputs that wait to be handed in.
MAX_WAITING = 32 << 20
#: Bytes of outputs in one frame: the size at which the connection moves most.
_FRAME = 1 << 20


def work(
    api: ServerAPI,
    keeper: Keeper,
    interrupts: Interrupts,
    world: World,
    places: Places,
    assignment: pb.Assignment,
    notes: Sequence[str],
) -> None:
    """Run the assignment's datums and hand them in; the flags of ``interrupts`` tell how it ended.

    Args:
        api: the main thread's connection.
        keeper: renews the claim meanwhile.
        interrupts: what may call the worker away.
        world: what commands see.
        places: folders for the files of datums.
        assignment: what was claimed.
        notes: sentences for the log of the first datum.
    """
    interrupts.lower_for_new_claim()
    keeper.hold(assignment.claim_id, assignment.lease_seconds)
    for note in notes:
        keeper.logs.add(0, time.time_ns(), note.encode(), system=True)
    run = _Run(api, keeper, interrupts, world, places, assignment)
    try:
        run.to_the_end()
    except Interrupted:
        pass  # lost, or abandoned: the server gives the datums to another worker
    finally:
        keeper.let_go()
        run.close()


class _Run:
    def __init__(
        self,
        api: ServerAPI,
        keeper: Keeper,
        interrupts: Interrupts,
        world: World,
        places: Places,
        assignment: pb.Assignment,
    ) -> None:
        self._api = api
        self._keeper = keeper
        self._interrupts = interrupts
        self._assignment = assignment
        owner, fault = None, ""
        try:
            owner = world.find_user(assignment.command.user)
        except InvalidArgument as error:
            fault = error.message
        self._inputs = Inputs(api, interrupts, assignment, places, owner)
        self._runner = DatumRunner(world, places, keeper, interrupts, assignment, self._inputs, owner, fault)
        self._waiting: list[Finished] = []
        self._waiting_bytes = 0
        self._handed_in = time.monotonic()

    def close(self) -> None:
        """Remove everything that this assignment has left."""
        self._forget_waiting()
        self._inputs.close()

    def to_the_end(self) -> None:
        """Run and hand in everything, or as much as a request to retire leaves time for."""
        count = len(self._assignment.datums)
        for position in range(count):
            try:
                finished = self._run_datum(position)
            except Interrupted:
                if self._interrupts.give_back and not self._is_worthless():
                    self._hand_in(release=True)
                    return
                raise
            self._log_note(position)
            self._inputs.done_with(position)
            self._waiting.append(finished)
            self._waiting_bytes += finished.result.upload_bytes
            last = position + 1 == count
            if self._interrupts.retire and not last:
                self._hand_in(release=True)
                return
            aged = time.monotonic() - self._handed_in >= MAX_AGE
            if last or aged or self._waiting_bytes >= MAX_WAITING:
                self._hand_in(release=False)
            if self._interrupts.retire and not last:
                self._hand_in(release=True)  # the server asked for it with its answer just now
                return

    def _log_note(self, position: int) -> None:
        note = self._api.store.take_note()
        if note:
            self._keeper.logs.add(position, time.time_ns(), note.encode(), system=True)

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

    def _hand_in(self, release: bool) -> None:
        self._keeper.report(0, 0.0)
        patiently(lambda: self._keeper.logs.ship(self._api), self._interrupts)
        answer = patiently(lambda: self._api.complete(self._frames(release)), self._interrupts)
        self._forget_waiting()
        self._handed_in = time.monotonic()
        self._interrupts.retire |= answer.retire
        if not answer.accepted:
            self._interrupts.claim_lost = True
            raise Interrupted

    def _forget_waiting(self) -> None:
        for finished in self._waiting:
            if finished.place:
                self._runner.take_back(finished.result.datum, finished.place)
        self._waiting, self._waiting_bytes = [], 0

    def _frames(self, release: bool) -> Iterator[pb.CompleteRequest]:
        claim = self._assignment.claim_id
        frame = pb.CompleteRequest(claim_id=claim)
        size = 0
        for finished in self._waiting:
            begun = time.monotonic_ns()
            for output in finished.outputs:
                for data in _pieces(output.data, output.file):
                    frame.outputs.add(datum=finished.result.datum, path=output.path, data=data)
                    size += len(data) + len(output.path)
                    if size >= _FRAME:
                        yield frame
                        frame, size = pb.CompleteRequest(claim_id=claim), 0
            finished.result.upload_ns += time.monotonic_ns() - begun
        frame.results.extend(finished.result for finished in self._waiting)
        frame.release = release
        yield frame


def _pieces(data: bytes | None, file: str) -> Iterator[bytes]:
    """Yield the bytes in pieces of at most a frame; one empty piece for an empty file."""
    if data is not None:
        for start in range(0, len(data) or 1, _FRAME):
            yield data[start : start + _FRAME] if start or len(data) > _FRAME else data
        return
    with open(file, "rb", buffering=0) as reader:
        piece = reader.read(_FRAME)
        yield piece
        while piece := reader.read(_FRAME):
            yield piece
