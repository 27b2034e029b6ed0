"""Pipelines and their specs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from trunkline.cli import deletion, output
from trunkline.cli.commands import machines, repos
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument, history_option
from trunkline.cli.specs import read_specs
from trunkline.errors import TrunklineError
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.rpc.gen import pfs_pb2

STATES = ("starting", "running", "restarting", "failure", "paused", "standby", "crashing")
_OLD_OUTPUTS = "; datums that earlier versions processed keep their output, --reprocess runs them again"
NAME = argument("name", metavar="PIPELINE", help="pipeline, or project/pipeline")
SPECS = (
    argument(
        "-f", "--file", metavar="FILE", help="specs in JSON or YAML, one or several; - is standard input"
    ),
    argument("--jsonnet", metavar="FILE", help="instead of --file: a template in jsonnet, a function"),
    argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the template; repeat it for each",
    ),
)
DRY_RUN = argument("--dry-run", action="store_true", help="change nothing; print the effective specs")
COLUMNS = (
    "@PROJECT", "NAME", ">VERSION", "~INPUT", "CREATED", "STATE / LAST JOB", ">WORKERS", "DESCRIPTION",
)  # fmt: skip


def create(invocation: Invocation) -> None:
    """Create pipelines from a spec file."""
    _send(invocation, update=False, reprocess=False)


def update(invocation: Invocation) -> None:
    """Update pipelines from a spec file; creates those that do not exist."""
    _send(invocation, update=True, reprocess=invocation.options.reprocess)


def _send(invocation: Invocation, *, update: bool, reprocess: bool) -> None:
    options = invocation.options
    source, specs = _specs(invocation)
    if options.dry_run:
        for number in range(len(specs)):
            _print_effective(invocation, source, specs, number)
        return
    before = [_inspect(invocation, spec).version if update else 0 for spec in specs]
    absent = [_absent_branches(invocation, spec) for spec in specs]
    requests = [
        pps_pb2.CreatePipelineV2Request(
            create_pipeline_request_json=sent_json(invocation, spec), update=update, reprocess=reprocess
        )
        for spec in specs
    ]
    if len(requests) == 1 or invocation.transaction:
        for request in requests:
            invocation.pps.CreatePipelineV2(request)
    else:
        _send_together(invocation, source, specs, requests)
    for spec, branches, version in zip(specs, absent, before, strict=True):
        for branch in branches:
            invocation.note(
                f"pipeline {_name(spec)}: input branch {branch} did not exist and was created empty"
            )
        after = _inspect(invocation, spec)
        if after.details.reason:
            invocation.note(f"pipeline {_name(spec)}: {after.details.reason}")
        named = _pipeline(invocation, spec)
        name = f"{named.project.name or invocation.project}/{named.name}"
        if version == after.version and version:
            invocation.note(f"pipeline {name} is unchanged")
        elif version:
            outputs = "" if reprocess else _OLD_OUTPUTS
            invocation.report("updated", "pipeline", name, outputs, version=after.version)
        else:
            invocation.report("created", "pipeline", name, version=after.version)


def _print_effective(
    invocation: Invocation, source: str, specs: Sequence[dict[str, Any]], number: int
) -> None:
    """Print the effective specification of one of the specs of a file.

    Args:
        invocation: the command.
        source: the file.
        specs: of the file.
        number: place of the spec, from 0.
    """
    import json

    request = pps_pb2.CreatePipelineV2Request(
        create_pipeline_request_json=sent_json(invocation, specs[number]), dry_run=True
    )
    with _placing(source, specs, number):
        effective = invocation.pps.CreatePipelineV2(request).effective_create_pipeline_request_json
    print(json.dumps(json.loads(effective), indent=2, ensure_ascii=False))


def _send_together(
    invocation: Invocation,
    source: str,
    specs: Sequence[dict[str, Any]],
    requests: Sequence[pps_pb2.CreatePipelineV2Request],
) -> None:
    """Create or update several pipelines in one transaction.

    Args:
        invocation: the command.
        source: the file with the specs.
        specs: of the file.
        requests: one for each spec.
    """
    from trunkline.rpc.gen import transaction_pb2

    parts = []
    for spec, request in zip(specs, requests, strict=True):
        named = pps_pb2.CreatePipelineRequest(
            pipeline=_pipeline(invocation, spec), update=request.update, reprocess=request.reprocess
        )
        create = pps_pb2.CreatePipelineTransaction(
            create_pipeline_request=named, user_json=request.create_pipeline_request_json
        )
        parts.append(transaction_pb2.TransactionRequest(create_pipeline_v2=create))
    try:
        invocation.transactions.BatchTransaction(transaction_pb2.BatchTransactionRequest(requests=parts))
    except TrunklineError as error:
        error.message = f"{source}: {error.message}; nothing was changed"
        raise


@contextmanager
def _placing(source: str, specs: Sequence[dict[str, Any]], number: int) -> Iterator[None]:
    """Name the spec of a file in an error about it.

    Args:
        source: the file.
        specs: of the file.
        number: place of the spec, from 0.
    """
    try:
        yield
    except TrunklineError as error:
        if len(specs) > 1:
            error.message = (
                f"{source}, spec {number + 1} of {len(specs)}{_named(specs[number])}: {error.message}"
            )
        raise


def _specs(invocation: Invocation) -> tuple[str, list[dict[str, Any]]]:
    """Return the file that the options name, and its specs."""
    import json

    from trunkline.cli.exit_codes import UsageError

    options = invocation.options
    if (options.file is None) == (options.jsonnet is None):
        raise UsageError("name the specs with either --file or --jsonnet")
    if options.file is not None:
        if options.arg:
            raise UsageError("--arg is for templates; name one with --jsonnet")
        return options.file, read_specs(options.file)
    arguments = {}
    for text in options.arg:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f'--arg "{text}" has no value; write NAME=VALUE')
        arguments[name] = value
    with open(options.jsonnet, encoding="utf-8") as file:
        request = pps_pb2.RenderTemplateRequest(template=file.read(), args=arguments)
    rendered = json.loads(invocation.pps.RenderTemplate(request).json)
    return options.jsonnet, rendered if isinstance(rendered, list) else [rendered]


def _absent_branches(invocation: Invocation, spec: dict[str, Any]) -> list[str]:
    """Return the input branches of a spec that do not exist; the server creates them, empty.

    ``master`` is not looked up: pipelines are often created before the first commit.
    """
    from trunkline.errors import NotFound
    from trunkline.rpc.gen import pfs_pb2

    absent = []
    for pfs in _pfs_inputs(spec.get("input")):
        repo, branch = pfs.get("repo"), pfs.get("branch")
        if not (isinstance(repo, str) and isinstance(branch, str)) or branch in ("", "master"):
            continue
        project = pfs.get("project") or in_project(spec, invocation.project)["pipeline"].get("project") or {}
        name = project.get("name") if isinstance(project, dict) else project
        try:
            named = invocation.branch(f"{name or 'default'}/{repo}@{branch}")
            invocation.pfs.InspectBranch(pfs_pb2.InspectBranchRequest(branch=named))
        except NotFound:
            absent.append(f"{repo}@{branch}")
        except TrunklineError:
            continue  # the server reports invalid names when it reads the spec
    return absent


def _pfs_inputs(node: object) -> Iterator[dict[str, Any]]:
    """Yield the pfs inputs below an unchecked input of a spec."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get("pfs"), dict):
        yield node["pfs"]
    for kind in ("cross", "union", "join", "group"):
        children = node.get(kind)
        for child in children if isinstance(children, list) else ():
            yield from _pfs_inputs(child)


