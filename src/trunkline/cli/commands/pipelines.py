"""Pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.cli import deletion, output
from trunkline.cli.commands import machines, repos
from trunkline.cli.commands.pipeline_specs import REPROCESS
from trunkline.cli.parsing import CHANGING, SHOWING, WATCH, Command, argument, history_option
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.rpc.gen import pfs_pb2

STATES = ("starting", "running", "restarting", "failure", "paused", "standby", "crashing")
NAME = argument("name", metavar="PIPELINE", help="pipeline, or project/pipeline")
COLUMNS = (
    "@PROJECT", "NAME", ">VERSION", "~INPUT", "CREATED", "STATE / LAST JOB", ">WORKERS", "DESCRIPTION",
)  # fmt: skip


def check(invocation: Invocation) -> None:
    """Print the alerts of pipelines."""
    from trunkline.rpc.gen import pfs_pb2

    if invocation.options.all_projects:
        request = pps_pb2.CheckStatusRequest(all=True)
    else:
        request = pps_pb2.CheckStatusRequest(project=pfs_pb2.Project(name=invocation.project))
    alerted = [status for status in invocation.pps.CheckStatus(request) if status.alerts]

    def row(status: pps_pb2.CheckStatusResponse) -> Sequence[str]:
        alerts = (alert.removeprefix(f"{pipeline_name(status.pipeline)}: ") for alert in status.alerts)
        return status.project.name, status.pipeline.name, "; ".join(alerts)

    output.show_many(
        invocation,
        alerted,
        ("@PROJECT", "PIPELINE", "ALERT"),
        row,
        lambda status: pipeline_name(status.pipeline),
    )
    if not alerted:
        invocation.note("no pipeline has an alert")


def inspect(invocation: Invocation) -> None:
    """Show a pipeline."""
    options = invocation.options
    pipeline = invocation.pipeline(options.name)
    following = _changed(invocation, pipeline) if options.watch else ()
    info = invocation.pps.InspectPipeline(pps_pb2.InspectPipelineRequest(pipeline=pipeline, details=True))
    if options.spec:
        _print_specs(invocation, [info])
        return

    def fields(info: pps_pb2.PipelineInfo) -> Sequence[tuple[str, str]]:
        details = info.details
        return [
            ("Name", pipeline_name(info.pipeline)),
            ("Description", details.description),
            ("Version", str(info.version)),
            ("Created", output.when(details.created_at, whole=options.full_timestamps)),
            ("State", pipeline_state(info.state)),
            ("Reason", output.Prose(info.reason)),
            ("Last job", job_state(info.last_job_state)),
            ("Workers", f"{details.workers_available} of {details.workers_requested} ready"),
            ("Parallelism", str(info.parallelism)),
            ("Autoscaling", "yes" if details.autoscaling else "no"),
            ("Input", input_text(details.input)),
            ("Output branch", details.output_branch),
            ("Image", details.transform.image),
            ("Command", " ".join(details.transform.cmd)),
            ("Datum tries", str(details.datum_tries)),
            *machines.bill(invocation, info.pipeline),
        ]

    output.show_one(invocation, info, fields, pipeline_name(info.pipeline), following)


def _changed(invocation: Invocation, pipeline: pps_pb2.Pipeline | None) -> Iterator[pps_pb2.PipelineInfo]:
    """Return an iterator over pipelines as they change: one of them, or those of the project or of all."""
    from trunkline.cli.watch import watched

    if pipeline is not None:
        return watched.pipelines(invocation, projects=[pipeline.project.name], names=[pipeline.name])
    projects = [] if invocation.options.all_projects else [invocation.project]
    return watched.pipelines(invocation, projects=projects)


def _print_specs(invocation: Invocation, infos: Iterable[pps_pb2.PipelineInfo]) -> None:
    import json

    form = output.form_of(invocation)
    specs = [json.loads(info.user_spec_json or "{}") for info in infos]
    output.values(specs, "json" if form in ("table", "name") else form)


def list_(invocation: Invocation) -> None:
    """List pipelines."""
    options = invocation.options
    request = pps_pb2.ListPipelineRequest(details=True)
    request.history = options.history
    if options.commit:
        request.commit_set.id = options.commit
    named = invocation.pipeline(options.name) if options.name else None
    following = _changed(invocation, named) if options.watch else iter(())
    if named is not None:
        request.pipeline.CopyFrom(named)
    elif not options.all_projects:
        request.projects.add(name=invocation.project)

    def row(info: pps_pb2.PipelineInfo) -> Sequence[str]:
        details = info.details
        return (
            info.pipeline.project.name,
            info.pipeline.name,
            str(info.version),
            output.one_line(input_text(details.input)),
            output.when(details.created_at, whole=options.full_timestamps),
            f"{pipeline_state(info.state)} / {job_state(info.last_job_state)}",
            f"{details.workers_available}/{details.workers_requested}",
            output.one_line(details.description),
        )

    infos = invocation.existing(invocation.pps.ListPipeline(request), options.name or options.all_projects)
    if options.state:
        infos = (info for info in infos if pipeline_state(info.state) in options.state)
        following = (info for info in following if pipeline_state(info.state) in options.state)
    if options.spec:
        _print_specs(invocation, infos)
        return
    output.show_many(invocation, infos, COLUMNS, row, lambda info: pipeline_name(info.pipeline), following)


def delete(invocation: Invocation) -> None:
    """Delete a pipeline, or all of the project, and the output."""
    from trunkline.cli.exit_codes import UsageError
    from trunkline.rpc.gen import pfs_pb2

    options = invocation.options
    if options.name:
        pipeline = invocation.pipeline(options.name)
        if not deletion.is_wanted(invocation, lambda: [loss(invocation, pipeline)]):
            return
        request = pps_pb2.DeletePipelineRequest(
            pipeline=pipeline, force=options.force, keep_repo=options.keep_repo, must_exist=True
        )
        invocation.pps.DeletePipeline(request)
        repo = "; its output repo stays" if options.keep_repo else " and its output repo"
        invocation.report("deleted", "pipeline", pipeline_name(pipeline), repo)
        return
    if not options.all:
        raise UsageError('delete pipeline needs a name or --all; see "trunkline delete pipeline --help"')
    projects = [] if options.all_projects else [pfs_pb2.Project(name=invocation.project)]
    if not deletion.is_wanted(invocation, lambda: losses(invocation, projects), sweeping=True):
        return
    every = pps_pb2.DeletePipelinesRequest(
        projects=projects, force=options.force, keep_repo=options.keep_repo, all=options.all_projects
    )
    answer = invocation.pps.DeletePipelines(every)
    for deleted in answer.pipelines:
        invocation.report("deleted", "pipeline", pipeline_name(deleted))


def losses(invocation: Invocation, projects: Sequence[pfs_pb2.Project]) -> list[deletion.Loss]:
    """Return what is deleted with the pipelines of projects.

    Args:
        invocation: asks the server.
        projects: empty for all.
    """
    request = pps_pb2.ListPipelineRequest(projects=projects)
    return [loss(invocation, info.pipeline) for info in list(invocation.pps.ListPipeline(request))]


def loss(invocation: Invocation, pipeline: pps_pb2.Pipeline) -> deletion.Loss:
    """Return what is deleted with a pipeline: the commits of its output, unless the output repo is kept.

    Raises:
        NotFound: it does not exist.
    """
    from trunkline.rpc.gen import pfs_pb2

    invocation.pps.InspectPipeline(pps_pb2.InspectPipelineRequest(pipeline=pipeline))
    content = ""
    if not getattr(invocation.options, "keep_repo", False):
        output_repo = pfs_pb2.Repo(name=pipeline.name, type="user", project=pipeline.project)
        content = repos.loss(invocation, output_repo).content
    return deletion.Loss("pipeline", pipeline_name(pipeline), f"output: {content}" if content else "")


def start(invocation: Invocation) -> None:
    """Start a stopped pipeline."""
    pipeline = invocation.pipeline(invocation.options.name)
    invocation.pps.StartPipeline(pps_pb2.StartPipelineRequest(pipeline=pipeline))
    invocation.report("started", "pipeline", pipeline_name(pipeline))


def stop(invocation: Invocation) -> None:
    """Stop a pipeline; its running jobs are killed."""
    pipeline = invocation.pipeline(invocation.options.name)
    invocation.pps.StopPipeline(pps_pb2.StopPipelineRequest(pipeline=pipeline, must_exist=True))
    invocation.report("stopped", "pipeline", pipeline_name(pipeline), "; its running jobs were killed")


def rerun(invocation: Invocation) -> None:
    """Run a pipeline again on its current input."""
    options = invocation.options
    pipeline = invocation.pipeline(options.name)
    request = pps_pb2.RerunPipelineRequest(pipeline=pipeline, reprocess=options.reprocess)
    invocation.pps.RerunPipeline(request)
    invocation.report("reran", "pipeline", pipeline_name(pipeline))


def run_cron(invocation: Invocation) -> None:
    """Make a tick of a pipeline's cron inputs now."""
    pipeline = invocation.pipeline(invocation.options.name)
    invocation.pps.RunCron(pps_pb2.RunCronRequest(pipeline=pipeline))
    invocation.report("ran", "cron of", pipeline_name(pipeline))


