"""Shows pipelines, jobs and workers live: a dashboard on a terminal, a line per change elsewhere."""

from __future__ import annotations

import select
import sys
from collections import Counter
from datetime import datetime
from time import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli import output
from trunkline.cli.commands.jobs import progress
from trunkline.cli.commands.pipelines import job_state, pipeline_state
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.output import SHORT_ID
from trunkline.cli.parsing import TIMEOUT, Command, argument
from trunkline.cli.state_colours import style
from trunkline.errors import DeadlineExceeded, Unimplemented
from trunkline.model.states import TERMINAL_JOB_STATES
from trunkline.rpc.gen import control_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from trunkline.cli.invocation import Invocation

EVERY = 0.3  # seconds between updates; each costs the server three small queries
JOBS = 12  # newest jobs shown
#: States of workers in the order in which a worker goes through them.
WORKER_STATES = ("pending", "starting", "idle", "busy", "retiring")
#: Words for the states of jobs that have ended.
_ENDED = frozenset(state.lower() for state in TERMINAL_JOB_STATES)


class PipelineStatus(NamedTuple):
    """The state of a pipeline."""

    name: str
    state: str
    reason: str
    autoscaling: bool
    requested: int  # workers
    ready: int


class JobStatus(NamedTuple):
    """The state of a job."""

    pipeline: str
    id: str
    state: str
    reason: str
    progress: str
    done: int
    total: int


class MachineStatus(NamedTuple):
    """The state of a machine of workers, other than the server's own."""

    name: str
    kind: str
    type: str
    age: float  # seconds
    ready: bool
    workers: int
    dollars_per_hour: float
    pretended: bool


class Snapshot(NamedTuple):
    """The state of everything that is shown."""

    pipelines: Sequence[PipelineStatus]
    jobs: Sequence[JobStatus]
    #: Workers by pipeline and state.
    workers: Counter[tuple[str, str]]
    #: Why workers are pending, by pipeline.
    waiting: dict[str, str]
    machines: Sequence[MachineStatus] = ()

    @property
    def idle(self) -> bool:
        """Whether no job is running and no autoscaled worker is left."""
        lasting = {pipeline.name for pipeline in self.pipelines if not pipeline.autoscaling}
        leaving = any(name not in lasting for name, _ in self.workers)
        return not leaving and not self.machines and all(job.state in _ENDED for job in self.jobs)


def top(invocation: Invocation) -> None:
    """Show the state until interrupted, or with --until-idle until nothing runs."""
    options = invocation.options
    if options.every < 0.05:
        raise UsageError("top --every must be at least 0.05 seconds")
    if sys.stdin.isatty() and sys.stdout.isatty() and not options.plain and _has_textual():
        _dashboard(invocation)
    else:
        _plain(_snapshots(invocation))


def _has_textual() -> bool:
    from importlib.util import find_spec

    return find_spec("textual") is not None


def _dashboard(invocation: Invocation) -> None:
    from trunkline.cli.dashboard.app import Dashboard

    options = invocation.options

    def is_over(invocation: Invocation) -> bool:
        return options.until_idle and read_state(invocation).idle

    dashboard = Dashboard(invocation, "" if options.all_projects else invocation.project, is_over)
    limit = invocation.timeout
    if limit is not None:
        dashboard.end_after(limit)
    dashboard.run()
    dashboard.wait()
    if dashboard.has_run_out:
        raise DeadlineExceeded("top has reached its --timeout")


def _snapshots(invocation: Invocation) -> Iterator[Snapshot]:
    options = invocation.options
    remaining = invocation.timeout
    while True:
        snapshot = read_state(invocation)
        yield snapshot
        if options.until_idle and snapshot.idle:
            return
        if remaining is not None:
            remaining -= options.every
            if remaining <= 0:
                raise DeadlineExceeded("top has reached its --timeout")
        select.select((), (), (), options.every)