def _named(spec: dict[str, Any]) -> str:
    return f' (pipeline "{_name(spec)}")' if _name(spec) else ""


def _name(spec: dict[str, Any]) -> str:
    pipeline = spec.get("pipeline")
    return str(pipeline.get("name") or "") if isinstance(pipeline, dict) else ""


def _inspect(invocation: Invocation, spec: dict[str, Any]) -> pps_pb2.PipelineInfo:
    """Return the pipeline of a spec; an empty message when it does not exist."""
    from trunkline.errors import NotFound

    pipeline = _pipeline(invocation, spec)
    if not pipeline.name:
        return pps_pb2.PipelineInfo()
    try:
        request = pps_pb2.InspectPipelineRequest(pipeline=pipeline, details=True)
        return cast("pps_pb2.PipelineInfo", invocation.pps.InspectPipeline(request))
    except NotFound:
        return pps_pb2.PipelineInfo()


def _pipeline(invocation: Invocation, spec: dict[str, Any]) -> pps_pb2.Pipeline:
    """Return the message that names the pipeline of a spec; an empty one if the spec, which is unchecked, does not."""
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        return ParseDict(in_project(spec, invocation.project).get("pipeline") or {}, pps_pb2.Pipeline())
    except ParseError:
        return pps_pb2.Pipeline()


