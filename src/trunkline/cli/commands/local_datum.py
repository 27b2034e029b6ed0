"""Runs one datum of a spec on this machine, before the pipeline exists."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from trunkline.cli import output
from trunkline.cli.commands.pipeline_specs import in_project
from trunkline.cli.exit_codes import JobFailed, UsageError
from trunkline.cli.parsing import Command, argument
from trunkline.cli.specs import read_specs
from trunkline.errors import FailedPrecondition, NotFound
from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.rpc.gen import worker_api_pb2


def run(invocation: Invocation) -> None:
    """Run the first datum of a spec, or the one that the options choose, in a folder; the server is only read.

    Raises:
        JobFailed: the command failed.
    """
    from trunkline.worker import local_run

    options = invocation.options
    if os.path.exists(options.local) and os.listdir(options.local):
        raise UsageError(
            f"folder {options.local} is not empty; name a new one, so that nothing is overwritten"
        )
    spec = _effective(invocation, options.file)
    chosen = _choose(invocation, spec, options.datum, options.path)
    root = os.path.realpath(options.local)
    pfs = os.path.join(root, "pfs")
    for folder in ("out", ".tmp"):
        os.makedirs(os.path.join(pfs, folder))
    assignment = _fetch(invocation, spec, chosen, pfs)
    report = os.path.join(root, "result.json")
    local_run.run_apart(assignment, pfs, report)
    _show(invocation, chosen, root, report)


def _effective(invocation: Invocation, source: str) -> PipelineSpec:
    """Return the spec as the server would run it.

    Raises:
        FailedPrecondition: its work does not consist of datums with a command each.
    """
    from trunkline.model.spec import from_json

    request = pps_pb2.CreatePipelineV2Request(
        create_pipeline_request_json=json.dumps(in_project(read_specs(source)[0], invocation.project)),
        dry_run=True,
        update=True,
    )
    answer = invocation.pps.CreatePipelineV2(request)
    spec = from_json(json.loads(answer.effective_create_pipeline_request_json))
    transform = spec.transform
    if spec.input is None or transform is None or transform.datum_batching or spec.service is not None:
        raise FailedPrecondition(
            "run datum runs a command for one datum; spouts, services and batch programs need a worker: create the"
            " pipeline"
        )
    if transform.secrets:
        names = ", ".join(secret.name for secret in transform.secrets)
        invocation.note(f"secrets are not given to the command here: {names}")
    return spec


def _choose(
    invocation: Invocation, spec: PipelineSpec, id: str | None, path: str | None
) -> pps_pb2.DatumInfo:
    """Return the datum to run.

    Args:
        invocation: calls the server.
        spec: the pipeline.
        id: its id, or the beginning; None for any.
        path: a file that it reads; None for any.

    Raises:
        NotFound: no datum of the input is the one that was asked for.
    """
    from google.protobuf.json_format import ParseDict

    from trunkline.model import spec_fields

    request = pps_pb2.ListDatumRequest()
    ParseDict(spec_fields.write(spec.input), request.input)
    for info in invocation.pps.ListDatum(request):
        paths = [data.file.path for data in info.data]
        if info.datum.id.startswith(id or "") and (not path or any(_shows(each, path) for each in paths)):
            chosen: pps_pb2.DatumInfo = info
            return chosen
    what = f"datum {id}" if id else f"datum with file {path}" if path else "datum"
    raise NotFound(f"the input has no {what}; list datum -f SPEC shows those that it has")


def _shows(item: str, path: str) -> bool:
    path = "/" + path.strip("/")
    return item == path or (item.endswith("/") and path.startswith(item))


def _fetch(
    invocation: Invocation, spec: PipelineSpec, chosen: pps_pb2.DatumInfo, pfs: str
) -> worker_api_pb2.Assignment:
    """Write the files of a datum as a command sees them; return the assignment that a worker would get."""
    from trunkline.cli.transfer import downloads
    from trunkline.rpc.gen import worker_api_pb2 as pb

    assert spec.input is not None
    assert spec.transform is not None
    transform, leaves = spec.transform, list(spec.input.files())
    items = []
    for data in chosen.data:
        leaf = _leaf(leaves, data.file)
        place = os.path.join(pfs, leaf.name)
        request = pfs_pb2.GetFileRequest(file=data.file).SerializeToString()
        with invocation.channel.server_stream("/pfs_v2.API/GetFileTAR", request) as frames:
            downloads.to_folder(frames, "/", place, lambda _: None)
        if leaf.empty_files:
            _empty(place)
        items.append(
            pb.Item(
                input=leaf.name,
                path=data.file.path,
                commit_id=data.file.commit.id,
                size_bytes=data.size_bytes,
            )
        )
    return pb.Assignment(
        project=spec.project,
        pipeline=spec.name,
        datum_run=pb.DatumRun(
            job_id="0" * 32,
            output_commit_id="0" * 32,
            command=pb.Command(
                cmd=transform.cmd,
                stdin=transform.stdin,
                env=dict(transform.env),
                working_dir=transform.working_dir,
                accept_return_code=transform.accept_return_code,
                user=transform.user,
            ),
            datum_timeout_seconds=spec.datum_timeout or 0.0,
            items=items,
            datums=[pb.Datum(id=chosen.datum.id, items=range(len(items)))],
        ),
    )


def _leaf(leaves: Sequence[PfsInput], file: pfs_pb2.File) -> PfsInput:
    """Return the leaf that a file of a datum comes from."""
    from trunkline.model.globs import compile_glob

    repo = file.commit.repo
    candidates = [
        leaf
        for leaf in leaves
        if (leaf.project, leaf.repo) == (repo.project.name, repo.name)
        and compile_glob(leaf.glob).matches(file.path.rstrip("/") or "/")
    ]
    return candidates[0]


def _empty(folder: str) -> None:
    """Make the files below a folder empty: the spec says that only their names count."""
    for parent, _, names in os.walk(folder):
        for name in names:
            os.truncate(os.path.join(parent, name), 0)


def _show(invocation: Invocation, chosen: pps_pb2.DatumInfo, root: str, report: str) -> None:
    """Print the outputs and how the command ended."""
    with open(report, encoding="utf-8") as file:
        facts: dict[str, Any] = json.load(file)
    for note in facts["notes"]:
        invocation.note(note)
    out = os.path.join(root, "pfs", "out")
    rows = []
    for parent, _, names in os.walk(out):
        for name in names:
            path = os.path.join(parent, name)
            rows.append(("/" + os.path.relpath(path, out), output.size(os.lstat(path).st_size)))
    output.table(("OUTPUT", ">SIZE"), sorted(rows))
    invocation.note(
        f"datum {chosen.datum.id}: {facts['reason']} after {output.span(facts['seconds'])},"
        f" {output.span(facts['cpu_seconds'])} of processor time, {output.size(facts['peak_memory'])} of memory;"
        f" its files are in {root}"
    )
    if not facts["succeeded"]:
        raise JobFailed(f"the command failed: {facts['reason']}; its files are in {root}")


COMMANDS = {
    "run datum": Command(
        run,
        (
            argument(
                "-f", "--file", metavar="SPEC", required=True, help="the pipeline spec; the first of several"
            ),
            argument(
                "--local",
                metavar="FOLDER",
                required=True,
                help="run it on this machine; its files are in FOLDER",
            ),
            argument(
                "--datum", metavar="ID", help="this datum, by its id or the beginning; default: the first"
            ),
            argument("--path", metavar="PATH", help="a datum that reads this file"),
        ),
        examples=(
            (
                "trunkline run datum -f count.yaml --local work",
                "run the first datum of a spec here, in the folder work",
            ),
            (
                "trunkline run datum -f count.yaml --local other --path /lear.txt",
                "the datum that reads a file",
            ),
        ),
    ),
}