def read_state(invocation: Invocation) -> Snapshot:
    """Read the state from the server."""
    projects = [] if invocation.options.all_projects else [{"name": invocation.project}]
    pipelines = [
        PipelineStatus(
            _name(invocation, info.pipeline),
            pipeline_state(info.state),
            info.reason,
            info.details.autoscaling,
            info.details.workers_requested,
            info.details.workers_available,
        )
        for info in invocation.pps.ListPipeline(pps_pb2.ListPipelineRequest(details=True, projects=projects))
    ]
    jobs = [
        JobStatus(
            _name(invocation, info.job.pipeline),
            info.job.id,
            job_state(info.state),
            info.reason,
            progress(info),
            info.data_processed + info.data_skipped + info.data_failed + info.data_recovered,
            info.data_total,
        )
        for info in invocation.pps.ListJob(pps_pb2.ListJobRequest(number=JOBS, projects=projects))
    ]
    workers: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, str] = {}
    for worker in _workers(invocation):
        pipeline = worker.pipeline if projects else f"{worker.project}/{worker.pipeline}"
        workers[pipeline, worker.state] += 1
        if worker.state == "pending" and worker.reason:
            waiting[pipeline] = worker.reason
    return Snapshot(pipelines, jobs, workers, waiting, _machines(invocation))


def _machines(invocation: Invocation) -> Sequence[MachineStatus]:
    try:
        machines = list(invocation.control.ListMachine(control_pb2.ListMachineRequest()))
    except Unimplemented:  # a Pachyderm server has no such call
        return ()
    now = time()
    return [
        MachineStatus(
            info.name,
            info.kind,
            info.instance_type,
            max(0.0, now - output.seconds(info.created)),
            info.ready,
            len(info.workers),
            info.dollars_per_hour,
            info.pretended,
        )
        for info in machines
        if info.kind != "local"
    ]


def _workers(invocation: Invocation) -> Sequence[control_pb2.WorkerInfo]:
    project = "" if invocation.options.all_projects else invocation.project
    try:
        return list(invocation.control.ListWorker(control_pb2.ListWorkerRequest(project=project)))
    except Unimplemented:  # a Pachyderm server has no such call
        return ()


def _name(invocation: Invocation, pipeline: pps_pb2.Pipeline) -> str:
    return f"{pipeline.project.name}/{pipeline.name}" if invocation.options.all_projects else pipeline.name


def workers_text(snapshot: Snapshot, pipeline: str) -> str:
    """Return a pipeline's workers as text: ``5 workers (2 starting, 3 busy)``."""
    counts = [(state, snapshot.workers[pipeline, state]) for state in WORKER_STATES]
    total = sum(count for _, count in counts)
    parts = ", ".join(f"{count} {state}" for state, count in counts if count)
    return f"{total} worker{'s' * (total != 1)}" + (f" ({parts})" if parts else "")


def machines_text(snapshot: Snapshot) -> str:
    """Return the machines as text: ``5 machines (3 ready), 0.233 USD per hour``."""
    count = len(snapshot.machines)
    if not count:
        return "no machines"
    ready = sum(machine.ready for machine in snapshot.machines)
    hour = sum(machine.dollars_per_hour for machine in snapshot.machines)
    price = f", {output.money(hour)} USD per hour" if hour else ""
    pretended = ", pretended" if any(machine.pretended for machine in snapshot.machines) else ""
    return f"{count} machine{'s' * (count != 1)} ({ready} ready){price}{pretended}"


# Lines ------------------------------------------------------------------------------------------------------


def _plain(snapshots: Iterator[Snapshot]) -> None:
    """Print a line for every pipeline, job or set of workers that has changed."""
    printed = {"machines": "no machines"}  # a fleet of processes has none, which is not worth a line
    for snapshot in snapshots:
        now = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        for subject, text in lines(snapshot):
            if printed.get(subject) != text:
                printed[subject] = text
                print(f"{now}  {text}", flush=True)


def lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield each subject that can change, with its state as text."""
    for pipeline in snapshot.pipelines:
        troubled = pipeline.state in (
            "crashing",
            "failure",
        )  # reasons of waiting workers are on the line of the workers
        reason = f" ({pipeline.reason})" if pipeline.reason and troubled else ""
        waiting = snapshot.waiting.get(pipeline.name)
        because = f", pending because {waiting}" if waiting else ""
        yield f"pipeline {pipeline.name}", f"pipeline {pipeline.name}  {pipeline.state}{reason}"
        yield (
            f"workers {pipeline.name}",
            f"pipeline {pipeline.name}  {workers_text(snapshot, pipeline.name)}{because}",
        )
    yield "machines", machines_text(snapshot)
    for job in reversed(snapshot.jobs):
        reason = f" ({job.reason})" if job.reason else ""
        name = f"{job.pipeline}@{job.id}"
        yield name, f"job {name}  {job.state}  {job.progress}{reason}"


# Picture ----------------------------------------------------------------------------------------------------

BAR = 24  # characters
_GAP = (0, 2, 0, 0)  # between columns; with more the tables would not fit 80 characters


def picture(snapshot: Snapshot) -> RenderableType:
    """Return a picture of everything for a terminal, which the examples show."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    pipelines = Table("PIPELINE", "STATE", "WORKERS", "", box=None, pad_edge=False, padding=_GAP)
    for pipeline in snapshot.pipelines:
        squares = Text()
        for state in WORKER_STATES:
            squares.append("■" * snapshot.workers[pipeline.name, state], style=style(state))
        squares.append("□" * max(pipeline.requested - len(squares), 0), style="dim")
        note = snapshot.waiting.get(pipeline.name) or pipeline.reason
        words = Text(workers_text(snapshot, pipeline.name))
        if note:
            words.append(f"  {note}", style="dim")
        pipelines.add_row(pipeline.name, _state(pipeline.state), squares, words)

    jobs = Table(
        "JOB", "ID", "STATE", "DATUMS", "DONE + SKIPPED / ALL", box=None, pad_edge=False, padding=_GAP
    )
    for job in snapshot.jobs:
        share = job.done / job.total if job.total else float(job.state == "success")
        filled = round(share * BAR)
        bar = Text("━" * filled, style=style(job.state))
        bar.append("╌" * (BAR - filled), style="dim")
        words = Text(job.progress)
        if job.reason:
            words.append(f"  {job.reason}", style="dim")
        jobs.add_row(job.pipeline, job.id[:SHORT_ID], _state(job.state), bar, words)

    if not snapshot.pipelines:
        return Text("no pipelines", style="dim")
    parts: list[RenderableType] = [pipelines]
    if snapshot.jobs:
        parts += [Text(), jobs]
    if snapshot.machines:
        parts += [Text(), _machine_table(snapshot), Text(machines_text(snapshot), style="dim")]
    return Group(*parts)


def _machine_table(snapshot: Snapshot) -> RenderableType:
    from rich.table import Table

    machines = Table(
        "MACHINE",
        "KIND",
        "TYPE",
        "AGE",
        "STATE",
        "WORKERS",
        "USD/HOUR",
        box=None,
        pad_edge=False,
        padding=_GAP,
    )
    for machine in snapshot.machines:
        machines.add_row(
            machine.name.partition(".")[0],  # without the common domain
            machine.kind,
            machine.type,
            output.span(machine.age if machine.age < 60 else machine.age // 60 * 60),
            _state("running" if machine.ready else "starting"),
            str(machine.workers),
            output.money(machine.dollars_per_hour),
        )
    return machines


def _state(state: str) -> str:
    colour = style(state)
    return f"[{colour}]{state}[/]" if colour else state


COMMANDS = {
    "top": Command(
        top,
        (
            argument(
                "--until-idle",
                action="store_true",
                help="end when no job runs and no autoscaled worker is left",
            ),
            argument(
                "--every",
                type=float,
                default=EVERY,
                metavar="SECONDS",
                help=f"seconds between two lines of the same thing at least ({EVERY}); the dashboard follows events",
            ),
            argument("--plain", action="store_true", help="print a line for each change, also on a terminal"),
            argument(
                "-A", "--all-projects", action="store_true", help="of all projects (p in the dashboard)"
            ),
            TIMEOUT,
        ),
        examples=(
            ("trunkline top", "watch pipelines, jobs and workers"),
            ("trunkline top --plain --until-idle", "a line per change, until nothing runs"),
        ),
    )
}
