"""The metadata as records for the store's log, and the notes of which have changed (docs/design/format.md)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from trunkline.meta import metadata, spec_defaults
from trunkline.meta.query import Query
from trunkline.meta.schema import (
    branch,
    branch_provenance,
    commit,
    commit_provenance,
    job,
    pipeline,
    pipeline_version,
    project,
    repo,
    secret,
    unlogged,
)
from trunkline.meta.triggers import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.meta.query import Row

#: A record: what is stored of an object, ready for JSON.
Record = dict[str, Any]

_NEWEST = Query(sa.select(unlogged.c.seq).order_by(unlogged.c.seq.desc()).limit(1))
_PAGE = Query(
    sa.select(unlogged.c.seq, unlogged.c.kind, unlogged.c.object_id)
    .where(unlogged.c.seq > sa.bindparam("after"), unlogged.c.seq <= sa.bindparam("up_to"))
    .order_by(unlogged.c.seq)
    .limit(sa.bindparam("number"))
)


def newest_note(conn: sa.Connection) -> int:
    """Return the number of the newest note; 0 when there is none."""
    return int(_NEWEST.value(conn) or 0)


def notes(conn: sa.Connection, after: int, up_to: int, number: int) -> list[Row]:
    """Return notes in the order of the changes: rows of (number, kind, object).

    Args:
        conn: of the transaction.
        after: only notes with a greater number.
        up_to: only notes up to this number.
        number: the largest number of notes. They may be fewer and not the last: their records are read together.
    """
    page = _PAGE.rows(conn, after=after, up_to=up_to, number=number)
    secrets = [place for place, note in enumerate(page) if note[1] == "secret"]
    return page[: secrets[_SECRETS_AT_ONCE]] if len(secrets) > _SECRETS_AT_ONCE else page


def remove_notes(conn: sa.Connection, up_to: int, number: int) -> bool:
    """Delete the oldest notes; return whether some of those that may be deleted are left.

    The caller must not ask again when none are left: SQLite counts from 1 again once the table is empty.

    Args:
        conn: a write transaction.
        up_to: number of the last note that may be deleted.
        number: the largest number of notes to delete.
    """
    oldest = sa.select(unlogged.c.seq).where(unlogged.c.seq <= up_to).order_by(unlogged.c.seq).limit(number)
    conn.execute(unlogged.delete().where(unlogged.c.seq.in_(oldest)))
    return conn.execute(sa.select(unlogged.c.seq).where(unlogged.c.seq <= up_to).limit(1)).first() is not None


def ids(conn: sa.Connection, kind: str, after: int, number: int) -> list[int]:
    """Return the numbers of objects that may have a record, ascending.

    Args:
        conn: of the transaction.
        kind: of the objects, as triggers note it.
        after: only objects with a greater number.
        number: the largest number of objects.
    """
    if kind == _CLUSTER_KIND:
        return [CLUSTER] if after < CLUSTER else []
    id = _TABLES[kind].c.id
    return list(conn.execute(sa.select(id).where(id > after).order_by(id).limit(number)).scalars())


def read(conn: sa.Connection, kind: str, ids: Sequence[int]) -> dict[int, Record]:
    """Return the records of the objects that exist. A commit that is not finished has none.

    Args:
        conn: of the transaction.
        kind: of the objects, as triggers note it.
        ids: numbers of the objects, at most some hundred.
    """
    return _READERS[kind](conn, ids)


def _projects(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    rows = conn.execute(sa.select(project).where(project.c.id.in_(ids)))
    return {
        row.id: {
            "name": row.name,
            "description": row.description,
            "created": row.created_at,
            "metadata": row.metadata,
            **({"defaults": row.defaults, "defaults_set": row.defaults_at} if row.defaults != "{}" else {}),
        }
        for row in rows
    }


def _repos(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    rows = conn.execute(sa.select(repo).where(repo.c.id.in_(ids)))
    return {
        row.id: {
            "project": row.project_id,
            "name": row.name,
            "type": row.type,
            "description": row.description,
            "created": row.created_at,
            "metadata": row.metadata,
        }
        for row in rows
    }


def _branches(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    edges: dict[int, list[list[object]]] = {}
    provenance = branch_provenance
    query = (
        sa.select(provenance)
        .where(provenance.c.branch_id.in_(ids))
        .order_by(provenance.c.branch_id, provenance.c.upstream_id)
    )
    for row in conn.execute(query):
        edges.setdefault(row.branch_id, []).append([row.upstream_id, row.never])
    return {
        row.id: {
            "repo": row.repo_id,
            "name": row.name,
            "head": row.head_id,
            "trigger": row.trigger,
            "created": row.created_at,
            "updated": row.updated_at,
            "metadata": row.metadata,
            "provenance": edges.get(row.id, []),
        }
        for row in conn.execute(sa.select(branch).where(branch.c.id.in_(ids)))
    }


def _commits(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    upstream: dict[int, list[int]] = {}
    edges = commit_provenance
    query = (
        sa.select(edges).where(edges.c.commit_id.in_(ids)).order_by(edges.c.commit_id, edges.c.upstream_id)
    )
    for row in conn.execute(query):
        upstream.setdefault(row.commit_id, []).append(row.upstream_id)
    return {
        row.id: {
            "set": row.set_id,
            "repo": row.repo_id,
            "branch": row.branch_name,
            "parent": row.parent_id,
            "origin": row.origin,
            "description": row.description,
            "error": row.error,
            "started": row.started,
            "finished": row.finished,
            "tree": row.tree.hex() if row.tree else "",
            "size": row.size,
            "metadata": row.metadata,
            "provenance": upstream.get(row.id, []),
        }
        for row in conn.execute(sa.select(commit).where(commit.c.id.in_(ids), commit.c.finished.is_not(None)))
    }


def _pipelines(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    versions: dict[int, list[Record]] = {}
    table = pipeline_version
    query = (
        sa.select(table).where(table.c.pipeline_id.in_(ids)).order_by(table.c.pipeline_id, table.c.version)
    )
    for row in conn.execute(query):
        versions.setdefault(row.pipeline_id, []).append(
            {
                "version": row.version,
                "user": row.user_json,
                "effective": row.effective_json,
                "salt": row.salt,
                "spec_set": row.spec_set_id,
                "created": row.created_at,
            }
        )
    return {
        row.id: {
            "project": row.project_id,
            "name": row.name,
            "version": row.version,
            "stopped": row.stopped,
            "output_branch": row.output_branch_id,
            "created": row.created_at,
            "updated": row.updated_at,
            "metadata": row.metadata,
            "versions": versions.get(row.id, []),
            "good_job": _good_job(conn, row.id),
        }
        for row in conn.execute(sa.select(pipeline).where(pipeline.c.id.in_(ids)))
    }


def _good_job(conn: sa.Connection, pipeline_id: int) -> Record | None:
    """Return the newest job that succeeded: what the next job need not run again."""
    query = (
        sa.select(job)
        .where(job.c.pipeline_id == pipeline_id, job.c.state == "SUCCESS", job.c.datums.is_not(None))
        .order_by(job.c.pipeline_id.desc(), job.c.id.desc())
        .limit(1)
    )
    row = conn.execute(query).first()
    if row is None:
        return None
    return {
        "set": row.set_id,
        "version": row.version,
        "commit": row.commit_id,
        "created": row.created,
        "finished": row.finished,
        "total": row.total,
        "datums": row.datums.hex(),
    }


def _clusters(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    defaults, values = spec_defaults.of_cluster(conn), metadata.of_cluster(conn)
    return {id: {"defaults": defaults, "metadata": values} for id in ids if values or defaults != "{}"}


def _secrets(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Record]:
    return {
        row.id: {
            "name": row.name,
            "type": row.kind,
            "labels": row.labels,
            "keys": row.keys,
            "created": row.created_at,
            "key_id": row.key_id,
            "sealed": base64.b64encode(row.sealed).decode(),
        }
        for row in conn.execute(sa.select(secret).where(secret.c.id.in_(ids)))
    }


_CLUSTER_KIND = "cluster"

_READERS: dict[str, Callable[[sa.Connection, Sequence[int]], dict[int, Record]]] = {
    "project": _projects,
    "repo": _repos,
    "branch": _branches,
    "commit": _commits,
    "pipeline": _pipelines,
    "secret": _secrets,
    _CLUSTER_KIND: _clusters,
}

_TABLES = {
    "project": project,
    "repo": repo,
    "branch": branch,
    "commit": commit,
    "pipeline": pipeline,
    "secret": secret,
}
#: All kinds of records.
KINDS = tuple(_READERS)
#: Records read at a time; those of secrets are large.
_AT_ONCE, _SECRETS_AT_ONCE = 500, 16


def at_once(kind: str) -> int:
    """Return how many records of a kind may be read together."""
    return _SECRETS_AT_ONCE if kind == "secret" else _AT_ONCE
