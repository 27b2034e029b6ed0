"""The tables of ``trunkline top``: what each reads from the server, and what opens from a row.

One descends from pipelines to jobs, from a job to its datums and from a datum to its log. Reading only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from time import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli import output
from trunkline.cli.commands.jobs import progress
from trunkline.cli.commands.pipelines import job_state, pipeline_state
from trunkline.cli.output import SHORT_ID
from trunkline.errors import Unimplemented
from trunkline.model.names import PipelineName
from trunkline.rpc.gen import console_pb2, control_pb2, pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

JOBS, DATUMS, LINES = 200, 1000, 1000  # rows at most


class Row(NamedTuple):
    """A line of a table."""

    key: str
    cells: tuple[str, ...]
    #: What the cells are sorted by, where their texts are not: by column.
    values: dict[int, float] = {}  # noqa: RUF012 - never changed
    #: Project, pipeline, job and datum that it is about, as far as it is about them.
    about: tuple[str, ...] = ()


class View(ABC):
    """A table. ``project`` is empty for all projects."""

    title = ""
    columns: tuple[str, ...] = ()

    def __init__(self, project: str, about: tuple[str, ...] = ()) -> None:
        """Describe a table.

        Args:
            project: whose things are shown; empty: of all.
            about: project, pipeline, job and datum of the row that it was opened from.
        """
        self.project = project
        self.about = about

    @abstractmethod
    def rows(self, invocation: Invocation) -> list[Row]:
        """Read the rows from the server."""

    def opened(self, row: Row) -> View | None:  # noqa: ARG002 - tables that open another one look at it
        """Return the table that opens from a row."""
        return None

    def named(self, project: str, name: str) -> str:
        """Return a name as it is shown: with its project where several are."""
        return name if self.project else f"{project}/{name}"

    @property
    def trail(self) -> str:
        """What it is about, in a few words."""
        return self.title


class Pipelines(View):
    """Pipelines with their workers and last jobs."""

    title = "Pipelines"
    columns = ("PIPELINE", "STATE", "WORKERS", "LAST JOB", "REASON")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read pipelines."""
        request = pps_pb2.ListPipelineRequest(details=True, projects=_projects(self.project))
        waiting = {
            (worker.project, worker.pipeline): worker.reason
            for worker in list_workers(invocation, self.project)
            if worker.state == "pending"
        }
        rows = []
        for info in invocation.pps.ListPipeline(request):
            project, name, details = info.pipeline.project.name, info.pipeline.name, info.details
            cells = (
                self.named(project, name),
                pipeline_state(info.state),
                f"{details.workers_available}/{details.workers_requested}",
                job_state(info.last_job_state),
                output.one_line(info.reason or waiting.get((project, name), ""), 200),
            )
            rows.append(Row(f"{project}/{name}", cells, {2: details.workers_requested}, (project, name)))
        return rows

    def opened(self, row: Row) -> View:
        """Return the jobs of a pipeline."""
        return Jobs(self.project, row.about)


class Jobs(View):
    """Jobs, newest first, of all pipelines or of one."""

    title = "Jobs"
    columns = ("PIPELINE", "JOB", "STATE", "DATUMS", "AGE", "TIME", "REASON")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read jobs."""
        request = pps_pb2.ListJobRequest(number=JOBS)
        if self.about:
            request.pipeline.CopyFrom(invocation.pipeline_message(PipelineName(*self.about[:2])))
        else:
            request.projects.extend(_projects(self.project))
        now = time()
        rows = []
        for info in invocation.pps.ListJob(request):
            project, name, id = info.job.pipeline.project.name, info.job.pipeline.name, info.job.id
            begin, end = output.seconds(info.started), output.seconds(info.finished) or now
            passed = max(end - begin, 0.0) if begin else 0.0
            age = now - output.seconds(info.created)
            cells = (
                self.named(project, name),
                id[:SHORT_ID],
                job_state(info.state),
                progress(info),
                _short_span(age),
                output.span(passed) if begin else "-",
                output.one_line(info.reason, 200),
            )
            values = {3: float(info.data_total), 4: age, 5: passed}
            rows.append(Row(f"{project}/{name}@{id}", cells, values, (project, name, id)))
        return rows

    def opened(self, row: Row) -> View:
        """Return the datums of a job."""
        return Datums(self.project, row.about)

    @property
    def trail(self) -> str:
        """The pipeline whose jobs they are."""
        return f"Jobs of {self.about[1]}" if self.about else self.title


class Datums(View):
    """Datums of a job: those that failed first."""

    title = "Datums"
    columns = ("DATUM", "STATE", "TIME", "FILES", "REASON")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read datums."""
        project, pipeline, job = self.about
        request = console_pb2.ListDatumRowRequest(
            project=project, pipeline=pipeline, job_id=job, number=DATUMS, order="STATE"
        )
        return [
            Row(
                line.id,
                (
                    line.id[:SHORT_ID],
                    line.state.lower(),
                    output.span(line.seconds) if line.seconds else "-",
                    output.one_line(", ".join(line.paths), 60),
                    output.one_line(line.reason, 200),
                ),
                {2: line.seconds},
                (*self.about, line.id),
            )
            for line in invocation.console.ListDatumRow(request).rows
        ]

    def opened(self, row: Row) -> View:
        """Return the log of a datum."""
        return Log(self.project, row.about)

    @property
    def trail(self) -> str:
        """The job whose datums they are."""
        return f"Datums of {self.about[1]}@{self.about[2][:SHORT_ID]}"


