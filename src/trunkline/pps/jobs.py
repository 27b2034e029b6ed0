"""Jobs: created with their output commit, and ended together with it.

``JobKeeper`` implements the hooks of the versioned store's writes (``pfs.writes.WriteHooks``): inside the same
transaction it creates the job of every new output commit, stops the jobs of removed commits, protects the
repos of pipelines, and wakes the pipelines whose inputs moved.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import ancestry, commit_graph, commits, jobs, pipelines
from trunkline.model import limits
from trunkline.model.states import JOB_TRANSITIONS, TERMINAL_JOB_STATES, JobState
from trunkline.pfs import commits as commit_ops
from trunkline.pps.pipeline_events import record_job
from trunkline.storage.sums import EMPTY, TreeId
from trunkline.telemetry import events
from trunkline.telemetry.reports import JobReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.repos import RepoRow
    from trunkline.model.names import JobName
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.datum_rows import DatumRow
    from trunkline.storage.chunks import PackRecord


class JobKeeper:
    """Keeps jobs in step with commits. Stateless; runs inside the store's transactions."""

    def ending(self, write: WriteTransaction) -> None:
        """Create jobs for new output commits, and wake the pipelines that wait for a finished commit."""
        for row in write.created:
            if row.origin == "AUTO" and row.finished is None:
                self._create_job(write, row)
        for row in write.finished:
            for down in commit_graph.downstream(write.conn, row.id):
                waiting = jobs.by_commit(write.conn, down.id)
                if waiting is not None:
                    wake(write, waiting.pipeline_id)

    def removing_commits(self, write: WriteTransaction, numbers: Sequence[int]) -> None:
        """Delete the jobs whose output commits are removed."""
        remove_jobs(write, jobs.of_commits(write.conn, numbers))

    def removing_repo(self, write: WriteTransaction, repo: RepoRow) -> None:
        """Refuse to remove the repos of a pipeline."""
        if pipelines.find(write.conn, repo.project, repo.name) is not None:
            raise errors.FailedPrecondition(
                f'repo {repo} belongs to pipeline "{repo.project}/{repo.name}"; delete the pipeline instead'
            )

    def _create_job(self, write: WriteTransaction, row: commits.CommitRow) -> None:
        owner = pipelines.by_output_branch(write.conn, row.repo_id, row.branch_name)
        if owner is None or owner.stopped or commits.by_id(write.conn, row.id).finished is not None:
            return
        job = jobs.add(
            write.conn,
            pipeline_id=owner.id,
            version=owner.version,
            commit_id=row.id,
            set_id=row.set_id,
            now=write.now,
            trace=str(write.trace) if write.trace is not None else None,
        )
        record_job(write, owner.full_name, job)
        wake(write, owner.id)


def find(conn: sa.Connection, name: JobName) -> JobRow:
    """Return a job, or raise NotFound."""
    pipeline = pipelines.find(conn, name.pipeline.project, name.pipeline.name)
    if pipeline is None:
        raise errors.NotFound(f'pipeline "{name.pipeline}" not found')
    row = jobs.find(conn, pipeline.id, name.id)
    if row is None:
        raise errors.NotFound(f"job {name} not found")
    return row


def wake(write: WriteTransaction, pipeline_id: int) -> None:
    """Announce that a pipeline should look at its jobs, and that its jobs changed."""
    write.tx.wake(f"pipeline:{pipeline_id}", f"jobs:{pipeline_id}")


def wake_job(write: WriteTransaction, job: JobRow) -> None:
    """Announce that a job changed; results of its datums alone are not announced, because nobody waits for them."""
    write.tx.wake(f"job:{job.id}", f"jobs:{job.pipeline_id}")


def end_job(
    write: WriteTransaction,
    job: JobRow,
    state: JobState,
    reason: str = "",
    *,
    tree: TreeId | None = None,
    size: int = 0,
    packs: Sequence[PackRecord] = (),
) -> bool:
    """End a job together with its output and meta commit; False when it had ended before.

    A job that is not a success leaves its reason as the commit's error and the files of the last good
    commit, so that later commits can build on them.

    Args:
        write: transaction that the change belongs to.
        job: the job to end; ignored if it has ended since it was read.
        state: a final state.
        reason: shown to users.
        tree: tree of the output commit; None: no files.
        size: total size of the files, in bytes.
        packs: packs that hold the new chunks; their bytes are durable already.
    """
    ended = jobs.end(write.conn, job.id, state, reason, write.now)
    if ended is None:
        return False
    error = "" if state is JobState.SUCCESS else reason
    row = commits.find_by_id(write.conn, job.commit_id)
    if row is not None and row.finished is None:
        if tree is None:
            good = ancestry.last_good(write.conn, row)
            tree, size = (EMPTY, 0) if good is None or good.tree is None else (TreeId(good.tree), good.size)
        commit_ops.close(write, row, tree=tree, size=size, packs=packs, error=error)
    meta = commits.meta_commit(write.conn, job.pipeline_id, job.set_id)
    if meta is not None and meta.finished is None:
        # What is read from it is derived from the job (``meta_files``).
        commit_ops.close(write, meta, tree=EMPTY, size=0, packs=(), error=error)
    wake(write, job.pipeline_id)
    wake_job(write, job)
    write.tx.wake(f"work:{job.pipeline_id}")
    name = pipelines.name_of(write.conn, job.pipeline_id)
    if name is not None:
        record_job(write, name, ended)
        report = JobReport(
            ended.set_id, str(state), reason, ended.created, write.now,
            ended.total, ended.processed, ended.skipped, ended.failed, ended.recovered, ended.trace,
        )  # fmt: skip
        write.tx.after_commit(partial(events.job_finished, name, report))
    return True