def pipeline_name(pipeline: pps_pb2.Pipeline) -> str:
    """Return the name of a pipeline as in references."""
    return f"{pipeline.project.name}/{pipeline.name}"


def pipeline_state(state: int) -> str:
    """Return a pipeline's state as a word."""
    return _word(pps_pb2.PipelineState, state).removeprefix("pipeline_")


def job_state(state: int) -> str:
    """Return a job's state as a word, ``-`` for none."""
    return _word(pps_pb2.JobState, state).removeprefix("job_") if state else "-"


def _word(enum: Any, number: int) -> str:
    """Return the name of an enum value, or its number when a newer server has added it."""
    descriptor = enum.DESCRIPTOR.values_by_number.get(number)
    return descriptor.name.lower() if descriptor else str(number)


def input_text(node: pps_pb2.Input) -> str:
    """Return an input in one line, such as ``images:/*``."""
    if node.HasField("pfs"):
        pfs = node.pfs
        branch = f"@{pfs.branch}" if pfs.branch not in ("", "master") else ""
        return f"{pfs.repo}{branch}:{pfs.glob}"
    if node.HasField("cron"):
        return f"{node.cron.name}:{node.cron.spec}"
    for children, sign in (
        (node.cross, "\u2a2f"),
        (node.union, "\u222a"),
        (node.join, "\u22c8"),
        (node.group, "+"),
    ):
        if children:
            return f"({f' {sign} '.join(map(input_text, children))})"
    return ""


