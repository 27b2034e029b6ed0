"""The content of a debug dump: files about the server, its database, pipelines, jobs, workers and their logs.

No file holds a secret: specs are masked, free text is redacted (``model.redaction``), and lines that commands printed
are left out, since nobody can know what is in them. Decision 71 has the reasons. Each file is at most ``PART`` long
plus a line; longer lists are several files, so that a dump is written with bounded memory.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline.meta import counts
from trunkline.model.redaction import Redactor, masked
from trunkline.pfs import queries as pfs_queries
from trunkline.pps import logs
from trunkline.pps.logs import Query, Span
from trunkline.pps.queries import job_queries, pipeline_queries, worker_queries
from trunkline.pps.queries.job_queries import JobFilter
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from trunkline.model.names import PipelineName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.queries.job_queries import JobInfo
    from trunkline.pps.queries.pipeline_queries import PipelineInfo
    from trunkline.pps.queries.worker_queries import WorkerInfo
    from trunkline.pps.spec_cache import Specs
    from trunkline.telemetry.recent import Record

#: Bytes of a file after which the list continues in the next one.
PART = 1 << 20
#: Newest jobs and scaling decisions of a pipeline.
JOBS, DECISIONS = 500, 200
#: Newest lines of the workers of a pipeline, when the request does not say how many.
LINES = 10_000


class File(Struct, frozen=True):
    """A file of a dump."""

    path: str
    content: bytes


class DumpReader:
    """Reads the files of a dump. Its methods block."""

    def __init__(
        self, versions: VersionedStore, specs: Specs, records: Iterable[Record], lines: int = 0
    ) -> None:
        """Look up the pipelines, and what must not leave the server.

        Args:
            versions: the store.
            specs: the parsed specifications.
            records: the newest log records of the server.
            lines: newest lines of the workers of each pipeline; 0: ``LINES``.
        """
        self._versions = versions
        self._specs = specs
        self._records = records
        self._lines = lines or LINES
        strings: set[str] = set()
        self._pipelines: set[PipelineName] = set()
        for info in self._infos():
            self._pipelines.add(info.row.full_name)
            masked(json.loads(info.version.user_json), strings)
            masked(json.loads(info.version.effective_json), strings)
        self.redactor = Redactor(strings)

    @property
    def pipelines(self) -> Sequence[PipelineName]:
        """All pipelines, in the order of their names."""
        return sorted(self._pipelines, key=str)

    def database(self) -> Iterator[File]:
        """Yield the numbers of rows and the sums over the store."""
        yield _json("database/rows.json", self._versions.read(counts.rows))
        yield _json("database/storage.json", self._versions.query(pfs_queries.storage_totals)._asdict())

    def server_log(self) -> Iterator[File]:
        """Yield the newest records of the server; those about pipelines that are gone are left out."""
        present = {str(name) for name in self._pipelines}
        lines = (
            self.redactor.text(record.text)
            for record in self._records
            if not record.pipeline or record.pipeline in present
        )
        yield from _parts("server/log", lines)

    def workers(self) -> Iterator[File]:
        """Yield the states of all workers."""
        lines = (
            self._worker(worker)
            for page in worker_queries.list_workers(self._versions, "", "")
            for worker in page
        )
        yield from _parts("workers/workers", lines, "jsonl")

    def pipeline(self, name: PipelineName) -> Iterator[File]:
        """Yield specs, jobs, scaling decisions and logs of the workers of a pipeline.

        Raises:
            NotFound: there is no such pipeline.
        """
        folder = f"pipelines/{name.project}/{name.name}"
        newest: PipelineInfo | None = None
        for info in self._infos(name):
            newest = newest or info
            spec = masked(json.loads(info.version.effective_json), set())
            yield _json(f"{folder}/specs/{info.version.version}.json", spec)
        if newest is None:
            return
        row = newest.row
        state = {
            "state": row.state, "reason": self.redactor.text(row.reason), "stopped": row.stopped,
            "version": row.version, "target": row.target, "created": row.created_at, "updated": row.updated_at,
        }  # fmt: skip
        yield _json(f"{folder}/state.json", state)
        criteria = JobFilter(pipeline=name, number=JOBS)
        jobs = (job for page in job_queries.list_jobs(self._versions, criteria) for job in page)
        yield from _parts(f"{folder}/jobs", map(self._job, jobs), "jsonl")
        decisions = self._versions.query(pipeline_queries.decisions, name, DECISIONS)
        texts = (self._line(at=row.at, target=row.target, sentence=row.sentence) for row in decisions)
        yield from _parts(f"{folder}/decisions", texts, "jsonl")
        yield from _parts(f"{folder}/worker-log-newest-first", self._worker_lines(row.id), "jsonl")

    def _infos(self, name: PipelineName | None = None) -> Iterator[PipelineInfo]:
        criteria = pipeline_queries.PipelineFilter(pipeline=name, history=-1, page=pfs_queries.Page(0, 0))
        for page in pipeline_queries.list_pipelines(self._versions, self._specs, criteria):
            yield from page

    def _worker(self, worker: WorkerInfo) -> str:
        row = worker.row
        return self._line(
            id=row.id, pipeline=str(worker.pipeline), version=row.version, state=row.state, reason=row.reason,
            created=row.created, ready=row.ready, since=row.since, job=worker.job_id, datum=worker.datum_id,
        )  # fmt: skip

    def _job(self, info: JobInfo) -> str:
        row = info.row
        return self._line(
            id=row.set_id, version=row.version, state=row.state, reason=info.reason, created=row.created,
            started=row.started, finished=row.finished, restart=row.restart, total=row.total,
            processed=row.processed, skipped=row.skipped, failed=row.failed, recovered=row.recovered,
            todo=row.todo_count, download_ns=row.download_ns, process_ns=row.process_ns,
            upload_ns=row.upload_ns, download_bytes=row.download_bytes, upload_bytes=row.upload_bytes,
        )  # fmt: skip

    def _worker_lines(self, pipeline_id: int) -> Iterator[str]:
        lines = logs.in_order(
            self._versions, Query(pipeline_id=pipeline_id), Span(backward=True), lambda line: not line.user
        )
        for number, line in enumerate(lines):
            if number == self._lines:
                return
            yield self._line(
                ts=line.ts, worker=line.worker, job=line.job, datum=line.datum, message=line.message
            )

    def _line(self, **fields: Any) -> str:
        """Return a line of JSON; its texts are redacted."""
        redacted = {
            name: self.redactor.text(value) if name in ("reason", "message", "sentence") else value
            for name, value in fields.items()
        }
        return json.dumps(redacted, ensure_ascii=False, default=str)


def _json(path: str, value: object) -> File:
    return File(path, json.dumps(value, indent=2, ensure_ascii=False, default=str).encode() + b"\n")


def _parts(path: str, lines: Iterable[str], ending: str = "txt") -> Generator[File]:
    """Yield lines as files of ``PART`` bytes: ``path.0.txt``, ``path.1.txt`` and so on."""
    part = bytearray()
    number = 0
    for line in lines:
        cancellation.check()
        part += line.encode(errors="replace") + b"\n"
        if len(part) >= PART:
            yield File(f"{path}.{number}.{ending}", bytes(part))
            part.clear()
            number += 1
    if part or not number:
        yield File(f"{path}.{number}.{ending}", bytes(part))
