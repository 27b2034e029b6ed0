"""Folds the events of a store into the state that they describe, and reads the same state from its tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from trunkline.meta import event_log, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Kind, project and name of an object, and what more it takes to name it.
Key = tuple[str, ...]
State = dict[Key, dict[str, Any]]

#: Counters of a job that the events of its datums move.
_COUNTERS = ("processed", "failed", "recovered")
_JOB = (
    "version",
    "state",
    "reason",
    "created",
    "started",
    "finished",
    "restart",
    "total",
    "skipped",
    *_COUNTERS,
)
_COMMIT = ("branch", "origin", "started", "finished", "size", "error")
_PIPELINE = ("version", "state", "reason", "stopped")


def events(conn: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield all events of the log; raise AssertionError when a number is missing."""
    number = 1
    while batches := event_log.page(conn, number):
        for batch in batches:
            assert batch.first == number, f"event {number} is missing before {batch.first}"
            number += len(batch.events)
            for happened in batch.events:
                yield json.loads(happened.text)


def folded(conn: sa.Connection) -> State:
    """Return the state that the events describe, as a client of the stream has it."""
    state: State = {}
    for happened in events(conn):
        kind, project = happened["kind"], happened["project"]
        name = happened.get("repo") or happened["pipeline"]
        deleted = happened.get("state") == "DELETED"
        match kind:
            case "repo":
                _put(state, ("repo", project, name, happened["type"]), {}, deleted)
                if deleted:
                    _drop(state, ("commit", project, name, happened["type"]))
            case "commit":
                key = ("commit", project, name, happened["type"], happened["commit"])
                _put(state, key, {field: happened[field] for field in _COMMIT}, deleted)
                assert deleted or (happened["state"] == "FINISHED") == (happened["finished"] is not None)
            case "pipeline":
                _put(
                    state,
                    ("pipeline", project, name),
                    {field: happened[field] for field in _PIPELINE},
                    deleted,
                )
                if deleted:
                    _drop(state, ("job", project, name))
                    _drop(state, ("worker", project, name))
            case "job":
                fields = {field: happened[field] for field in _JOB}
                _put(state, ("job", project, name, happened["job"]), fields, deleted)
            case "datum":
                job = state["job", project, name, happened["job"]]
                before = sum(job[field] for field in _COUNTERS)
                job.update({field: happened[field] for field in _COUNTERS})
                listed = sum(len(ids) for ids in happened["datums"].values()) + happened["more"]
                counted = sum(job[field] for field in _COUNTERS)
                assert counted == before + listed, (before, happened)
            case "worker":
                has_ended = happened["state"] == "gone"
                key = ("worker", project, name, happened["worker"])
                _put(state, key, {"state": happened["state"]}, has_ended)
            case "decision" | "log":
                assert ("pipeline", project, name) in state
            case _:
                raise AssertionError(f"an event of an unknown kind: {happened}")
    return state


def stored(conn: sa.Connection) -> State:
    """Return the same state from the tables."""
    repo, project, commit, pipeline, job, worker = (
        schema.repo, schema.project, schema.commit, schema.pipeline, schema.job, schema.worker,
    )  # fmt: skip
    state: State = {}
    with_project = sa.select(repo.c.id, project.c.name.label("project"), repo.c.name, repo.c.type)
    repos = {
        row.id: (row.project, row.name, row.type)
        for row in conn.execute(with_project.join_from(repo, project))
    }
    for name in repos.values():
        state["repo", *name] = {}
    for row in conn.execute(sa.select(commit, commit.c.branch_name.label("branch"))):
        state["commit", *repos[row.repo_id], row.set_id] = {field: getattr(row, field) for field in _COMMIT}
    names = {}
    for row in conn.execute(
        sa.select(pipeline, project.c.name.label("project")).join_from(pipeline, project)
    ):
        names[row.id] = (row.project, row.name)
        state["pipeline", *names[row.id]] = {field: getattr(row, field) for field in _PIPELINE}
    for row in conn.execute(sa.select(job)):
        state["job", *names[row.pipeline_id], row.set_id] = {field: getattr(row, field) for field in _JOB}
    for row in conn.execute(sa.select(worker)):
        state["worker", *names[row.pipeline_id], row.id] = {"state": row.state}
    return state


def check(conn: sa.Connection) -> None:
    """Check that the events describe what the tables hold."""
    from_events, from_tables = folded(conn), stored(conn)
    different = {
        key: (from_events.get(key), from_tables.get(key))
        for key in from_events.keys() | from_tables.keys()
        if from_events.get(key) != from_tables.get(key)
    }
    assert not different, f"events and tables differ: {different}"


def _put(state: State, key: Key, fields: dict[str, Any], deleted: bool) -> None:
    if deleted:
        del state[key]
    else:
        state[key] = fields


def _drop(state: State, prefix: Key) -> None:
    for key in [key for key in state if key[: len(prefix)] == prefix]:
        del state[key]
