"""Specs of pipelines: create, update and validate."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from trunkline.cli.parsing import CHANGING, Command, argument
from trunkline.cli.specs import read_specs, read_text
from trunkline.errors import TrunklineError
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.cli.invocation import Invocation

_OLD_OUTPUTS = "; datums that earlier versions processed keep their output, --reprocess runs them again"
SPECS = (
    argument(
        "-f",
        "--file",
        metavar="FILE",
        help="specs in JSON or YAML, one or several (standard input when it is no terminal, also -)",
    ),
    argument(
        "--jsonnet",
        metavar="FILE",
        help="instead of --file: a template in jsonnet, a function (- is standard input)",
    ),
    argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="argument of the template; repeat it for each",
    ),
)
DRY_RUN = argument("--dry-run", action="store_true", help="change nothing; print the effective specs")
REPROCESS = argument("--reprocess", action="store_true", help="run all datums again, also processed ones")


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
    if options.file is not None and options.jsonnet is not None:
        raise UsageError("name the specs with either --file or --jsonnet")
    if options.jsonnet is None:
        if options.arg:
            raise UsageError("--arg is for templates; name one with --jsonnet")
        if options.file is None and sys.stdin.isatty():
            raise UsageError("name the specs with --file FILE or --jsonnet FILE")
        source = options.file or "-"
        return source, read_specs(source)
    arguments = {}
    for text in options.arg:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f'--arg "{text}" has no value; write NAME=VALUE')
        arguments[name] = value
    request = pps_pb2.RenderTemplateRequest(template=read_text(options.jsonnet), args=arguments)
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
}
