"""Why a datum of a job ran, or did not: its row compared with that of the job that this one builds on."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import jobs
from trunkline.model.spec import EVERY_JOB
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows
from trunkline.pps import jobs as job_ops
from trunkline.pps.queries import listing
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.model.names import JobName
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_rows import DatumRow, RowItem
    from trunkline.pps.queries.job_datums import ListedDatum
    from trunkline.pps.spec_cache import Specs


class DatumCause(StrEnum):
    """Why a datum ran; docs/design/explain.md describes each."""

    FIRST = "FIRST"
    NEW = "NEW"
    CHANGED = "CHANGED"
    SALT = "SALT"
    RECOVERED = "RECOVERED"
    EVERY_JOB = "EVERY_JOB"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"


class ItemChange(Struct, frozen=True):
    """An item of a datum whose content differs from that of the base job."""

    input: str
    path: str
    old_hash: bytes
    new_hash: bytes
    #: Bytes.
    old_size: int
    new_size: int


class DatumExplanation(Struct, frozen=True):
    """Why a datum ran, or did not."""

    listed: ListedDatum
    cause: DatumCause
    #: For people.
    sentence: str
    #: Id of the job that it was compared with; empty without one.
    base_id: str = ""
    changes: Sequence[ItemChange] = ()


class _Context(Struct, frozen=True):
    job: JobRow
    base: JobRow | None
    spec: PipelineSpec
    #: The version of the base; its own without a base.
    base_version: int


def explain_datum(versions: VersionedStore, specs: Specs, name: JobName, datum_id: str) -> DatumExplanation:
    """Return why a datum ran, or did not. Blocks; looks up two rows.

    Args:
        versions: the store.
        specs: the parsed specifications.
        name: the job.
        datum_id: id of the datum, in hex.

    Raises:
        NotFound: there is no such job, or it has no such datum.
    """
    context = versions.read(_look, specs, name)
    job = context.job
    listed = listing.inspect_datum(versions, job, datum_id)
    row = listed.row
    if listed.state is DatumState.SKIPPED:
        sentence = f"skipped: job {row.job_id} has processed the same files with the same content"
        return DatumExplanation(listed, DatumCause.SKIPPED, sentence, row.job_id)
    if job.base_id is None:
        sentence = "it ran because no earlier job of the pipeline was a success"
        return DatumExplanation(listed, DatumCause.FIRST, sentence)
    base = context.base
    if base is None or base.datums is None:
        sentence = "the job that this one was compared with was deleted, so the cause is not known any more"
        return DatumExplanation(listed, DatumCause.UNKNOWN, sentence)
    before = datum_rows.trees(versions).get(TreeId(base.datums), row.id)
    if before is None:
        sentence = f"it ran because job {base.set_id} had no datum of exactly these files"
        return DatumExplanation(listed, DatumCause.NEW, sentence, base.set_id)
    return _compared(context, base, listed, datum_rows.decode(row.id, before))


def _look(conn: sa.Connection, specs: Specs, name: JobName) -> _Context:
    job = job_ops.find(conn, name)
    base = jobs.by_id(conn, job.base_id) if job.base_id is not None else None
    spec = specs.of(conn, job.pipeline_id, job.version)
    return _Context(job, base, spec, base.version if base is not None else job.version)


def _compared(context: _Context, base: JobRow, listed: ListedDatum, before: DatumRow) -> DatumExplanation:
    """Return why a datum ran that the base job had too."""
    row = listed.row
    changes = _changes(before.items, row.items)
    if before.hash != row.hash and changes:
        files = ", ".join(f"{change.input}:{change.path}" for change in changes[:3])
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        sentence = f"it ran because the content of {files}{more} differs from that in job {base.set_id}"
        return DatumExplanation(listed, DatumCause.CHANGED, sentence, base.set_id, changes)
    if before.hash != row.hash:
        sentence = (
            f"it ran because version {context.job.version} of the pipeline processes all datums again (reprocess);"
            f" job {base.set_id} ran version {context.base_version} on the same content"
        )
        return DatumExplanation(listed, DatumCause.SALT, sentence, base.set_id)
    if before.state is DatumState.RECOVERED:
        sentence = (
            f"it ran because in job {base.set_id} only its error command succeeded,"
            " which does not count as processed"
        )
        return DatumExplanation(listed, DatumCause.RECOVERED, sentence, base.set_id)
    if context.spec.reprocess_spec == EVERY_JOB:
        sentence = (
            f'it ran because reprocess_spec is "{EVERY_JOB}"; its files are the same as in job {base.set_id}'
        )
        return DatumExplanation(listed, DatumCause.EVERY_JOB, sentence, base.set_id)
    sentence = f"it ran although job {base.set_id} has processed the same content; the cause is not recorded"
    return DatumExplanation(listed, DatumCause.UNKNOWN, sentence, base.set_id)


def _changes(before: Sequence[RowItem], after: Sequence[RowItem]) -> list[ItemChange]:
    """Return the items whose content differs; the datum is the same, so both have the same paths in one order."""
    return [
        ItemChange(new.input, new.path, old.hash, new.hash, old.size, new.size)
        for old, new in zip(before, after, strict=False)
        if old.hash != new.hash
    ]
