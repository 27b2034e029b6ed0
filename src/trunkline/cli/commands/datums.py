"""Datums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import failed_datums, output
from trunkline.cli.commands.jobs import JOB, job_name
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument, limit_option
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

COLUMNS = ("ID", "STATE", ">TIME", "~>DL", "~>UL", "FILES")

_UNSUCCESSFUL = (pps_pb2.DatumState.FAILED, pps_pb2.DatumState.RECOVERED)


def list_(invocation: Invocation) -> None:
    """List the datums of a job, or those that a spec would create now."""
    options = invocation.options
    if bool(options.job) == bool(options.file):
        raise UsageError("list datum needs either PIPELINE@ID or -f SPEC")
    request = pps_pb2.ListDatumRequest(number=options.number)
    if options.job:
        request.job.CopyFrom(invocation.job(options.job))
    else:
        _set_input(invocation, request, options.file)
    if options.state:
        states = pps_pb2.ListDatumRequest.Filter(state=[state.upper() for state in options.state])
        request.filter.CopyFrom(states)

    def row(info: pps_pb2.DatumInfo) -> Sequence[str]:
        stats = info.stats
        total = (
            stats.download_time.ToTimedelta()
            + stats.process_time.ToTimedelta()
            + stats.upload_time.ToTimedelta()
        )
        return (
            output.Id(info.datum.id),
            _state(info),
            output.span(total.total_seconds()) if total else "-",
            output.size(stats.download_bytes),
            output.size(stats.upload_bytes),
            output.one_line(_files(info), 200),
        )

    datums = invocation.pps.ListDatum(request)
    output.show_many(invocation, datums, COLUMNS, row, lambda info: info.datum.id)


def _set_input(invocation: Invocation, request: pps_pb2.ListDatumRequest, source: str) -> None:
    """Set the input of the first spec of a file; its repos are in the project of the pipeline."""
    import json

    from google.protobuf.json_format import Parse, ParseError

    from trunkline.cli.specs import read_specs
    from trunkline.errors import InvalidArgument

    spec = read_specs(source)[0]
    try:
        Parse(json.dumps(spec.get("input") or {}), request.input)
    except ParseError as error:
        raise InvalidArgument(f"the input in {source} is not valid: {error}") from error
    pipeline = spec.get("pipeline")
    project = pipeline.get("project") if isinstance(pipeline, dict) else None
    name = project.get("name") if isinstance(project, dict) else project
    _set_project(request.input, str(name or invocation.project))


def _set_project(node: pps_pb2.Input, project: str) -> None:
    """Put every repo of an input that names no project into ``project``."""
    if node.HasField("pfs") and not node.pfs.project:
        node.pfs.project = project
    for child in (*node.cross, *node.union, *node.join, *node.group):
        _set_project(child, project)


def inspect(invocation: Invocation) -> None:
    """Show a datum of a job."""
    options = invocation.options
    job = invocation.job(options.job)
    datum = pps_pb2.Datum(job=job, id=invocation.datum_id(job, options.datum))
    info = invocation.pps.InspectDatum(pps_pb2.InspectDatumRequest(datum=datum))
    failure = _failure(invocation, info) if info.state in _UNSUCCESSFUL else None

    def fields(info: pps_pb2.DatumInfo) -> Sequence[tuple[str, str]]:
        stats = info.stats
        return [
            ("Datum", info.datum.id),
            ("Job", job_name(info.datum.job)),
            ("State", _state(info)),
            ("Reason", output.Prose(failure.reason if failure else "")),
            ("Files", _files(info)),
            ("Download", f"{output.size(stats.download_bytes)} in {output.duration(stats.download_time)}"),
            ("Process time", output.duration(stats.process_time)),
            ("Upload", f"{output.size(stats.upload_bytes)} in {output.duration(stats.upload_time)}"),
            *(failure.fields() if failure else ()),
        ]

    output.show_one(invocation, info, fields, info.datum.id)


def _failure(invocation: Invocation, info: pps_pb2.DatumInfo) -> failed_datums.Failure:
    """Return why a datum failed, and what its command printed last."""
    from trunkline.rpc.gen import explain_pb2

    job = info.datum.job
    request = explain_pb2.ExplainDatumRequest(
        project=job.pipeline.project.name,
        pipeline=job.pipeline.name,
        job_id=job.id,
        datum_id=info.datum.id,
    )
    reason = invocation.explain.ExplainDatum(request).reason
    return failed_datums.of(invocation, job, info.datum.id, _files(info), reason)


def restart(invocation: Invocation) -> None:
    """Restart a running datum from the beginning."""
    options = invocation.options
    request = pps_pb2.RestartDatumRequest(job=invocation.job(options.job), data_filters=options.filters)
    invocation.pps.RestartDatum(request)
    invocation.report("restarted", "datums of", options.job)


def _state(info: pps_pb2.DatumInfo) -> str:
    return pps_pb2.DatumState.Name(info.state).lower()


def _files(info: pps_pb2.DatumInfo) -> str:
    return ", ".join(f"{file.file.commit.repo.name}:{file.file.path}" for file in info.data)


COMMANDS = {
    "list datum": Command(
        list_,
        (
            argument("job", metavar="PIPELINE@ID", nargs="?", help="the job; PIPELINE@ is the last one"),
            argument(
                "-f", "--file", metavar="SPEC", help="list the datums of this pipeline spec instead of a job"
            ),
            argument(
                "--state",
                action="append",
                choices=("starting", "success", "skipped", "recovered", "failed", "unknown"),
                metavar="STATE",
                help="only datums in this state: starting, success, skipped, recovered, failed or unknown; may be"
                " repeated",
            ),
            limit_option("datums"),
            *SHOWING,
        ),
        examples=(
            ("trunkline list datum count@", "show the datums of the last job"),
            ("trunkline list datum flaky@ --state failed", "only those that failed"),
            ("trunkline list datum -f count.yaml", "the datums that a spec would have now"),
        ),
    ),
    "inspect datum": Command(
        inspect,
        (JOB, argument("datum", metavar="DATUM", help="id of the datum; its first digits suffice"), *SHOWING),
        examples=(("trunkline inspect datum count@ dc7cceeb", "show its files, times and why it failed"),),
    ),
    "restart datum": Command(
        restart,
        (
            JOB,
            argument(
                "filters",
                metavar="FILTER",
                nargs="+",
                help="restart the datum with all of these paths or hashes",
            ),
            *CHANGING,
        ),
        examples=(("trunkline restart datum train@ /hamlet.txt", "start a running datum again"),),
    ),
}
