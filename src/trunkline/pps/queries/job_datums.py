"""The datums of one job at any place of their order, at the cost of what is read.

A finished job has one tree of them. Another one has those of the job before it, without those that this one replaces
or removes, and what it runs: the datums of its todo with what completions have recorded of them. Ranks in several trees
add up, so a page at any offset is found without reading what is before it; the completion that has a datum's result is
found by the datum's position.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta import claims as claim_rows
from trunkline.meta import job_results, jobs
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows, todos
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore

#: Of a key, the bytes by which the place of an offset is searched; ids are hashes.
_PREFIX = 8
#: Results that are looked up together.
_PAGE = 512
#: Job id of a datum of a todo.
_NOT_RUN = bytes(16)


class ListedDatum(Struct, frozen=True):
    """A datum of a job."""

    row: datum_rows.DatumRow
    state: DatumState
    #: Position in what the job runs; None for one that it skips, or that is not known.
    position: int | None = None


def in_job(job: JobRow, row: datum_rows.DatumRow, position: int | None = None) -> ListedDatum:
    """Return a datum with its state in a job: what an earlier job ran is SKIPPED.

    Args:
        job: the job.
        row: its datum.
        position: of the datum in what the job runs; None when it is not known.
    """
    skipped = bool(row.job_id) and row.job_id != job.set_id
    return ListedDatum(row, DatumState.SKIPPED if skipped else row.state, position)


class _Sources(Struct, frozen=True):
    #: Datums of the base job, and those of them that this job does not have or runs again.
    base: TreeId
    without: TreeId
    #: Results of an earlier job that this one has taken over.
    taken_over: Sequence[TreeId]
    claims: Sequence[ClaimRow]


class JobDatums:
    """Reads the datums of a job. All methods block.

    Args:
        versions: the store.
        job: the job as it was read; its sources are read once.
    """

    def __init__(self, versions: VersionedStore, job: JobRow) -> None:
        self._versions = versions
        self._job = job
        self._trees = datum_rows.trees(versions)
        self._sources = versions.read(_look, job)
        if job.datums is not None:
            self._added = [TreeId(job.datums)]
            self._removed = EMPTY
        else:
            runs = [TreeId(tree) for tree in (job.early, job.todo) if tree is not None]
            self._added = [self._sources.base, *self._sources.taken_over, *runs] if runs else []
            self._removed = self._sources.without if runs else EMPTY

    @property
    def total(self) -> int:
        """Return how many datums there are."""
        return self._rank(b"", None)

    def page(self, offset: int, number: int) -> list[ListedDatum]:
        """Return the datums at some places of the order by id.

        Args:
            offset: of the first one.
            number: at most so many.
        """
        if offset >= self.total:
            return []
        low, high = 0, 1 << 8 * _PREFIX
        while low + 1 < high:
            middle = (low + high) // 2
            if self._rank(b"", middle.to_bytes(_PREFIX)) <= offset:
                low = middle
            else:
                high = middle
        start = low.to_bytes(_PREFIX) if low else b""
        skipped = offset - self._rank(b"", start)
        rows = self._merged(start)
        for _ in range(skipped):
            next(rows)
        return self._listed([row for row, _ in zip(rows, range(number), strict=False)])

    def scan(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of the datums after an id; those that have a result by now may have none in them."""
        return self._merged(after + b"\0" if after else b"")

    def complete(self, rows: Sequence[tuple[bytes, bytes]]) -> list[ListedDatum]:
        """Return datums of ``scan`` with their results and states."""
        return self._listed(rows)

    def get(self, key: bytes) -> ListedDatum | None:
        """Return one datum; None when the job has none of this id."""
        removed = self._trees.get(self._removed, key) is not None
        for tree in reversed(self._added):
            if removed and tree == self._sources.base and self._job.datums is None:
                continue
            value = self._trees.get(tree, key)
            if value is not None:
                return self._listed([(key, value)])[0]
        return None

    def at(self, positions: Sequence[int]) -> list[ListedDatum]:
        """Return the datums at positions of what the job runs, in this order; those that are not known are left out."""
        rows: dict[int, tuple[bytes, bytes]] = {}
        for first, stop in _spans(positions):
            rows.update(enumerate(todos.rows(self._trees, self._job, first, stop), first))
        present = [position for position in positions if position in rows]
        return self._listed([rows[position] for position in present], present)

    def _rank(self, low: bytes, high: bytes | None) -> int:
        """Return how many datums are in a range of ids."""
        added = sum(self._trees.summary(tree, low, high).rows for tree in self._added)
        return added - self._trees.summary(self._removed, low, high).rows

    def _merged(self, low: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows from an id on, without the results of this job."""
        if self._job.datums is not None:
            return self._trees.scan(self._added[0], low)
        if not self._added:
            return iter(())
        base, *others = self._added
        return heapq.merge(
            _difference(self._trees.scan(base, low), self._trees.scan(self._removed, low)),
            *(self._trees.scan(tree, low) for tree in others),
        )

    def _listed(
        self, rows: Sequence[tuple[bytes, bytes]], positions: Sequence[int | None] | None = None
    ) -> list[ListedDatum]:
        """Return rows with their results, states and positions."""
        if positions is None:
            positions = [self._position(key) for key, _ in rows]
        if self._job.datums is not None:
            tree = TreeId(self._job.datums)
            rows = [
                (key, (value[datum_rows.JOB] == _NOT_RUN and self._trees.get(tree, key)) or value)
                for key, value in rows
            ]
        else:
            recorded = self._results([key for key, _ in rows], positions)
            rows = [(key, recorded.get(key, value)) for key, value in rows]
        return [
            self._with_state(key, value, position)
            for (key, value), position in zip(rows, positions, strict=True)
        ]

    def _position(self, key: bytes) -> int | None:
        """Return the position of a datum in what the job runs."""
        job, start = self._job, 0
        for tree, count in ((job.early, job.early_count), (job.todo, 0)):
            if tree is not None and self._trees.get(TreeId(tree), key) is not None:
                return start + self._trees.summary(TreeId(tree), b"", key).rows
            start += count if tree is not None else 0
        return None

    def _results(self, keys: Sequence[bytes], positions: Sequence[int | None]) -> dict[bytes, bytes]:
        """Return the results of datums of what the job runs, of those that have one."""
        own = sorted(
            (position, key) for position, key in zip(positions, keys, strict=True) if position is not None
        )
        results: dict[bytes, bytes] = {}
        for first, stop in _spans([position for position, _ in own]):
            completions = self._versions.read(job_results.at, self._job.id, first, stop - 1)
            within = [(position, key) for position, key in own if first <= position < stop]
            for number, (begin, tree) in enumerate(completions):
                end = completions[number + 1][0] if number + 1 < len(completions) else stop
                for position, key in within:
                    if begin <= position < end:
                        value = self._trees.get(TreeId(tree), key)
                        if value is not None:
                            results[key] = value
        missing = [key for _, key in own if key not in results]
        for tree in self._sources.taken_over if missing else ():
            for key in missing:
                value = self._trees.get(tree, key)
                if value is not None:
                    results[key] = value
        return results

    def _with_state(self, key: bytes, value: bytes, position: int | None) -> ListedDatum:
        listed = in_job(self._job, datum_rows.decode(key, value), position)
        if listed.state is DatumState.UNKNOWN and position is not None:
            for claim in self._sources.claims:
                if claim.done <= position < claim.stop:
                    return ListedDatum(
                        self._begun(listed.row, claim, position), DatumState.STARTING, position
                    )
        return listed

    def _begun(self, row: datum_rows.DatumRow, claim: ClaimRow, position: int) -> datum_rows.DatumRow:
        """Return a datum that a worker holds, with the time that it has run."""
        if position != claim.datum_position or claim.datum_started is None:
            return row
        elapsed = max(0, round((self._versions.clock.now() - claim.datum_started) * 1e9))
        return replace(row, process_ns=elapsed)


def _look(conn: sa.Connection, job: JobRow) -> _Sources:
    if job.datums is not None:
        return _Sources(EMPTY, EMPTY, (), ())
    base = jobs.by_id(conn, job.base_id) if job.base_id is not None else None
    return _Sources(
        TreeId(base.datums) if base is not None and base.datums is not None else EMPTY,
        TreeId(job.obsolete or EMPTY),
        [TreeId(tree) for tree in job_results.taken_over(conn, job.id) if tree != EMPTY],
        claim_rows.owned_claims(conn, job.id),
    )


def _difference(
    rows: Iterable[tuple[bytes, bytes]], removed: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows whose key is not among others; both are sorted."""
    others = iter(removed)
    other = next(others, None)
    for row in rows:
        while other is not None and other[0] < row[0]:
            other = next(others, None)
        if other is None or other[0] != row[0]:
            yield row


def _spans(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return ranges that contain all positions: those that are near each other share one."""
    spans: list[tuple[int, int]] = []
    for position in sorted(positions):
        if spans and position - spans[-1][1] < _PAGE // 8 and position - spans[-1][0] < _PAGE:
            spans[-1] = (spans[-1][0], position + 1)
        else:
            spans.append((position, position + 1))
    return spans
