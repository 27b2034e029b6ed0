"""Make pipelines as a set of specifications says: create, update and, on request, delete, in one write."""

from __future__ import annotations

import hashlib
import json
import uuid
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from trunkline import errors
from trunkline.meta import branches, commits
from trunkline.meta import pipelines as rows
from trunkline.model import limits, spec
from trunkline.pps import cron_setup, pipeline_removal, pipelines, spec_defaults
from trunkline.pps.spec_changes import FieldChange, field_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.admission import Admission
    from trunkline.pps.pipelines import Request


class Action(StrEnum):
    """What happens to a pipeline."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NONE = "none"


class PipelineChange(Struct, frozen=True):
    """What happens to one pipeline."""

    project: str
    name: str
    action: Action
    fields: Sequence[FieldChange] = ()


class Application(Struct, frozen=True, kw_only=True):
    """A request to make pipelines as specifications say."""

    specs: Sequence[Mapping[str, object]]
    #: Delete the other pipelines of the projects that the specifications name.
    prune: bool = False
    dry_run: bool = False
    #: Run all datums of updated pipelines again.
    reprocess: bool = False
    #: What ``Applied.basis`` must be; empty for any.
    basis: str = ""


class Applied(Struct, frozen=True):
    """What has changed, or would change."""

    changes: Sequence[PipelineChange]
    #: Stands for the changes.
    basis: str
    #: Id of the commits that were made.
    set_id: str


def apply(versions: VersionedStore, admission: Admission, application: Application) -> Applied:
    """Make pipelines as specifications say, all or none. Blocks.

    Args:
        versions: the store.
        admission: checks the specifications.
        application: the request. A dry run does everything and undoes it.

    Raises:
        InvalidArgument: a specification is not valid, two have one name, or they make a cycle.
        Aborted: something else would change than the request's basis says, or defaults changed meanwhile.
        TrunklineError: a pipeline cannot be created, updated or deleted; the message names it.
    """
    limits.check_count(
        len(application.specs), limits.TRANSACTION_REQUESTS, "the set of specs", "apply it in several parts"
    )
    requests = [
        admission.admit(user, versions.read(spec_defaults.for_spec, user)) for user in application.specs
    ]
    requests = _in_order(requests)
    set_id = uuid.uuid4().hex
    if application.dry_run:
        return versions.write(
            lambda write: versions.rehearse(write.tx, set_id, _apply, requests, application)
        )
    return versions.write_in_set(set_id, _apply, requests, application)


def _in_order(requests: Sequence[Request]) -> list[Request]:
    """Return the requests so that each comes after those whose output it reads."""
    by_name = {(request.project, request.name): request for request in requests}
    if len(by_name) < len(requests):
        seen: set[tuple[str, str]] = set()
        for request in requests:
            if (request.project, request.name) in seen:
                raise errors.InvalidArgument(
                    f'two specs are for pipeline "{request.project}/{request.name}"; remove one of them'
                )
            seen.add((request.project, request.name))
    order = _upstream_first({key: request.spec for key, request in by_name.items()})
    return [by_name[key] for key in order]


def _upstream_first(specs: Mapping[tuple[str, str], PipelineSpec]) -> list[tuple[str, str]]:
    """Return pipelines so that each comes after those whose output it reads.

    Args:
        specs: by project and name.

    Raises:
        InvalidArgument: they read each other's output.
    """
    sorter: TopologicalSorter[tuple[str, str]] = TopologicalSorter()
    for key, specification in specs.items():
        leaves = specification.input.files() if specification.input is not None else ()
        sorter.add(key, *((leaf.project, leaf.repo) for leaf in leaves if (leaf.project, leaf.repo) in specs))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " reads ".join(f"{project}/{name}" for project, name in error.args[1][::-1])
        raise errors.InvalidArgument(
            f"pipelines read each other's output: {circle}; break the circle"
        ) from error


def _apply(write: WriteTransaction, requests: Sequence[Request], application: Application) -> Applied:
    conn = write.conn
    changes = [_change(conn, request, write.now) for request in requests]
    surplus = _others(conn, requests) if application.prune else []
    changes += [PipelineChange(row.project, row.name, Action.DELETE) for row in surplus]
    basis = hashlib.blake2b(msgspec.json.encode(changes), digest_size=16).hexdigest()
    if application.basis not in ("", basis):
        raise errors.Aborted(
            "pipelines changed since the difference was made; look at the new one and apply again"
        )
    for request, change in zip(requests, changes, strict=False):
        if change.action is not Action.NONE:
            with _naming(f"{change.project}/{change.name}"):
                pipelines.create(
                    write, request, update=change.action is Action.UPDATE, reprocess=application.reprocess
                )
    for row in surplus:
        with _naming(f"{row.project}/{row.name}"):
            _check_size(conn, row)
            pipeline_removal.delete(write, row.project, row.name, force=False, keep_repo=False)
    return Applied(changes, basis, write.set_id)


class _naming:
    """Name the pipeline in an error about it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, errors.TrunklineError):
            error.message = f'pipeline "{self._name}": {error.message}; nothing was changed'


def _change(conn: sa.Connection, request: Request, now: float) -> PipelineChange:
    """Return what a request changes."""
    row = rows.find(conn, request.project, request.name)
    if row is None:
        return PipelineChange(request.project, request.name, Action.CREATE)
    fields = changed_fields(conn, row, request, now)
    action = Action.UPDATE if fields else Action.NONE
    return PipelineChange(request.project, request.name, action, fields)


def changed_fields(conn: sa.Connection, row: PipelineRow, request: Request, now: float) -> list[FieldChange]:
    """Return the fields of a pipeline's effective specification that a request changes.

    Args:
        conn: connection of the transaction.
        row: the pipeline.
        request: its new specification.
        now: seconds since the epoch.
    """
    stored = json.loads(rows.version(conn, row.id, row.version).effective_json)
    following = cron_setup.started_again(request.spec, spec.from_json(stored), now)
    return field_changes(stored, spec.to_json(following))


def _others(conn: sa.Connection, requests: Sequence[Request]) -> list[PipelineRow]:
    """Return the pipelines of the requests' projects that no request is for, the most downstream first."""
    own = {(request.project, request.name) for request in requests}
    projects = sorted({request.project for request in requests})
    listed = rows.list_all(conn, projects) if projects else []
    others = {(row.project, row.name): row for row in listed if (row.project, row.name) not in own}
    specs = {
        key: spec.from_json(json.loads(rows.version(conn, row.id, row.version).effective_json))
        for key, row in others.items()
    }
    return [others[key] for key in reversed(_upstream_first(specs))]


def _check_size(conn: sa.Connection, row: PipelineRow) -> None:
    """Check that one write can remove a pipeline."""
    limit = limits.TRANSACTION_DELETED_COMMITS
    for number in (row.output_branch_id, row.meta_branch_id, row.spec_branch_id):
        repo_id = branches.by_id(conn, number).repo_id
        count = len(commits.oldest(conn, repo_id, limit + 1))
        limits.check_count(count, limit, "its history", 'delete it first with "delete pipeline"')
