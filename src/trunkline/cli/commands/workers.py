"""Workers and the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.parsing import SHOWING, WATCH, Command, argument
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.cli.invocation import Invocation

WORKERS = ("@PROJECT", "PIPELINE", "WORKER", "STATE", "CREATED", "JOB", "~DATUM", "REASON")


def list_(invocation: Invocation) -> None:
    """List workers with their state."""
    options = invocation.options
    request = control_pb2.ListWorkerRequest(project="" if options.all_projects else invocation.project)
    if options.pipeline:
        pipeline = invocation.pipeline(options.pipeline)
        request.project, request.pipeline = pipeline.project.name, pipeline.name

    def row(info: control_pb2.WorkerInfo) -> Sequence[str]:
        return (
            info.project,
            info.pipeline,
            output.Id(info.id),
            info.state,
            output.when(info.created, whole=options.full_timestamps),
            output.Id(info.job_id) if info.job_id else "-",
            output.Id(info.datum_id) if info.datum_id else "-",
            info.reason,
        )

    following: Iterable[control_pb2.WorkerInfo] = ()
    if options.watch:
        from trunkline.cli.watch import watched

        projects = [request.project] if request.project else []
        names = [request.pipeline] if request.pipeline else []
        following = watched.workers(invocation, projects=projects, names=names)
    workers = invocation.control.ListWorker(request)
    output.show_many(invocation, workers, WORKERS, row, lambda info: info.id, following)


def inspect_storage(invocation: Invocation) -> None:
    """Show how many bytes are stored."""
    info = invocation.control.InspectStorage(control_pb2.InspectStorageRequest())

    def fields(info: control_pb2.StorageInfo) -> Sequence[tuple[str, str]]:
        saved = max(info.written_bytes - info.stored_bytes, 0)
        share = f" ({saved / info.written_bytes:.0%})" if saved else ""
        return [
            ("Written", output.size(info.written_bytes)),
            ("After deduplication", f"{output.size(info.chunk_bytes)} in {info.chunks:,} chunks"),
            ("Stored", f"{output.size(info.stored_bytes)} in {info.packs:,} packs"),
            ("Saved", f"{output.size(saved)}{share}"),
        ]

    output.show_one(invocation, info, fields, "storage")


COMMANDS = {
    "list worker": Command(
        list_,
        (
            argument("-p", "--pipeline", metavar="PIPELINE", help="only workers of this pipeline"),
            argument("-A", "--all-projects", action="store_true", help="of all projects"),
            WATCH,
            *SHOWING,
        ),
        examples=(
            ("trunkline list worker", "show workers and what they wait for"),
            ("trunkline list worker -p count", "those of one pipeline"),
        ),
    ),
    "inspect storage": Command(
        inspect_storage,
        SHOWING,
        examples=(("trunkline inspect storage", "show how many bytes are stored"),),
    ),
}