COMMANDS = {
    "check status": Command(
        check,
        (argument("-A", "--all-projects", action="store_true", help="of all projects"), *SHOWING),
        examples=(("trunkline check status", "show pipelines whose workers run too long"),),
    ),
    "inspect pipeline": Command(
        inspect,
        (NAME, argument("--spec", action="store_true", help="print the spec as submitted"), WATCH, *SHOWING),
        examples=(
            ("trunkline inspect pipeline count", "show its state, workers and last job"),
            ("trunkline inspect pipeline count --spec", "its spec, as it was submitted"),
        ),
    ),
    "list pipeline": Command(
        list_,
        (
            argument("name", metavar="PIPELINE", nargs="?", help="only this pipeline"),
            history_option("N older versions"),
            argument(
                "-c", "--commit", metavar="ID", help="as they were when the commits of this id were made"
            ),
            argument(
                "--state",
                action="append",
                choices=STATES,
                metavar="STATE",
                help=f"only those in this state: {', '.join(STATES)}; may be repeated",
            ),
            argument("-s", "--spec", action="store_true", help="print the specs as submitted"),
            argument("-A", "--all-projects", action="store_true", help="of all projects"),
            WATCH,
            *SHOWING,
        ),
        examples=(
            ("trunkline list pipeline", "show the pipelines of the project in use"),
            ("trunkline list pipeline --state crashing --state failure", "only those with trouble"),
        ),
    ),
    "delete pipeline": Command(
        delete,
        (
            argument("name", metavar="PIPELINE", nargs="?", help="pipeline, or project/pipeline"),
            argument("--all", action="store_true", help="all pipelines of the project"),
            argument("--keep-repo", action="store_true", help="keep the output repo"),
            argument(
                "-f", "--force", action="store_true", help="delete it even if other pipelines read its output"
            ),
            argument("-A", "--all-projects", action="store_true", help="with --all: of all projects"),
            deletion.YES,
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(
            ("trunkline delete pipeline old-count --dry-run", "show what would be deleted"),
            ("trunkline delete pipeline old-count", "delete a pipeline with its output"),
            ("trunkline delete pipeline old-count --keep-repo", "keep its output"),
        ),
    ),
    "start pipeline": Command(
        start,
        (NAME, *CHANGING),
        examples=(("trunkline start pipeline count", "continue a stopped pipeline"),),
    ),
    "stop pipeline": Command(
        stop,
        (NAME, *CHANGING),
        examples=(("trunkline stop pipeline count", "stop its jobs and workers; new data waits"),),
    ),
    "rerun pipeline": Command(
        rerun,
        (NAME, REPROCESS, *CHANGING),
        examples=(
            ("trunkline rerun pipeline count", "run the datums again that did not succeed"),
            ("trunkline rerun pipeline count --reprocess", "all datums"),
        ),
    ),
    "run cron": Command(
        run_cron,
        (NAME, *CHANGING),
        examples=(("trunkline run cron report", "make a tick now instead of waiting for the schedule"),),
    ),
}
