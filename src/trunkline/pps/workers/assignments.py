"""Assignments: the job of a claim, the datums to run, and the input trees that they read.

An assignment is a pure function of its claim, so it can be computed again at any time; the recently used ones
are cached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, pipelines
from trunkline.model import trace
from trunkline.model.glob_keys import keys
from trunkline.pps import datum_rows, plan, todos
from trunkline.pps.items import LeafIndex
from trunkline.pps.secrets import NO_SECRETS, DeliveredSecrets, SecretStore
from trunkline.pps.spec_cache import input_of
from trunkline.pps.workers import claims
from trunkline.pps.workers.presigned import can_sign
from trunkline.storage.lru import ByteCache
from trunkline.telemetry import tracing

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.model.trace import TraceContext
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.storage.sums import TreeId

#: Bytes of assignments in the cache: those of a thousand workers with two hundred datums of one file each.
CACHE_BYTES = 256 << 20
#: Bytes that a datum of one item takes in memory, and those of each further item.
_DATUM_BYTES = 1_000
_ITEM_BYTES = 400


class Source(Struct, frozen=True):
    """What items come from."""

    leaf: PfsInput
    tree: TreeId
    #: Empty without a commit.
    commit_id: str
    #: Whether files are fetched when they are opened. A service's program opens them several times, and a pipe serves
    #: one reader.
    lazy: bool

    def join_on(self, item: datum_rows.RowItem) -> str:
        """Return the value of ``join_on`` for an item."""
        return self._key(self.leaf.join_on, item)

    def group_by(self, item: datum_rows.RowItem) -> str:
        """Return the value of ``group_by`` for an item."""
        return self._key(self.leaf.group_by, item)

    def _key(self, template: str, item: datum_rows.RowItem) -> str:
        return keys(self.leaf.glob, template).of(item.path.rstrip("/") or "/") if template else ""


class Assignment(Struct, frozen=True):
    """The work of a claim."""

    claim_id: str
    job: JobRow
    pipeline: PipelineRow
    spec: PipelineSpec
    #: Position in the job of the assignment's first datum.
    first: int
    datums: list[datum_rows.DatumRow]
    #: Distinct items, in order of first use.
    items: list[datum_rows.RowItem]
    #: Where the items come from, by input and origin.
    sources: dict[tuple[str, str], Source]
    #: Whether the worker may transfer bytes directly to and from the object store.
    direct: bool
    #: Values of the pipeline's secrets, where the fleet has no place for them.
    secrets: DeliveredSecrets = NO_SECRETS

    def source(self, item: datum_rows.RowItem) -> Source:
        """Return where an item comes from."""
        return self.sources[item.input, item.origin]

    def datum_traces(self) -> list[TraceContext | None]:
        """Return the parent span of each datum's command in its job's trace; None without a trace."""
        above = trace.from_text(self.job.trace)
        if above is None:
            return [None] * len(self.datums)
        job = tracing.job_context(above, f"{self.pipeline.project}/{self.pipeline.name}", self.job.set_id)
        return [tracing.datum_context(job, self.claim_id, row.id.hex()) for row in self.datums]


class Assignments:
    """Computes assignments. May be used from several threads."""

    def __init__(self, versions: VersionedStore, specs: Specs, secrets: SecretStore | None = None) -> None:
        """Create the cache.

        Args:
            versions: the store.
            specs: the parsed specifications.
            secrets: those that workers get with their assignments; None when the fleet delivers them.
        """
        self._versions = versions
        self._specs = specs
        self._secrets = secrets
        self._cache: ByteCache[tuple[str, int], Assignment] = ByteCache(CACHE_BYTES)

    def held_by(self, worker_id: str, claim_id: str) -> Assignment:
        """Return the assignment of a claim. Blocks.

        Raises:
            ClaimLost: the worker does not hold the claim.
        """
        claim = self._versions.read(claim_rows.claim_by_id, claim_id)
        if claim is None or claim.worker_id != worker_id:
            raise claims.ClaimLost(f"worker {worker_id} does not hold claim {claim_id}")
        cached = self._cache.get((claim.id, claim.start))
        return cached if cached is not None else self.of(claim)

    def of(self, claim: ClaimRow) -> Assignment:
        """Compute the assignment of a claim. Blocks.

        Raises:
            ClaimLost: the claim's job was deleted.
            DataLoss: the datums cannot be read.
            NotFound: a secret of the pipeline does not exist.
        """
        job, pipeline, spec, inputs = self._versions.read(self._look, claim.job_id)
        rows = todos.rows(datum_rows.trees(self._versions), job, claim.start, claim.stop)
        todo = [datum_rows.decode(key, value) for key, value in rows]
        items = dict.fromkeys(item for row in todo for item in row.items)
        sources = {
            place: Source(
                leaf,
                inputs.trees[key],
                row.set_id if (row := inputs.commits[key]) is not None else "",
                lazy=leaf.lazy and not leaf.empty_files and spec.service is None,
            )
            for place, key, leaf in LeafIndex(input_of(spec))
        }
        assignment = Assignment(
            claim.id,
            job,
            pipeline,
            spec,
            claim.start,
            todo,
            list(items),
            sources,
            can_sign(self._versions.chunks.objects),
            self._secrets.delivered(spec) if self._secrets is not None else NO_SECRETS,
        )
        size = _DATUM_BYTES * len(todo) + _ITEM_BYTES * sum(len(row.items) for row in todo)
        self._cache.put((claim.id, claim.start), assignment, size)
        return assignment

    def _look(
        self, conn: sa.Connection, job_id: int
    ) -> tuple[JobRow, PipelineRow, PipelineSpec, plan.Inputs]:
        job = jobs.by_id(conn, job_id)
        pipeline = pipelines.by_id(conn, job.pipeline_id) if job is not None else None
        if job is None or pipeline is None:
            raise claims.ClaimLost("the claim's job was deleted")
        spec = self._specs.of(conn, pipeline.id, job.version)
        return job, pipeline, spec, plan.inputs_of(conn, spec, job)
