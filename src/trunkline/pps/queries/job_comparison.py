"""Two jobs of a pipeline compared: spec, inputs, datums in numbers, cost, and the datums whose result differs."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import pipelines, repos
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows, plan
from trunkline.pps import jobs as job_ops
from trunkline.pps.items import leaves_of
from trunkline.pps.queries import datum_summary, job_rows
from trunkline.pps.queries.job_datums import JobDatums
from trunkline.pps.spec_cache import input_of
from trunkline.pps.spec_changes import field_changes
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.model.names import JobName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.queries.datum_summary import DatumSummary, Line
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.spec_changes import FieldChange

#: Datums with another result that are returned of each kind, and differences that are counted.
LISTED, COUNTED = 1_000, 100_000


class InputChange(Struct, frozen=True):
    """A branch of the input of which the jobs have different commits; an id is empty when a job has none."""

    #: As PROJECT/REPO@BRANCH.
    branch: str
    commit_a: str
    commit_b: str


class DatumChanges(Struct, frozen=True):
    """How many datums differ between two jobs that were successes."""

    added: int
    removed: int
    changed: int
    #: Counting ended at its limit.
    is_least: bool


class JobComparison(Struct, frozen=True):
    """How two jobs differ."""

    a: DatumSummary
    b: DatumSummary
    #: That of a and that of b.
    rows: Sequence[job_rows.Row]
    spec: Sequence[FieldChange]
    inputs: Sequence[InputChange]
    #: Failed in b and not in a, and the reverse.
    now_failed: Sequence[Line]
    now_good: Sequence[Line]
    #: None unless both were successes.
    changes: DatumChanges | None


def compare(versions: VersionedStore, specs: Specs, a: JobName, b: JobName) -> JobComparison:
    """Compare two jobs of a pipeline. Blocks; the cost is that of what differs.

    Args:
        versions: the store.
        specs: the parsed specifications.
        a: the first job.
        b: the second one.

    Raises:
        NotFound: one of them does not exist.
    """
    row_a, row_b = versions.read(job_ops.find, a), versions.read(job_ops.find, b)
    return JobComparison(
        a=datum_summary.summary(versions, a),
        b=datum_summary.summary(versions, b),
        rows=[row for name in (a, b) for row in versions.query(_row, specs, name)],
        spec=versions.read(_spec_changes, row_a, row_b),
        inputs=versions.read(_input_changes, specs, row_a, row_b),
        now_failed=_failed_only_in(versions, b, row_a),
        now_good=_failed_only_in(versions, a, row_b),
        changes=_changes(versions, row_a, row_b),
    )


def _row(read: ReadTransaction, specs: Specs, name: JobName) -> Sequence[job_rows.Row]:
    criteria = job_rows.RowFilter(
        projects=[name.pipeline.project], pipelines=[name.pipeline.name], set_id=name.id
    )
    return job_rows.list_rows(read, specs, criteria).rows


def _spec_changes(conn: sa.Connection, a: JobRow, b: JobRow) -> list[FieldChange]:
    before, after = (
        json.loads(pipelines.version(conn, job.pipeline_id, job.version).effective_json) for job in (a, b)
    )
    return field_changes(before, after)


def _input_changes(conn: sa.Connection, specs: Specs, a: JobRow, b: JobRow) -> list[InputChange]:
    commits_a, commits_b = (_input_commits(conn, specs, job) for job in (a, b))
    return [
        InputChange(branch, commits_a.get(branch, ""), commits_b.get(branch, ""))
        for branch in sorted(commits_a.keys() | commits_b.keys())
        if commits_a.get(branch) != commits_b.get(branch)
    ]


def _input_commits(conn: sa.Connection, specs: Specs, job: JobRow) -> dict[str, str]:
    spec = specs.of(conn, job.pipeline_id, job.version)
    rows = plan.inputs_of(conn, spec, job).commits
    ids: dict[str, str] = {}
    for key, leaf in leaves_of(input_of(spec)):
        row = rows[key]
        if row is not None:
            ids[f"{repos.repo_by_id(conn, row.repo_id)}@{leaf.branch}"] = row.set_id
    return ids


def _failed_only_in(versions: VersionedStore, name: JobName, other: JobRow) -> list[Line]:
    """Return datums that failed in a job and not in another one that has them."""
    seen = versions.read(datum_summary.look, name)
    failed = datum_summary.problems(seen)[DatumState.FAILED][:LISTED]
    others = JobDatums(versions, other)
    good = (DatumState.SUCCESS, DatumState.SKIPPED, DatumState.RECOVERED)
    lines = datum_summary.lines(JobDatums(versions, seen.job), seen, failed)
    return [
        line
        for line in lines
        if (before := others.get(line.listed.row.id)) is not None and before.state in good
    ]


def _changes(versions: VersionedStore, a: JobRow, b: JobRow) -> DatumChanges | None:
    if a.datums is None or b.datums is None:
        return None
    added = removed = changed = 0
    differences = datum_rows.trees(versions).diff(TreeId(a.datums), TreeId(b.datums))
    for _, old, new in islice(differences, COUNTED):
        if old is None:
            added += 1
        elif new is None:
            removed += 1
        elif old[datum_rows.HASH] != new[datum_rows.HASH]:
            changed += 1
    return DatumChanges(added, removed, changed, next(differences, None) is not None)
