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
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from trunkline.cli.invocation import Invocation
    from trunkline.client.stubs import Client
    from trunkline.rpc.gen import pps_pb2

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
    from trunkline.client.stubs import Client

    channel = invocation.channel.sibling()
    client = Client(channel)

    def describe() -> str:
        if job is None:
            return _of_set(client, name, set_id)
        return _of_job(client, name, job)

    return Waiting(describe, quiet=invocation.quiet, close=channel.close)


def _of_set(client: Client, name: str, set_id: str) -> str:
    from trunkline.cli.commands.pipelines import job_state
    from trunkline.model.states import TERMINAL_JOB_STATES
    from trunkline.rpc.gen import pps_pb2

    request = pps_pb2.InspectJobSetRequest(job_set=pps_pb2.JobSet(id=set_id))
    states = [job_state(info.state).upper() for info in client.pps.InspectJobSet(request)]
    ended = sum(state in TERMINAL_JOB_STATES for state in states)
    return f"{name}: {ended} of {len(states)} jobs have ended"


def _of_job(client: Client, name: str, job: pps_pb2.Job) -> str:
    from trunkline.cli.commands.pipelines import job_state
    from trunkline.rpc.gen import control_pb2, pps_pb2

    info: pps_pb2.JobInfo = client.pps.InspectJob(pps_pb2.InspectJobRequest(job=job))
    done = info.data_processed + info.data_skipped + info.data_failed + info.data_recovered
    words = [f"{name}: {job_state(info.state)}, {done:,} of {info.data_total:,} datums"]
    if info.data_failed:
        words.append(f"{info.data_failed:,} failed")
    request = control_pb2.InspectProgressRequest(
        project=job.pipeline.project.name, pipeline=job.pipeline.name, job_id=job.id
    )
    now: control_pb2.JobProgress = client.control.InspectProgress(request)
    if now.datums_per_second:
        words.append(f"{now.datums_per_second:.3g} datums/s")
    if now.HasField("seconds_left"):
        words.append(f"about {span(now.seconds_left)} left")
    return ", ".join(words)
