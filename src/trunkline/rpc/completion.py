"""One hand-in of a worker (Complete): outputs and results of the next datums of a claim, made durable.

Outputs come as bytes, or as lists of chunks whose packs the worker has put into the object store itself
(``direct``). Either way the same rows come out: where the bytes went is no part of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import jobs
from trunkline.model import paths
from trunkline.model.states import DatumState
from trunkline.pfs.write_streams import Changes
from trunkline.pps import claims, datum_rows
from trunkline.rpc.chunk_list_check import NamedChunks, chunk_list
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.storage.segments import EMPTY

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.assignments import Assigned
    from trunkline.rpc.presigned import GivenPacks
    from trunkline.storage.chunks import PackRecord

_STATES = {
    pb.DatumResult.SUCCESS: DatumState.SUCCESS,
    pb.DatumResult.FAILED: DatumState.FAILED,
    pb.DatumResult.RECOVERED: DatumState.RECOVERED,
}


class Completion:
    """One hand-in on its way. Used by one thread at a time."""

    def __init__(
        self, versions: VersionedStore, claim_id: str, assigned: Assigned, given: GivenPacks
    ) -> None:
        self._versions = versions
        self._claim_id = claim_id
        self._given = given
        self._named = NamedChunks(versions.chunks)
        self._packs: list[PackRecord] = []
        self._assigned = assigned
        self._changes = Changes(versions)
        self._outputs: dict[int, dict[str, None]] = {}
        self._results: list[pb.DatumResult] = []
        self._release = False

    def take(self, request: pb.CompleteRequest) -> None:
        """Take a frame.

        Raises:
            FailedPrecondition: it names packs or chunks that are not there.
        """
        for pack in request.packs:
            self._packs.append(self._given.take(self._claim_id, pack))
            self._named.came((id, length) for id, _, _, length, _ in self._packs[-1].entries)
        for file in request.files:
            self._take_file(file)
        for piece in request.outputs:
            paths_of = self._outputs.setdefault(piece.datum, {})
            if piece.path not in paths_of:
                paths.validate(piece.path)
                paths_of[piece.path] = None
            self._changes.add(piece.path, self._datum(piece.datum).id.hex(), piece.data)
        self._results.extend(request.results)
        self._release = self._release or request.release

    def _take_file(self, file: pb.StoredFile) -> None:
        paths.validate(file.path)
        named = chunk_list(file.path, file.chunks)
        self._named.check([(file.path, named)])
        self._outputs.setdefault(file.datum, {})[file.path] = None
        tag = self._datum(file.datum).id.hex()
        # As if its bytes had come: appended to what the datum wrote, which is nothing.
        self._changes.put(file.path, tag, file.chunks, size=sum(size for _, size in named), append=True)

    def finish(self) -> claims.HandIn:
        """Make everything durable and say what it was."""
        positions = [result.datum for result in self._results]
        if positions != list(range(positions[0], positions[0] + len(positions)) if positions else []):
            raise errors.InvalidArgument(
                f"results must follow each other in assignment order, got {positions}"
            )
        deltas = self._changes.delta.finish()
        assert len(deltas) <= 1, "a hand-in is bounded by the worker"
        built = [self._row(result) for result in self._results]
        tree = datum_rows.trees(self._versions).build(
            self._changes.writer, sorted((row.id, datum_rows.encode(row)) for row in built)
        )
        failed = next((row for row in built if row.state is DatumState.FAILED), None)
        return claims.HandIn(
            claim_id=self._claim_id,
            first=self._assigned.first + positions[0] if positions else None,
            count=len(positions),
            delta=deltas[0] if deltas else EMPTY,
            rows=tree,
            results=_sums(built),
            failure=f"datum {failed.id.hex()} failed: {failed.reason}" if failed is not None else "",
            release=self._release,
            packs=[*self._changes.writer.seal(), *self._packs],
            written_bytes=self._changes.delta.bytes_in,
        )

    def abort(self) -> None:
        """Drop everything."""
        self._changes.abort()

    def _datum(self, position: int) -> datum_rows.DatumRow:
        if position >= len(self._assigned.datums):
            raise errors.InvalidArgument(
                f"the assignment has {len(self._assigned.datums)} datums, datum {position} was handed in"
            )
        return self._assigned.datums[position]

    def _row(self, result: pb.DatumResult) -> datum_rows.DatumRow:
        state = _STATES.get(result.state)
        if state is None:
            raise errors.InvalidArgument(f"result state {result.state} of datum {result.datum} means nothing")
        return self._datum(result.datum).finished(
            state=state,
            job_id=self._assigned.job.set_id,
            reason=result.reason,
            outputs=tuple(self._outputs.get(result.datum, ())),
            download_ns=result.download_ns,
            process_ns=result.process_ns,
            upload_ns=result.upload_ns,
            download_bytes=result.download_bytes,
            upload_bytes=result.upload_bytes,
        )


def _sums(built: list[datum_rows.DatumRow]) -> jobs.Results:
    """Add up what results add to their job's counters."""
    states = [row.state for row in built]
    return jobs.Results(
        processed=states.count(DatumState.SUCCESS),
        failed=states.count(DatumState.FAILED),
        recovered=states.count(DatumState.RECOVERED),
        download_ns=sum(row.download_ns for row in built),
        process_ns=sum(row.process_ns for row in built),
        upload_ns=sum(row.upload_ns for row in built),
        download_bytes=sum(row.download_bytes for row in built),
        upload_bytes=sum(row.upload_bytes for row in built),
    )