class Log(View):
    """The last lines of the log of a pipeline, a job or a datum."""

    title = "Log"
    columns = ("TIME", "LINE")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read lines."""
        request = pps_pb2.GetLogsRequest(tail=LINES)
        pipeline = invocation.pipeline_message(PipelineName(*self.about[:2]))
        if len(self.about) > 2:
            request.job.CopyFrom(pps_pb2.Job(pipeline=pipeline, id=self.about[2]))
        else:
            request.pipeline.CopyFrom(pipeline)
        if len(self.about) > 3:
            request.datum.CopyFrom(pps_pb2.Datum(job=request.job, id=self.about[3]))
        return [
            Row(
                str(number),
                (output.stamp(output.seconds(line.ts))[11:19], line.message.rstrip("\n").expandtabs()),
                {0: number},
                self.about,
            )
            for number, line in enumerate(islice(invocation.pps.GetLogs(request), LINES))
        ]

    @property
    def trail(self) -> str:
        """Whose log it is."""
        names = [self.about[1], *(id[:SHORT_ID] for id in self.about[2:])]
        return f"Log of {' '.join(names)}"


class Workers(View):
    """Workers with what they do."""

    title = "Workers"
    columns = ("PIPELINE", "WORKER", "STATE", "AGE", "JOB", "REASON")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read workers."""
        now = time()
        rows = []
        for worker in list_workers(invocation, self.project):
            age = now - output.seconds(worker.created)
            cells = (
                self.named(worker.project, worker.pipeline),
                worker.id[:SHORT_ID],
                worker.state,
                _short_span(age),
                worker.job_id[:SHORT_ID] or "-",
                output.one_line(worker.reason, 200),
            )
            about = (worker.project, worker.pipeline, *((worker.job_id,) if worker.job_id else ()))
            rows.append(Row(worker.id, cells, {3: age}, about))
        return rows

    def opened(self, row: Row) -> View:
        """Return the datums of a worker's job, or the jobs of its pipeline."""
        return Datums(self.project, row.about) if len(row.about) == 3 else Jobs(self.project, row.about)


class Machines(View):
    """Machines that workers run on."""

    title = "Machines"
    columns = ("MACHINE", "KIND", "TYPE", "AGE", "STATE", "WORKERS", "USD/HOUR")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read machines."""
        try:
            machines = list(invocation.control.ListMachine(control_pb2.ListMachineRequest()))
        except Unimplemented:  # a Pachyderm server has no such call
            return []
        now = time()
        return [
            Row(
                info.name,
                (
                    info.name.partition(".")[0],  # without the common domain
                    info.kind,
                    info.instance_type,
                    _short_span(now - output.seconds(info.created)) if info.HasField("created") else "-",
                    "ready" if info.ready else "starting",
                    str(len(info.workers)),
                    output.money(info.dollars_per_hour),
                ),
                {5: len(info.workers), 6: info.dollars_per_hour},
            )
            for info in machines
        ]


class Projects(View):
    """Projects to choose from; the first row stands for all."""

    title = "Projects"
    columns = ("PROJECT", "DESCRIPTION")

    def rows(self, invocation: Invocation) -> list[Row]:
        """Read projects."""
        infos = invocation.pfs.ListProject(pfs_pb2.ListProjectRequest())
        every = Row("", ("(all projects)", ""))
        return [
            every,
            *(
                Row(info.project.name, (info.project.name, output.one_line(info.description)))
                for info in infos
            ),
        ]

    def opened(self, row: Row) -> View:
        """Return the pipelines of a project."""
        return Pipelines(row.key)


#: What the digits show.
ROOTS: tuple[type[View], ...] = (Pipelines, Jobs, Workers, Machines)


def list_workers(invocation: Invocation, project: str) -> Sequence[control_pb2.WorkerInfo]:
    """Return the workers of a project, or of all; none where the server has no such call.

    Args:
        invocation: the command.
        project: empty for all.
    """
    try:
        return list(invocation.control.ListWorker(control_pb2.ListWorkerRequest(project=project)))
    except Unimplemented:  # a Pachyderm server
        return ()


def _projects(project: str) -> list[pfs_pb2.Project]:
    return [pfs_pb2.Project(name=project)] if project else []


def _short_span(seconds: float) -> str:
    """Return an age in whole units of one kind, so that a table does not change all the time."""
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0) // 5 * 5:.0f} s"


def arranged(rows: Sequence[Row], text: str, column: int | None, *, reverse: bool) -> list[Row]:
    """Return the rows that contain a text, in an order.

    Args:
        rows: in the order of the server.
        text: in any case; empty: all.
        column: to sort by; None: the server's order.
        reverse: largest first.
    """
    selected = [row for row in rows if text.lower() in " ".join(row.cells).lower()]
    if column is None:
        return selected

    def order(row: Row) -> tuple[float, str]:
        return row.values.get(column, 0.0), row.cells[column].lower()

    return sorted(selected, key=order, reverse=reverse)
