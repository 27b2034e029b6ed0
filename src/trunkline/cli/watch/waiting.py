"""Says how far something is while a command waits for it.

On a terminal this is one line that changes and vanishes at the end; elsewhere, as in the log of a build, it is a line
for each change, at most every ``LINE_EVERY`` seconds.
"""

from __future__ import annotations

import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING

from trunkline.cli.output import span
from trunkline.errors import NotFound, TrunklineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from trunkline.cli.invocation import Invocation
    from trunkline.client.stubs import Client
    from trunkline.rpc.gen import pfs_pb2, pps_pb2

UPDATE_EVERY = 1.0  # seconds, on a terminal
LINE_EVERY = 30.0  # seconds, elsewhere


class Waiting:
    """Shows what ``describe`` returns while the context is open.

    Args:
        describe: returns the line; called in a thread of its own. Errors of the server are left to the wait itself.
        quiet: whether to show nothing.
        close: called at the end, before the thread is waited for.
    """

    def __init__(self, describe: Callable[[], str], *, quiet: bool, close: Callable[[], None]) -> None:
        self._describe = describe
        self._close = close
        self._is_live = sys.stderr.isatty()
        self._ended = threading.Event()
        self._begin = monotonic()
        self._thread = None if quiet else threading.Thread(target=self._show, name="waiting", daemon=True)

    def _show(self) -> None:
        last = ""
        while not self._ended.wait(UPDATE_EVERY if self._is_live else LINE_EVERY):
            try:
                text = self._describe()
            except TrunklineError:
                continue
            if self._ended.is_set():
                break
            if self._is_live:
                sys.stderr.write(f"\r\033[2K{text}, {span(int(monotonic() - self._begin))}")
            elif text != last:
                sys.stderr.write(f"{text}\n")
            last = text
            sys.stderr.flush()
        if last and self._is_live:
            sys.stderr.write("\r\033[2K")
            sys.stderr.flush()

    def __enter__(self) -> Waiting:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._ended.set()
        self._close()
        if self._thread is not None:
            self._thread.join()


def for_text(invocation: Invocation, text: str) -> Waiting:
    """Return a line that only shows how long it takes.

    Args:
        invocation: the command.
        text: what is done.
    """
    return Waiting(lambda: text, quiet=invocation.quiet, close=lambda: None)


def for_jobs(invocation: Invocation, name: str, job: pps_pb2.Job | None, set_id: str) -> Waiting:
    """Return a line about a job, or about the jobs of an id.

    Args:
        invocation: the command.
        name: what the user waits for, as written.
        job: the job; None for the jobs of an id.
        set_id: the id.
    """
    if job is None:
        return _for(invocation, lambda client: _of_set(client, name, set_id))
    return _for(invocation, lambda client: f"{name}: {_of_job(client, job)}")


def for_commit(invocation: Invocation, name: str, commit: pfs_pb2.Commit | None, set_id: str) -> Waiting:
    """Return a line about the jobs that make a commit, or the commits of an id.

    Args:
        invocation: the command.
        name: what the user waits for, as written.
        commit: the commit; None for the commits of an id.
        set_id: the id.
    """
    from trunkline.rpc.gen import pfs_pb2

    def describe(client: Client) -> str:
        id = set_id
        if commit is not None:
            id = client.pfs.InspectCommit(pfs_pb2.InspectCommitRequest(commit=commit)).commit.id
        try:
            return _of_set(client, name, id)
        except NotFound:  # no pipeline makes it
            return f"waiting for commit {name}"

    return _for(invocation, describe)


def _for(invocation: Invocation, describe: Callable[[Client], str]) -> Waiting:
    from trunkline.client.stubs import Client

    channel = invocation.channel.sibling()
    client = Client(channel)
    return Waiting(lambda: describe(client), quiet=invocation.quiet, close=channel.close)


def _of_set(client: Client, name: str, set_id: str) -> str:
    """Describe the jobs of an id, and the progress of the first that runs."""
    from trunkline.cli.commands.pipelines import job_state
    from trunkline.model.states import TERMINAL_JOB_STATES
    from trunkline.rpc.gen import pps_pb2

    request = pps_pb2.InspectJobSetRequest(job_set=pps_pb2.JobSet(id=set_id))
    infos: list[pps_pb2.JobInfo] = list(client.pps.InspectJobSet(request))
    ended = sum(job_state(info.state).upper() in TERMINAL_JOB_STATES for info in infos)
    text = f"{name}: {ended} of {len(infos)} jobs have ended"
    running = next((info for info in infos if info.state == pps_pb2.JOB_RUNNING), None)
    return f"{text}; {running.job.pipeline.name} {_progress(client, running)}" if running else text


def _of_job(client: Client, job: pps_pb2.Job) -> str:
    from trunkline.rpc.gen import pps_pb2

    return _progress(client, client.pps.InspectJob(pps_pb2.InspectJobRequest(job=job)))


def _progress(client: Client, info: pps_pb2.JobInfo) -> str:
    """Describe the state of a job, its datums, their rate and the time left."""
    from trunkline.cli.commands.pipelines import job_state
    from trunkline.rpc.gen import control_pb2

    done = info.data_processed + info.data_skipped + info.data_failed + info.data_recovered
    words = [f"{job_state(info.state)}, {done:,} of {info.data_total:,} datums"]
    if info.data_failed:
        words.append(f"{info.data_failed:,} failed")
    pipeline = info.job.pipeline
    request = control_pb2.InspectProgressRequest(
        project=pipeline.project.name, pipeline=pipeline.name, job_id=info.job.id
    )
    now: control_pb2.JobProgress = client.control.InspectProgress(request)
    if now.datums_per_second:
        words.append(f"{now.datums_per_second:.3g} datums/s")
    if now.HasField("seconds_left"):
        words.append(f"about {span(now.seconds_left)} left")
    return ", ".join(words)
