"""What requests ask about the datums of a job, or of an input that no pipeline has yet."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import claims as claim_rows
from trunkline.meta import pipelines, repos
from trunkline.model import names
from trunkline.model.names import CommitName
from trunkline.model.states import TERMINAL_JOB_STATES, DatumState
from trunkline.pps import datum_rows, plan, todos
from trunkline.pps import jobs as job_ops
from trunkline.pps.items import LeafIndex
from trunkline.pps.queries import listing
from trunkline.pps.queries.job_datums import ListedDatum
from trunkline.pps.queries.preview import Preview
from trunkline.pps.spec_cache import input_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.names import JobName
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.datum_rows import RowItem
    from trunkline.pps.spec_cache import Specs


#: Datums that are listed in reverse order at a time: they are held in memory.
MAX_REVERSED = 100_000

#: States of datums that are not done; of a job, they are listed when they are asked for.
_NOT_DONE = (DatumState.UNKNOWN, DatumState.STARTING)


class DatumContext(Struct, frozen=True):
    """What the datums of one list have in common."""

    #: None for an input without a pipeline.
    job: JobRow | None
    pipeline: PipelineRow | None
    #: The commits that items come from, by input and origin.
    inputs: Mapping[tuple[str, str], CommitName]


class DatumFilter(Struct, frozen=True, kw_only=True):
    """Which datums a list shows, and in which order."""

    #: Only those in these states; all when empty.
    states: Collection[DatumState] = ()
    #: Only those behind the datum with this id (hex), in the direction of the list.
    marker: str = ""
    #: Largest id first.
    reverse: bool = False
    #: At most so many, 0 for all.
    number: int = 0


def context(read: ReadTransaction, specs: Specs, name: JobName) -> DatumContext:
    """Return what the datums of a job have in common, or raise NotFound.

    Args:
        read: snapshot to read in.
        specs: cache of specifications.
        name: name of the job.
    """
    conn = read.conn
    job = job_ops.find(conn, name)
    pipeline = pipelines.by_id(conn, job.pipeline_id)
    assert pipeline is not None
    spec = specs.of(conn, pipeline.id, job.version)
    commits = plan.inputs_of(conn, spec, job).commits
    inputs: dict[tuple[str, str], CommitName] = {}
    for place, key, _ in LeafIndex(input_of(spec)):
        row = commits[key]
        if row is not None:
            repo = repos.repo_by_id(conn, row.repo_id)
            inputs[place] = CommitName(names.RepoName(repo.project, repo.name, repo.type), row.set_id)
    return DatumContext(job, pipeline, inputs)


def datum(
    versions: VersionedStore, specs: Specs, name: JobName, datum_id: str
) -> tuple[DatumContext, ListedDatum]:
    """Return one datum of a job, or raise NotFound. Blocks.

    Args:
        versions: the store to read and write.
        specs: cache of specifications.
        name: name of the job.
        datum_id: id of the datum, in hex.
    """
    shared = versions.query(context, specs, name)
    assert shared.job is not None
    return shared, listing.inspect_datum(versions, shared.job, datum_id)


def list_of_job(
    versions: VersionedStore, specs: Specs, name: JobName, criteria: DatumFilter
) -> tuple[DatumContext, Iterator[ListedDatum]]:
    """Return the datums of a job that a filter admits, by id. Blocks, between datums too.

    Args:
        versions: the store to read and write.
        specs: cache of specifications.
        name: name of the job.
        criteria: which datums to return.

    Raises:
        NotFound: there is no such job.
        InvalidArgument: the marker is not a datum id.
    """
    shared = versions.query(context, specs, name)
    assert shared.job is not None
    marker = _marker(criteria.marker)
    listed = listing.list_datums(versions, shared.job, b"" if criteria.reverse else marker)
    if not criteria.states:  # as Pachyderm: a job that runs shows what is done so far
        listed = (each for each in listed if each.state not in _NOT_DONE)
    if criteria.reverse and marker:
        listed = (each for each in listed if each.row.id < marker)
    return shared, _filtered(listed, criteria)


def list_of_input(
    versions: VersionedStore, spec: PipelineSpec, criteria: DatumFilter
) -> tuple[DatumContext, Iterator[ListedDatum]]:
    """Return the datums that a pipeline would have now, from the heads of its input branches. Blocks.

    Args:
        versions: the store to read and write.
        spec: the specification of the pipeline.
        criteria: which datums to return.

    Raises:
        NotFound: an input branch does not exist or has no commit.
        InvalidArgument: the input makes more datums than a job may have.
    """
    preview = Preview(versions, spec)
    inputs = {place: head.commit_name for place, head in preview.heads.items()}
    listed = (ListedDatum(row, DatumState.UNKNOWN) for row in preview.rows())
    return DatumContext(None, None, inputs), _filtered(listed, criteria)


def stream_of_input(
    versions: VersionedStore, spec: PipelineSpec
) -> tuple[DatumContext, Iterator[ListedDatum]]:
    """Return the datums of ``list_of_input`` as they are made, in any order and of any number. Blocks.

    Raises:
        NotFound: an input branch does not exist or has no commit.
        InvalidArgument: it has a cron input.
    """
    preview = Preview(versions, spec)
    inputs = {place: head.commit_name for place, head in preview.heads.items()}
    listed = (ListedDatum(row, DatumState.UNKNOWN) for row in preview.unsorted_rows())
    return DatumContext(None, None, inputs), listed


def _filtered(listed: Iterator[ListedDatum], criteria: DatumFilter) -> Iterator[ListedDatum]:
    admitted: Iterator[ListedDatum] = (
        each for each in listed if not criteria.states or each.state in criteria.states
    )
    if criteria.reverse:
        admitted = iter(_last(admitted, criteria.number))
    for count, each in enumerate(admitted, start=1):
        yield each
        if count == criteria.number:
            return


def _last(listed: Iterator[ListedDatum], number: int) -> list[ListedDatum]:
    """Return the last ``number`` datums (0 for all), the very last first.

    Raises:
        InvalidArgument: they are too many to be held.
    """
    last = deque(listed, maxlen=number if 0 < number <= MAX_REVERSED else MAX_REVERSED + 1)
    if len(last) > MAX_REVERSED:
        raise errors.InvalidArgument(
            f"a list in reverse order has at most {MAX_REVERSED:,} datums; send a number of at most that many"
        )
    last.reverse()
    return list(last)


def restart(versions: VersionedStore, name: JobName, filters: Sequence[str]) -> None:
    """Let the running datums that match all filters start again, all of them without a filter. Blocks.

    Args:
        versions: the store.
        name: the job.
        filters: paths, or hashes in hex or base64, of input items.

    Raises:
        NotFound: there is no such job, or no such datum runs.
    """
    job = versions.read(job_ops.find, name)
    missing = f"datum matching filter [{' '.join(filters)}] could not be found for job ID {name.id}"
    if job.state in TERMINAL_JOB_STATES:
        raise errors.NotFound(
            f"{missing}: the job has ended ({job.state.lower()}), and only running datums can be restarted; run the"
            " pipeline again with rerun pipeline"
        )
    running = [
        claim.id
        for claim in versions.read(claim_rows.owned_claims, job.id)
        if matches(_running_items(versions, job, claim), filters)
    ]
    if not running:
        raise errors.NotFound(f"{missing}: no running datum has all of these paths and hashes")
    for claim_id in running:
        versions.write(_ask_restart, claim_id)


def _running_items(versions: VersionedStore, job: JobRow, claim: ClaimRow) -> Sequence[RowItem]:
    """Return the items of the datum that its worker has reported last, or of the next one if that one is done."""
    at = max(claim.done, claim.datum_position or 0)
    [(key, value)] = todos.rows(datum_rows.trees(versions), job, at, at + 1)
    return datum_rows.decode(key, value).items


def matches(items: Sequence[RowItem], filters: Sequence[str]) -> bool:
    """Tell whether a datum of these items matches all filters: paths, or hashes in hex or base64."""
    return all(
        any(
            pattern.rstrip("/") == item.path.rstrip("/")
            or pattern in (item.hash.hex(), b64encode(item.hash).decode())
            for item in items
        )
        for pattern in filters
    )


def _ask_restart(write: WriteTransaction, claim_id: str) -> None:
    claim_rows.ask_restart(write.conn, claim_id)


def _marker(text: str) -> bytes:
    """Return the id of the datum that a page follows; empty for the first page.

    Raises:
        InvalidArgument: it is not the id of a datum.
    """
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise errors.InvalidArgument(
            f'pagination_marker "{text[:80]}" is not the id of a datum; send the id of the last datum received'
        ) from error
