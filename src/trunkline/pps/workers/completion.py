"""One completion: outputs and results of the next datums of a claim, made durable, then recorded.

Outputs come as bytes, or as chunk lists whose packs the worker has uploaded itself (``presigned``). Both give
the same rows: a file does not depend on the way its bytes took.

Completing is split in two: ``Completion.prepare`` blocks until everything is durable, and ``claims.complete``
records it in a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.meta import jobs
from trunkline.model import limits, paths
from trunkline.model.states import DatumState
from trunkline.pfs.chunk_list_check import ChunkListChecker, parse_chunk_list
from trunkline.pfs.write_streams import Changes
from trunkline.pps import datum_rows, sum_merging
from trunkline.pps.datum_sums import Measured, sum_of
from trunkline.pps.jobs import datum_failure
from trunkline.pps.workers import claims, last_completion
from trunkline.storage import files as storage_files
from trunkline.telemetry.reports import DatumReport

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.assignments import Assignment
    from trunkline.pps.workers.presigned import PackGrants, ReportedPack
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.files import FileEntry

#: What can become of a datum that ran.
_RESULT_STATES = frozenset((DatumState.SUCCESS, DatumState.FAILED, DatumState.RECOVERED))


class DatumResult(NamedTuple):
    """What became of one datum."""

    #: Position in the assignment.
    datum: int
    state: DatumState
    #: Why it failed, for people.
    reason: str = ""
    download_ns: int = 0
    process_ns: int = 0
    upload_ns: int = 0
    download_bytes: int = 0
    upload_bytes: int = 0
    #: When its run began and ended by the worker's clock, seconds since the epoch; 0 when not known.
    started: float = 0.0
    finished: float = 0.0
    #: Processor time and most bytes of memory of its command; 0 when they were not measured.
    cpu_ns: int = 0
    peak_memory: int = 0


class Completion:
    """One completion being received. Used by one thread at a time; every call may block.

    Args:
        versions: the store.
        claim_id: the claim whose datums are completed.
        assignment: what the claim means.
        grants: checks the packs that the worker uploaded.
        specs: cache of specifications.
    """

    def __init__(
        self,
        versions: VersionedStore,
        claim_id: str,
        assignment: Assignment,
        grants: PackGrants,
        specs: Specs,
    ) -> None:
        self._versions = versions
        self._specs = specs
        self._claim_id = claim_id
        self._assignment = assignment
        self._grants = grants
        self._checker = ChunkListChecker(versions.chunks)
        self._packs: list[PackRecord] = []
        self._changes = Changes(versions)
        self._outputs: dict[int, dict[str, None]] = {}
        self._results: list[DatumResult] = []
        self._release = False

    def add_pack(self, pack: ReportedPack) -> None:
        """Add a pack that the worker uploaded; before the files that need it.

        Raises:
            FailedPrecondition: it is not what the worker says; its bytes must be sent instead.
        """
        record = self._grants.check(self._claim_id, pack)
        self._packs.append(record)
        self._checker.add((id, length) for id, _, _, length, _ in record.entries)

    def add_file(self, datum: int, path: str, chunks: bytes) -> None:
        """Add a whole output file by its chunk list.

        Args:
            datum: position in the assignment.
            path: below ``/pfs/out``, with leading slash.
            chunks: the chunk list.

        Raises:
            InvalidArgument: the path or the chunk list is not valid, or there is no such datum.
            FailedPrecondition: a chunk is not in the store.
        """
        tag = self._tag(datum)
        entries = parse_chunk_list(path, chunks)
        self._checker.check([(path, entries)])
        if self._is_new_output(datum, path):
            # As if its bytes had come: appended to what the datum wrote, which is nothing.
            self._changes.put(path, tag, chunks, size=sum(size for _, size in entries), append=True)

    def add_output(self, datum: int, path: str, data: bytes) -> None:
        """Append bytes to an output file; empty ``data`` makes an empty file.

        Args:
            datum: position in the assignment.
            path: below ``/pfs/out``, with leading slash.
            data: the bytes.

        Raises:
            InvalidArgument: the path is not valid, or there is no such datum.
        """
        outputs = self._outputs.get(datum)
        if (outputs is not None and path in outputs) or self._is_new_output(datum, path):
            self._changes.add(path, self._tag(datum), data)

    def add_copy(self, datum: int, path: str, item: int, source: str) -> None:
        """Add an output file that is a file of an input whose bytes the worker does not have.

        Args:
            datum: position in the assignment.
            path: below ``/pfs/out``, with leading slash.
            item: position among the items of the assignment.
            source: path of the file in the repo.

        Raises:
            InvalidArgument: the path is not valid, there is no such datum, or the datum has no such file.
        """
        tag = self._tag(datum)
        entry = self._input_file(datum, item, source)
        if self._is_new_output(datum, path):
            self._changes.delta.copy(path, tag, entry.value, append=True)

    def _input_file(self, datum: int, item: int, source: str) -> FileEntry:
        items = self._assignment.items
        own = items[item] if item < len(items) else None
        if own is not None and own in self._datum(datum).items:
            within = source.startswith(own.path) if own.path.endswith("/") else source == own.path
            entry = storage_files.inspect(self._versions.trees, self._assignment.source(own).tree, source)
            if within and entry is not None and not entry.is_dir:
                return entry
        raise errors.InvalidArgument(
            f'datum {datum} has no input file "{source[:200]}" in item {item}; only its own files can be its output'
        )

    def add_result(self, result: DatumResult) -> None:
        """Add what became of the next datum.

        Raises:
            InvalidArgument: a time or a number of bytes is negative, or a time is not valid.
        """
        measured = (
            result.download_ns, result.process_ns, result.upload_ns, result.download_bytes, result.upload_bytes,
            result.cpu_ns, result.peak_memory,
        )  # fmt: skip
        if min(measured) < 0:
            raise errors.InvalidArgument(
                f"the result of datum {result.datum} has a negative time or number of bytes ({min(measured)});"
                " send 0 or more"
            )
        for moment in (result.started, result.finished):
            if not 0 <= moment <= claims.LATEST:
                raise errors.InvalidArgument(
                    f"the result of datum {result.datum} has a time that is not valid ({moment}); send seconds"
                    " since 1970"
                )
        if result.reason:
            result = result._replace(reason=limits.cut_text(result.reason, limits.REASON))
        self._results.append(result)

    def release(self) -> None:
        """Give the rest of the claim back once the results are recorded."""
        self._release = True

    def prepare(self) -> claims.PreparedCompletion:
        """Make everything durable and return what ``claims.complete`` records.

        Raises:
            InvalidArgument: the results do not follow each other in assignment order.
        """
        positions = [result.datum for result in self._results]
        if positions != list(range(positions[0], positions[0] + len(positions)) if positions else []):
            raise errors.InvalidArgument(
                f"results must follow each other in assignment order, but came for datums {positions}"
            )
        deltas = self._changes.delta.finish()
        rows = [self._row(result) for result in self._results]
        tree = datum_rows.trees(self._versions).build(
            self._changes.writer, sorted((row.id, datum_rows.encode(row)) for row in rows)
        )
        failed = next((row for row in rows if row.state is DatumState.FAILED), None)
        parts = claims.parts_of(deltas, tree)
        last = None
        if failed is None and rows and not self._packs:
            last = last_completion.settled_with(
                self._versions, self._specs, self._assignment.job.id, parts, len(rows), self._changes.writer
            )
        first = self._assignment.first + positions[0] if positions else None
        if first is not None and sum_merging.is_due(self._claim_id, first):
            sum_merging.merge(self._versions, self._assignment.job.id)
        return claims.PreparedCompletion(
            claim_id=self._claim_id,
            first=first,
            count=len(positions),
            parts=parts,
            last=last,
            results=_sums(rows),
            sum=sum_of(first, list(map(_measured, rows, self._results)), self._versions.clock.now())
            if first is not None
            else None,
            failure=datum_failure(failed) if failed is not None else "",
            release=self._release,
            packs=self._changes.writer.seal(),
            uploaded=self._packs,
            written_bytes=self._changes.delta.bytes_in,
            reports=[_report(row, result) for row, result in zip(rows, self._results, strict=True)],
        )

    def abort(self) -> None:
        """Drop everything."""
        self._changes.abort()

    def _is_new_output(self, datum: int, path: str) -> bool:
        """Record a path that a datum writes; False once the datum has written too many to be a success."""
        outputs = self._outputs.setdefault(datum, {})
        if len(outputs) > limits.DATUM_OUTPUTS:
            return False
        paths.validate(path)
        outputs[path] = None
        return len(outputs) <= limits.DATUM_OUTPUTS

    def _tag(self, position: int) -> str:
        return self._datum(position).id.hex()

    def _datum(self, position: int) -> datum_rows.DatumRow:
        datums = self._assignment.datums
        if not 0 <= position < len(datums):
            raise errors.InvalidArgument(
                f"the assignment has {len(datums)} datums; datum {position} cannot be completed"
            )
        return datums[position]

    def _row(self, result: DatumResult) -> datum_rows.DatumRow:
        if result.state not in _RESULT_STATES:
            raise errors.InvalidArgument(f'datum {result.datum} cannot be completed as "{result.state}"')
        state, reason = result.state, result.reason
        outputs = tuple(self._outputs.get(result.datum, ()))
        if len(outputs) > limits.DATUM_OUTPUTS:
            state, outputs = DatumState.FAILED, ()
            reason = (
                f"it wrote more than {limits.DATUM_OUTPUTS:,} files, the limit of one datum; split its input"
            )
        return self._datum(result.datum).finished(
            state=state,
            job_id=self._assignment.job.set_id,
            reason=reason,
            outputs=outputs,
            download_ns=result.download_ns,
            process_ns=result.process_ns,
            upload_ns=result.upload_ns,
            download_bytes=result.download_bytes,
            upload_bytes=result.upload_bytes,
            cpu_ns=result.cpu_ns,
            peak_memory=result.peak_memory,
        )


def _measured(row: datum_rows.DatumRow, result: DatumResult) -> Measured:
    duration = row.download_ns + row.process_ns + row.upload_ns
    return Measured(row.state, duration, row.size, row.upload_bytes, result.started, result.finished)


def _report(row: datum_rows.DatumRow, result: DatumResult) -> DatumReport:
    return DatumReport(
        row.id.hex(), str(row.state), row.reason,
        row.download_ns / 1e9, row.process_ns / 1e9, row.upload_ns / 1e9,
        row.download_bytes, row.upload_bytes, result.started, result.finished,
    )  # fmt: skip


def _sums(rows: list[datum_rows.DatumRow]) -> jobs.Results:
    """Add up what results add to their job's counters."""
    states = [row.state for row in rows]
    return jobs.Results(
        processed=states.count(DatumState.SUCCESS),
        failed=states.count(DatumState.FAILED),
        recovered=states.count(DatumState.RECOVERED),
        download_ns=min(jobs.LARGEST, sum(row.download_ns for row in rows)),
        process_ns=min(jobs.LARGEST, sum(row.process_ns for row in rows)),
        upload_ns=min(jobs.LARGEST, sum(row.upload_ns for row in rows)),
        download_bytes=min(jobs.LARGEST, sum(row.download_bytes for row in rows)),
        upload_bytes=min(jobs.LARGEST, sum(row.upload_bytes for row in rows)),
    )
