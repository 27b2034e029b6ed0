"""Set the defaults of pipeline specs, and bring pipelines up to date with them.

A pipeline keeps the specification that its user sent. Its effective specification is that one merged over the
defaults of the cluster and of its project, as they are when it is created, updated or regenerated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import pipelines as rows
from trunkline.meta import spec_defaults
from trunkline.model import names, spec
from trunkline.model import spec_defaults as rules
from trunkline.pfs import resolve
from trunkline.pps import cron_setup, pipelines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow, VersionRow
    from trunkline.meta.spec_defaults import DefaultsRow
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.admission import Admission
    from trunkline.pps.pipelines import Request


class Change(Struct, frozen=True):
    """A request to set defaults."""

    #: Whose; None for the cluster's.
    project: str | None
    json: str
    #: Also make a new version of each pipeline whose effective specification changes.
    regenerate: bool
    #: Run every datum of these pipelines again.
    reprocess: bool
    #: Check and list only.
    dry_run: bool


def of_cluster(read: ReadTransaction) -> str:
    """Return the cluster's defaults."""
    return spec_defaults.of_cluster(read.conn)


def of_project(read: ReadTransaction, name: str) -> DefaultsRow:
    """Return a project's defaults.

    Raises:
        NotFound: there is no such project.
    """
    return spec_defaults.of_project(read.conn, resolve.project(read.conn, name).id)


def for_spec(conn: sa.Connection, user: Mapping[str, object]) -> tuple[str, str]:
    """Return the defaults of the cluster and of the project that a user's specification names.

    Raises:
        InvalidArgument: the specification has an unknown field, or a value of a wrong type.
    """
    return spec_defaults.layers(conn, spec.from_json(user).project)


def change(versions: VersionedStore, admission: Admission, change: Change) -> list[PipelineRow]:
    """Set defaults. Blocks; one transaction.

    Args:
        versions: the store.
        admission: checks the specifications of pipelines that change.
        change: the request.

    Returns:
        The pipelines whose effective specification changes; none unless they are regenerated.

    Raises:
        InvalidArgument: the defaults are not valid, or the specification of a pipeline would not be.
        NotFound: there is no such project.
        Aborted: defaults or pipelines have changed meanwhile.
    """
    if change.reprocess and not change.regenerate:
        raise errors.InvalidArgument("reprocess needs regenerate, which makes the new versions; set both")
    plan = _plan(versions.read(_candidates, change), admission, versions.clock.now())
    if not change.dry_run:
        versions.write(_apply, change, plan)
    return [row for row, _ in plan.affected]


class _Plan(Struct, frozen=True):
    """What a change affects."""

    #: The version of each pipeline that was looked at, by its row number.
    looked_at: Mapping[int, int]
    affected: Sequence[tuple[PipelineRow, Request]]


class _Candidate(Struct, frozen=True):
    """A pipeline that the change may affect."""

    row: PipelineRow
    version: VersionRow
    #: The defaults after the change, as JSON text.
    layers: tuple[str, str]


def _candidates(conn: sa.Connection, change: Change) -> list[_Candidate]:
    """Check the defaults, and return the pipelines that they may affect."""
    rules.check(*map(rules.parse, _layers(conn, change, change.project or names.DEFAULT_PROJECT)))
    return [
        _Candidate(row, rows.version(conn, row.id, row.version), _layers(conn, change, row.project))
        for row in _in_scope(conn, change)
    ]


def _plan(candidates: Sequence[_Candidate], admission: Admission, now: float) -> _Plan:
    """Admit the specifications with their new defaults. Admission reads for itself, so it is outside of a read."""
    affected: list[tuple[PipelineRow, Request]] = []
    for candidate in candidates:
        try:
            request = admission.admit(json.loads(candidate.version.user_json), candidate.layers)
        except errors.TrunklineError as error:
            error.message = f'pipeline "{candidate.row}" cannot have these defaults: {error.message}'
            raise
        old = spec.from_json(json.loads(candidate.version.effective_json))
        if cron_setup.started_again(request.spec, old, now) != old:
            affected.append((candidate.row, request))
    return _Plan({candidate.row.id: candidate.row.version for candidate in candidates}, affected)


def _apply(write: WriteTransaction, change: Change, plan: _Plan) -> None:
    conn = write.conn
    if change.project is None:
        spec_defaults.set_of_cluster(conn, change.json)
    else:
        project = resolve.project(conn, change.project)
        spec_defaults.set_of_project(conn, project.id, change.json, write.now)
    same = plan.looked_at == {row.id: row.version for row in _in_scope(conn, change)}
    for row, request in plan.affected:
        if not same or spec_defaults.layers(conn, row.project) != request.defaults:
            raise errors.Aborted("pipelines or defaults changed while defaults were set; try again")
        current = pipelines.find(conn, row.project, row.name)
        pipelines.new_version(write, current, request, reprocess=change.reprocess)
        if current.stopped:
            pipelines.stop(write, row.project, row.name)


def _in_scope(conn: sa.Connection, change: Change) -> list[PipelineRow]:
    """Return the pipelines that the change may affect, upstream ones first."""
    if not change.regenerate:
        return []
    return rows.list_all(conn, [] if change.project is None else [change.project])[::-1]


def _layers(conn: sa.Connection, change: Change, project: str) -> tuple[str, str]:
    """Return the defaults for the pipelines of a project after the change."""
    cluster, own = spec_defaults.layers(conn, project)
    if change.project is None:
        return change.json, own
    resolve.project(conn, project)
    return cluster, change.json