def sent_json(invocation: Invocation, spec: dict[str, Any]) -> str:
    """Return a spec as it is sent."""
    import json

    return json.dumps(in_project(spec, invocation.project))


def in_project(spec: dict[str, Any], project: str) -> dict[str, Any]:
    """Return a spec with the selected project, unless it names one; nothing else is changed."""
    pipeline = spec.get("pipeline")
    if project == "default" or not isinstance(pipeline, dict) or pipeline.get("project"):
        return spec
    return {**spec, "pipeline": {**pipeline, "project": {"name": project}}}


def validate(invocation: Invocation) -> None:
    """Let the server check specs; nothing is created."""
    source, specs = _specs(invocation)
    for number, spec in enumerate(specs):
        request = pps_pb2.CreatePipelineV2Request(
            create_pipeline_request_json=sent_json(invocation, spec), dry_run=True
        )
        with _placing(source, specs, number):
            invocation.pps.CreatePipelineV2(request)
    invocation.note(f"{source} is valid")


def check(invocation: Invocation) -> None:
    """Print the alerts of pipelines."""
    from trunkline.rpc.gen import pfs_pb2

    if invocation.options.all_projects:
        request = pps_pb2.CheckStatusRequest(all=True)
    else:
        request = pps_pb2.CheckStatusRequest(project=pfs_pb2.Project(name=invocation.project))
    for status in invocation.pps.CheckStatus(request):
        for alert in status.alerts:
            print(alert)


def inspect(invocation: Invocation) -> None:
    """Show a pipeline."""
    options = invocation.options
    pipeline = invocation.pipeline(options.name)
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
            ("Reason", info.reason),
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

    output.show_one(invocation, info, fields, pipeline_name(info.pipeline))


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
    if options.name:
        request.pipeline.CopyFrom(invocation.pipeline(options.name))
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
    if options.spec:
        _print_specs(invocation, infos)
        return
    output.show_many(invocation, infos, COLUMNS, row, lambda info: pipeline_name(info.pipeline))


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


REPROCESS = argument("--reprocess", action="store_true", help="run all datums again, also processed ones")
COMMANDS = {
    "create pipeline": Command(
        create,
        (*SPECS, DRY_RUN, *CHANGING),
        examples=(
            ("trunkline create pipeline -f count.yaml", "create the pipelines of a file"),
            (
                "trunkline create pipeline -f count.yaml --dry-run",
                "print the specs with all defaults; create nothing",
            ),
        ),
    ),
    "update pipeline": Command(
        update,
        (*SPECS, REPROCESS, DRY_RUN, *CHANGING),
        examples=(
            ("trunkline update pipeline -f count.yaml", "new data by the new spec; old output stays"),
            ("trunkline update pipeline -f count.yaml --reprocess", "run all datums again"),
        ),
    ),
    "validate pipeline": Command(
        validate,
        SPECS,
        examples=(("trunkline validate pipeline -f count.yaml", "check specs; create nothing"),),
    ),
    "check status": Command(
        check,
        (argument("-A", "--all-projects", action="store_true", help="of all projects"),),
        examples=(("trunkline check status", "show pipelines whose workers run too long"),),
    ),
    "inspect pipeline": Command(
        inspect,
        (NAME, argument("--spec", action="store_true", help="print the spec as submitted"), *SHOWING),
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
