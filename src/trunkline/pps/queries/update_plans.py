"""What an update of a pipeline would run again and why, how long it would take, and what it would cost.

The datums that the new specification makes of the heads of its inputs are compared with those of the last good job, as
the plan of the next job will do it (``pps.plan``); nothing is written.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import branches, jobs
from trunkline.meta import pipelines as rows
from trunkline.model.spec import EVERY_JOB
from trunkline.model.states import JobState
from trunkline.pps import apply, datum_rows, pipelines
from trunkline.pps import jobs as job_ops
from trunkline.pps.queries import costs
from trunkline.pps.queries.datum_causes import DatumCause
from trunkline.pps.queries.preview import Preview
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_rows import DatumRow
    from trunkline.pps.pipelines import Request
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.spec_changes import FieldChange

#: Jobs whose datums tell how long a datum takes and what it costs.
_JOBS = 20
#: Datums of each cause that are named.
_EXAMPLES = 3


class PlannedDatums(Struct, frozen=True):
    """Datums that one cause makes run."""

    cause: DatumCause
    count: int
    #: Paths of the first few.
    examples: Sequence[str]


class UpdatePlan(Struct, frozen=True, kw_only=True):
    """What an update would do."""

    project: str
    name: str
    #: Of the pipeline now; 0 when it does not exist.
    version: int
    fields: Sequence[FieldChange]
    total: int
    #: Datums of the last good job that would not exist any more.
    removed: int
    #: Those that run, the most first.
    causes: Sequence[PlannedDatums]
    #: Mean of the last jobs; 0 when nothing is known.
    datum_seconds: float
    workers: int
    #: US dollars of a datum, by the bills of the last jobs.
    datum_dollars: float

    @property
    def run(self) -> int:
        """How many datums run."""
        return sum(planned.count for planned in self.causes)

    @property
    def seconds(self) -> float:
        """How long they take, without the start of workers."""
        return max(self.datum_seconds, self.run * self.datum_seconds / self.workers) if self.run else 0.0

    @property
    def dollars(self) -> float:
        """What they cost."""
        return self.run * self.datum_dollars


class _Context(Struct, frozen=True):
    row: PipelineRow | None
    fields: Sequence[FieldChange]
    #: The specification with the salt that it will have.
    spec: PipelineSpec
    base: JobRow | None
    datum_seconds: float
    datum_dollars: float


def plan_update(versions: VersionedStore, specs: Specs, request: Request, *, reprocess: bool) -> UpdatePlan:
    """Return what an update, or the creation, of a pipeline would do. Blocks; costs what listing its input costs.

    Args:
        versions: the store.
        specs: cache of specifications.
        request: the new specification.
        reprocess: all datums are to run again.

    Raises:
        NotFound: a repo of the input does not exist.
        InvalidArgument: the input makes more datums than a job may have.
    """
    context = versions.query(_look, specs, request, reprocess=reprocess)
    counts: Counter[DatumCause] = Counter()
    examples: dict[DatumCause, list[str]] = {}
    removed = 0
    if context.spec.input is not None:
        preview = Preview(versions, context.spec, is_lenient=True)
        for row, before in _beside(versions, preview, context.base):
            if row is None:
                removed += 1
                continue
            cause = _cause(context, row, before)
            counts[cause] += 1
            if counts[cause] <= _EXAMPLES:
                examples.setdefault(cause, []).append(", ".join(item.path for item in row.items[:3]))
    total = counts.total()
    del counts[DatumCause.SKIPPED]
    constant = context.spec.parallelism_spec.constant if context.spec.parallelism_spec is not None else 1
    return UpdatePlan(
        project=request.project,
        name=request.name,
        version=context.row.version if context.row is not None else 0,
        fields=context.fields,
        total=total,
        removed=removed,
        causes=[PlannedDatums(cause, count, examples[cause]) for cause, count in counts.most_common()],
        datum_seconds=context.datum_seconds,
        workers=max(1, min(constant or 1, counts.total())),
        datum_dollars=context.datum_dollars,
    )


def _look(read: ReadTransaction, specs: Specs, request: Request, *, reprocess: bool) -> _Context:
    conn = read.conn
    row = rows.find(conn, request.project, request.name)
    if row is None:
        return _Context(None, (), request.spec, None, 0.0, 0.0)
    salt = request.spec.salt or (
        pipelines.new_salt() if reprocess else rows.version(conn, row.id, row.version).salt
    )
    output = branches.by_id(conn, row.output_branch_id)
    base = None
    if (
        output.head_id is not None
        and output.name == request.spec.output_branch
        and request.spec.service is None
    ):
        newest = jobs.by_commit(conn, output.head_id)
        if newest is not None:
            base = newest if newest.state is JobState.SUCCESS else job_ops.base_job(conn, newest)
    recent = [job for job in jobs.page(conn, pipeline_id=row.id, number=_JOBS) if job.processed]
    processed = sum(job.processed for job in recent)
    bills = costs.of_jobs(read, specs, recent)
    return _Context(
        row,
        apply.changed_fields(conn, row, request, read.now),
        replace(request.spec, salt=salt),
        base,
        sum(bill.work_seconds for bill in bills) / processed if processed else 0.0,
        sum(bill.dollars for bill in bills) / processed if processed else 0.0,
    )


def _beside(
    versions: VersionedStore, preview: Preview, base: JobRow | None
) -> Iterator[tuple[DatumRow | None, bytes | None]]:
    """Yield each datum of a preview with the base's row of it, and the base's other rows without a datum."""
    tree = TreeId(base.datums) if base is not None and base.datums is not None else EMPTY
    old = datum_rows.trees(versions).scan(tree)
    before = next(old, None)
    for row in preview.rows():
        while before is not None and before[0] < row.id:
            yield None, before[1]
            before = next(old, None)
        if before is not None and before[0] == row.id:
            yield row, before[1]
            before = next(old, None)
        else:
            yield row, None
    while before is not None:
        yield None, before[1]
        before = next(old, None)


def _cause(context: _Context, row: DatumRow, before: bytes | None) -> DatumCause:
    """Return why a datum would run, or SKIPPED.

    Args:
        context: of the plan.
        row: the datum.
        before: its row in the base; None without one.
    """
    if context.base is None:
        return DatumCause.FIRST
    if before is None:
        return DatumCause.NEW
    old = datum_rows.decode(row.id, before)
    if old.hash != row.hash:
        same_files = [item.hash for item in old.items] == [item.hash for item in row.items]
        return DatumCause.SALT if same_files else DatumCause.CHANGED
    if not datum_rows.is_success(before):
        return DatumCause.RECOVERED
    return DatumCause.EVERY_JOB if context.spec.reprocess_spec == EVERY_JOB else DatumCause.SKIPPED
