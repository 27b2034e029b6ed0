"""The state EGRESSING of jobs: their output goes to where the spec says before it is committed (docs/design/work.md).

The output is computed, and its chunks are recorded, when a job enters the state. What goes on then is in memory: the
task of a pipeline that copies, and the output. A server that starts again computes the same output from the same
results and copies again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import chunks, commits, jobs, pipelines, repos
from trunkline.model.names import CommitName, RepoName
from trunkline.model.states import JobState
from trunkline.pfs.files import Snapshot
from trunkline.pps import failures, settle
from trunkline.pps.jobs import end_job, wake_job
from trunkline.pps.pipeline_events import record_job
from trunkline.runtime import failpoints, threads

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.egress import Egresses
    from trunkline.pps.settle import Settled
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")

#: Seconds to the second try; doubles with each failure in a row, up to the second figure.
FIRST_PAUSE, LAST_PAUSE = 1.0, 300.0
#: The lane of threads for copies, which may take long.
_LANE = "egress"


class _Run(Struct):
    """The egress of a pipeline's job."""

    job_id: int
    task: asyncio.Task[None]


class JobEgresses:
    """The egresses that run. Belongs to the event loop's thread."""

    def __init__(
        self, versions: VersionedStore, specs: Specs, egresses: Egresses, executor: Executor
    ) -> None:
        """Run none yet.

        Args:
            versions: the store.
            specs: the parsed specifications.
            egresses: sends files.
            executor: does what blocks.
        """
        self._versions = versions
        self._specs = specs
        self._egresses = egresses
        self._executor = executor
        #: By pipeline.
        self._runs: dict[int, _Run] = {}
        #: The outputs of jobs in this state.
        self._outputs: dict[int, Settled] = {}

    async def begin(self, job: JobRow) -> None:
        """Compute the output of a job whose datums all have results, and let it enter the state."""
        output = await self._settle(job)
        failpoints.reach("egress.settled")
        await self._versions.write_soon(_begin, job.id, output)
        self._outputs[job.id] = replace(output, packs=[])

    def keep(self, pipeline_id: int, job: JobRow | None) -> None:
        """Let the egress of a pipeline's oldest live job run, and no other one.

        Args:
            pipeline_id: row number of the pipeline.
            job: that job; None without one.
        """
        is_egressing = job is not None and job.state is JobState.EGRESSING
        run = self._runs.get(pipeline_id)
        if run is not None and not (is_egressing and job is not None and job.id == run.job_id):
            run.task.cancel()
            self._outputs.pop(run.job_id, None)
            del self._runs[pipeline_id]
            run = None
        if job is not None and is_egressing and (run is None or run.task.done()):
            task = asyncio.create_task(self._egress(job), name=f"egress of job {job.set_id}")
            self._runs[pipeline_id] = _Run(job.id, task)

    async def close(self) -> None:
        """End all of them; they begin again when they are kept."""
        tasks = [run.task for run in self._runs.values()]
        self._runs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _egress(self, job: JobRow) -> None:
        """Copy until it succeeds or never can, and end the job."""
        tries = 0
        while True:
            tries += 1
            try:
                failpoints.reach("egress.try")
                output = self._outputs.get(job.id)
                if output is None:
                    output = await self._settle(job)
                    await self._versions.write_soon(_record_chunks, output)
                    output = self._outputs[job.id] = replace(output, packs=[])
                with threads.lane(_LANE):
                    await threads.run(self._executor, self._copy, job, output)
                failpoints.reach("egress.copied")
                await self._versions.write_soon(_end, job.id, output)
                return
            except Exception as error:
                kind = failures.kind_of(error)
                message = failures.after(error, None).reason
                if kind is failures.FailureKind.PERMANENT:
                    await self._versions.write_soon(
                        end_job, job, JobState.FAILURE, f"egress failed: {message}"
                    )
                    return
                if kind is failures.FailureKind.BUG:
                    log.exception("the egress of job %s failed", job.set_id)
            pause = min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 16))
            count = "1 try" if tries == 1 else f"{tries:,} tries"
            reason = f"egress failed after {count}: {message}; the next one is in {pause:g} s"
            await self._versions.write_soon(_show, job.id, reason)
            await asyncio.sleep(pause)

    async def _settle(self, job: JobRow) -> Settled:
        with threads.lane(_LANE):
            return await threads.run(self._executor, settle.settle, self._versions, job)

    def _copy(self, job: JobRow, output: Settled) -> None:
        """Copy the output once. Blocks."""
        spec = self._specs.get(job.pipeline_id, job.version)
        assert spec.egress is not None
        name, row = self._versions.read(_commit, job)
        files = self._versions.composed(output.output, [])
        self._egresses.send(lambda: Snapshot(self._versions, name, row, files), spec.egress)


def _commit(conn: sa.Connection, job: JobRow) -> tuple[CommitName, CommitRow]:
    """Return the output commit of a job, with its name."""
    row = commits.find_by_id(conn, job.commit_id)
    if row is None:
        raise errors.Cancelled("the job was deleted while its files were copied")
    repo = repos.repo_by_id(conn, row.repo_id)
    return CommitName(RepoName(repo.project, repo.name, repo.type), row.set_id), row


def _begin(write: WriteTransaction, job_id: int, output: Settled) -> None:
    """Let a job egress whose output is valid; fail the others. The job may have ended otherwise meanwhile."""
    job = jobs.by_id(write.conn, job_id)
    if job is None or job.state is not JobState.RUNNING:
        return
    if output.problem:
        settle.record(write, jobs.move(write.conn, job, JobState.FINISHING), output)
        return
    _record_chunks(write, output)
    _show_moved(write, jobs.move(write.conn, job, JobState.EGRESSING))


def _record_chunks(write: WriteTransaction, output: Settled) -> None:
    chunks.add(write.conn, output.packs, 0, write.now)


def _show(write: WriteTransaction, job_id: int, reason: str) -> None:
    """Show why a job is still in this state."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state is JobState.EGRESSING:
        jobs.change(write.conn, job_id, reason=reason)
        _show_moved(write, replace(job, reason=reason))


def _show_moved(write: WriteTransaction, job: JobRow) -> None:
    write.tx.wake(f"pipeline:{job.pipeline_id}")
    wake_job(write, job)
    name = pipelines.name_of(write.conn, job.pipeline_id)
    if name is not None:
        record_job(write, name, job)


def _end(write: WriteTransaction, job_id: int, output: Settled) -> None:
    """End a job whose files are copied, unless it ended otherwise meanwhile."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state is JobState.EGRESSING:
        settle.record(write, jobs.move(write.conn, job, JobState.FINISHING, reason=""), output)
