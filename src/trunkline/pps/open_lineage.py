"""Events of OpenLineage about jobs, sent to a server that collects them (docs/design/explain.md, OpenLineage).

The outbox is the event log: each change of a job is in it by the transaction that made the change. The sender reads it
from the position up to which everything was sent, which is stored; after a failure it sends from there again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline import __version__
from trunkline.errors import NotFound, TrunklineError
from trunkline.meta import settings
from trunkline.model.events import EventFilter, EventKind, parse_position
from trunkline.model.names import JobName, PipelineName
from trunkline.model.states import JobState
from trunkline.pps import datum_rows, todos
from trunkline.pps.queries import datum_queries
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from trunkline.pfs.event_hub import EventHub, LoggedEvent
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import LineageCollector
    from trunkline.pps.queries.datum_queries import DatumContext
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps.lineage")

#: The setting with the position up to which everything was sent.
_SENT = "openlineage_sent"
#: Seconds until a failed event is sent again: at first, and at most.
PAUSE, LONGEST_PAUSE = 1.0, 60.0
#: Datums of a job up to which an event names the files that were read and written.
NAMED = 1000
_TYPES = {
    JobState.CREATED: "START", JobState.SUCCESS: "COMPLETE", JobState.FAILURE: "FAIL",
    JobState.UNRUNNABLE: "FAIL", JobState.KILLED: "ABORT",
}  # fmt: skip
_PRODUCER = f"https://trunkline.dev/{__version__}"
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"


class LineageSender:
    """Sends the events; a supervised service."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        hub: EventHub,
        collector: LineageCollector,
        namespace: str,
        executor: Executor,
    ) -> None:
        """Send nothing yet.

        Args:
            versions: the store.
            specs: the parsed specifications.
            hub: has the events of jobs.
            collector: takes the events.
            namespace: of jobs and datasets.
            executor: runs blocking work.
        """
        self._versions = versions
        self._specs = specs
        self._hub = hub
        self._collector = collector
        self._namespace = namespace
        self._executor = executor

    async def run(self) -> None:
        """Send what happens to jobs from the last stored position on, until cancelled."""
        jobs_only = EventFilter(kinds=frozenset({EventKind.JOB}))
        while True:
            stored = await self._versions.db.read(settings.value, _SENT)
            after = parse_position(stored) if stored is not None else None
            with closing(await self._hub.watch(jobs_only, after)) as watcher:
                if stored is None:
                    await self._versions.write_soon(_store, str(watcher.position))
                while not watcher.ended:
                    portion = await watcher.take(LONGEST_PAUSE)
                    if portion.reset:
                        log.warning(
                            "events of jobs were not sent to OpenLineage: the event log has dropped them"
                        )
                    if portion.events:
                        await self._send(portion.events)
                        await self._versions.write_soon(_store, str(portion.events[-1].position))

    async def _send(self, events: Sequence[LoggedEvent]) -> None:
        """Send events one after the other, each until it is accepted."""
        loop = asyncio.get_running_loop()
        for logged in events:
            message = await loop.run_in_executor(self._executor, self._message, logged)
            pause = PAUSE
            while message is not None:
                try:
                    await loop.run_in_executor(self._executor, self._collector.send, message)
                    break
                except TrunklineError as error:
                    log.warning(
                        "an event could not be sent to OpenLineage: %s; next try in %g s",
                        error.message,
                        pause,
                    )
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)

    def _message(self, logged: LoggedEvent) -> bytes | None:
        """Return the event of OpenLineage for a change of a job, as JSON; None when the change has none. Blocks."""
        change = json.loads(logged.event.text)
        if change["state"] not in _TYPES:
            return None
        name = JobName(PipelineName(change["project"], change["pipeline"]), change["job"])
        try:
            context = self._versions.query(datum_queries.context, self._specs, name)
        except NotFound:
            context = None  # deleted since; the event has no datasets then
        body = run_event(change, self._namespace)
        if context is not None and context.job is not None:
            items, outputs = self._files(context) if change["state"] != JobState.CREATED else ({}, None)
            repos = {str(commit.repo): commit.id for commit in context.inputs.values()}
            body["inputs"] = [
                _dataset(self._namespace, repo, id, "input", items.get(repo)) for repo, id in repos.items()
            ]
            output = str(context.pipeline)
            body["outputs"] = [_dataset(self._namespace, output, name.id, "output", outputs)]
        return json.dumps(body, ensure_ascii=False).encode()

    def _files(self, context: DatumContext) -> tuple[dict[str, list[str]], list[str] | None]:
        """Return the files that a job's datums have read, by repo, and those that they have written.

        Nothing when they are too many.
        """
        job = context.job
        assert job is not None
        if job.datums is None or job.todo_count > NAMED:
            return {}, None
        trees = datum_rows.trees(self._versions)
        read: dict[str, set[str]] = {}
        written: set[str] = set()
        for key, _ in todos.scan(trees, job):
            value = trees.get(TreeId(job.datums), key)
            row = datum_rows.decode(key, value) if value is not None else None
            for item in row.items if row is not None else ():
                commit = context.inputs.get((item.input, item.origin))
                if commit is not None:
                    read.setdefault(str(commit.repo), set()).add(item.path)
            written.update(row.outputs if row is not None else ())
        return {repo: sorted(paths) for repo, paths in read.items()}, sorted(written)


def run_event(change: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the event for a change of a job, without datasets. Pure.

    Args:
        change: an event of kind ``job``.
        namespace: of jobs.
    """
    name = f"{change['project']}/{change['pipeline']}"
    facets: dict[str, Any] = {}
    if change.get("reason"):
        facets["errorMessage"] = _facet(
            "1-0-1/ErrorMessageRunFacet.json", message=change["reason"], programmingLanguage="unknown"
        )
    return {
        "eventType": _TYPES[JobState(change["state"])],
        "eventTime": datetime.fromtimestamp(change["at"], UTC).isoformat(timespec="milliseconds"),
        "producer": _PRODUCER,
        "schemaURL": _SPEC,
        # The jobs of one commit set share its id, and runs must not.
        "run": {"runId": str(uuid.uuid5(uuid.UUID(change["job"]), name)), "facets": facets},
        "job": {
            "namespace": namespace,
            "name": name,
            "facets": {
                "jobType": _facet(
                    "2-0-3/JobTypeJobFacet.json",
                    processingType="BATCH",
                    integration="TRUNKLINE",
                    jobType="PIPELINE",
                )
            },
        },
        "inputs": [],
        "outputs": [],
    }


def _dataset(
    namespace: str, repo: str, commit_id: str, side: str, files: Sequence[str] | None
) -> dict[str, Any]:
    """Return a commit of a repo as a dataset.

    Args:
        namespace: of datasets.
        repo: its name.
        commit_id: the commit, which is the version.
        side: ``input`` or ``output``.
        files: the paths that count; None for all, or too many to name.
    """
    dataset: dict[str, Any] = {
        "namespace": namespace,
        "name": repo,
        "facets": {"version": _facet("1-0-1/DatasetVersionDatasetFacet.json", datasetVersion=commit_id)},
    }
    if files is not None:
        title = side.capitalize()
        subset = _facet(f"1-0-0/BaseSubsetDatasetFacet.json#/$defs/{title}Subset{title}DatasetFacet")
        subset[f"{side}Condition"] = {"type": "location", "locations": list(files)}
        dataset[f"{side}Facets"] = {"subset": subset}
    return dataset


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}", **fields}


def _store(write: WriteTransaction, position: str) -> None:
    settings.put(write.conn, _SENT, position)