def fail(write: WriteTransaction, job: JobRow, reason: str) -> None:
    """Fail a job for one of its datums: a job that runs at once, another when it is planned.

    Until then a job that is not planned shows the reason, and its early part is not claimed any more.

    Args:
        write: transaction that the change belongs to.
        job: a job that takes results, as it was before this one.
        reason: shown to users.
    """
    if job.state is JobState.RUNNING:
        end_job(write, job, JobState.FAILURE, reason)
    elif not job.reason:
        jobs.change(write.conn, job.id, reason=reason)


def stop(write: WriteTransaction, name: JobName, reason: str) -> None:
    """Kill a job. One that has ended stays as it is, so that a client need not know which of both came first.

    Args:
        write: transaction that the change belongs to.
        name: name of the job.
        reason: shown to users.

    Raises:
        NotFound: there is no such job.
        InvalidArgument: the reason is too long.
    """
    limits.check_text(reason, limits.REASON, "the reason")
    end_job(write, find(write.conn, name), JobState.KILLED, reason or "job stopped")


def update_state(write: WriteTransaction, name: JobName, state: JobState, reason: str) -> None:
    """End a live job without success, as Pachyderm's workers may ask.

    Args:
        write: transaction that the change belongs to.
        name: name of the job.
        state: the state it should have; the one it has changes nothing.
        reason: shown to users.

    Raises:
        NotFound: there is no such job.
        FailedPrecondition: it has ended, or only the server moves jobs to that state.
        InvalidArgument: the reason is too long.
    """
    limits.check_text(reason, limits.REASON, "the reason")
    job = find(write.conn, name)
    if job.state is state:
        return
    if job.state in TERMINAL_JOB_STATES:
        raise errors.FailedPrecondition(f"job {name} has already finished: {job.state}")
    bad = JOB_TRANSITIONS[job.state] & (TERMINAL_JOB_STATES - {JobState.SUCCESS})
    if state not in bad:
        raise errors.FailedPrecondition(
            f"job {name} is {job.state}, and the server alone moves it to {state}; to end it, report"
            f" {' or '.join(sorted(bad))}"
        )
    end_job(write, job, state, reason or f"a client reported {state}")


def delete(write: WriteTransaction, name: JobName) -> None:
    """Kill a job if it runs, and remove it; raise NotFound when there is none."""
    job = find(write.conn, name)
    end_job(write, job, JobState.KILLED, "job was deleted")
    remove_jobs(write, [job])


def datum_failure(row: DatumRow) -> str:
    """Return why a job with this failed datum fails: the file and the cause first, the datum's id last."""
    paths = ", ".join(item.path for item in row.items[:3]) + (", …" if row.items[3:] else "")
    return f"{paths}: {row.reason} (datum {row.id.hex()})"


def remove_jobs(write: WriteTransaction, doomed: Sequence[JobRow]) -> None:
    """Delete jobs. Jobs that were planned as the difference to one of them are planned again."""
    numbers = {job.id for job in doomed}
    jobs.remove(write.conn, list(numbers))
    owners = {number: pipelines.name_of(write.conn, number) for number in {job.pipeline_id for job in doomed}}
    for job in doomed:
        wake_job(write, job)
        owner = owners[job.pipeline_id]
        if owner is not None:
            record_job(write, owner, job, deleted=True)
    for pipeline_id, owner in owners.items():
        for job in jobs.live(write.conn, pipeline_id):
            if job.base_id in numbers:
                restarted = jobs.restart(write.conn, job)
                if owner is not None:
                    record_job(write, owner, restarted)
        wake(write, pipeline_id)
        write.tx.wake(f"work:{pipeline_id}")


def stop_live_jobs(write: WriteTransaction, pipeline_id: int, reason: str) -> None:
    """Kill every live job of a pipeline.

    Args:
        write: transaction that the change belongs to.
        pipeline_id: row number of the pipeline.
        reason: shown to users.
    """
    for job in jobs.live(write.conn, pipeline_id):
        end_job(write, job, JobState.KILLED, reason)


def failed_before(conn: sa.Connection, job: JobRow) -> JobRow | None:
    """Return the job before this one if it was planned and did not succeed: some of its results may still count.

    Jobs that ended before they were planned have none and are passed over.
    """
    row = commits.by_id(conn, job.commit_id)
    while row.parent_id is not None:
        row = commits.by_id(conn, row.parent_id)
        made_by = jobs.by_commit(conn, row.id)
        if made_by is not None and (made_by.state is JobState.SUCCESS or made_by.started is not None):
            return None if made_by.state is JobState.SUCCESS else made_by
    return None


def base_job(conn: sa.Connection, job: JobRow) -> JobRow | None:
    """Return the last good job before this one: the nearest ancestor of its output commit made by a success.

    A job that was planned knows its own base, so that many failed jobs in a row do not slow the next one down.
    """
    row = commits.by_id(conn, job.commit_id)
    while row.parent_id is not None:
        row = commits.by_id(conn, row.parent_id)
        made_by = jobs.by_commit(conn, row.id)
        if made_by is None:
            continue
        if made_by.state is JobState.SUCCESS:
            return made_by
        if made_by.started is None:
            continue  # it ended before it was planned
        base = jobs.by_id(conn, made_by.base_id) if made_by.base_id is not None else None
        if base is not None or made_by.base_id is None:
            return base
    return None


def base_output(conn: sa.Connection, base: JobRow | None) -> TreeId:
    """Return the output files of a good job; nothing without one."""
    if base is None:
        return EMPTY
    tree = commits.by_id(conn, base.commit_id).tree
    assert tree is not None
    return TreeId(tree)
