"""Dumps and profiles of the server, as archives (.tgz)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.parsing import Command, argument
from trunkline.rpc.gen import debug_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.cli.invocation import Invocation

FILE = argument("file", metavar="FILE", help="archive to write, such as dump.tgz; - is standard output")


def dump(invocation: Invocation) -> None:
    """Write an archive about the server, its pipelines, jobs and workers."""
    options = invocation.options
    template = invocation.debug.GetDumpV2Template(debug_pb2.GetDumpV2TemplateRequest())
    request = template.request
    if options.pipeline:
        pipeline = invocation.pipeline(options.pipeline)
        request = debug_pb2.DumpV2Request(
            pipelines=[debug_pb2.Pipeline(project=pipeline.project.name, name=pipeline.name)]
        )
    if not options.profiles:
        request.system.ClearField("profiles")
    if options.limit:
        request.system.loki_logs.add(loki_args=debug_pb2.LokiArgs(max_logs=options.limit))

    def contents() -> Iterator[bytes]:
        for chunk in invocation.debug.DumpV2(request):
            if chunk.HasField("content"):
                yield chunk.content.content
            elif chunk.progress.progress == chunk.progress.total:
                invocation.note(f"{chunk.progress.task} done")

    _write(options.file, contents())


def profile(invocation: Invocation) -> None:
    """Write a profile: cpu and threads as folded stacks, heap as lines of code with their bytes."""
    options = invocation.options
    request = debug_pb2.ProfileRequest(profile=debug_pb2.Profile(name=options.name))
    seconds = invocation.duration("duration")
    if seconds is not None:
        request.profile.duration.FromNanoseconds(round(seconds * 1e9))
    _write(options.file, (piece.value for piece in invocation.debug.Profile(request)))


def binary(invocation: Invocation) -> None:
    """Write the versions of the server, of Python and of all installed packages."""
    pieces = invocation.debug.Binary(debug_pb2.BinaryRequest())
    _write(invocation.options.file, (piece.value for piece in pieces))


def template(invocation: Invocation) -> None:
    """Print the request for a dump of everything, as YAML."""
    answer = invocation.debug.GetDumpV2Template(debug_pb2.GetDumpV2TemplateRequest())
    output.documents([answer.request], "yaml")


def _write(path: str, pieces: Iterable[bytes]) -> None:
    if path == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    pieces = iter(pieces)
    first = next(pieces, b"")  # an error of the server leaves no file
    with open(path, "wb") as file:
        file.write(first)
        for piece in pieces:
            file.write(piece)


COMMANDS = {
    "debug dump": Command(
        dump,
        (
            FILE,
            argument("-p", "--pipeline", metavar="PIPELINE", help="only this pipeline"),
            argument("--profiles", action="store_true", help="with profiles of the server"),
            argument(
                "-l", "--limit", type=int, default=0, metavar="N", help="log lines of each pipeline (10000)"
            ),
        ),
        examples=(
            ("trunkline debug dump dump.tgz", "write logs, specs and states to a file, without secrets"),
            ("trunkline debug dump dump.tgz -p count", "about one pipeline"),
        ),
    ),
    "debug profile": Command(
        profile,
        (
            argument(
                "name", metavar="PROFILE", choices=("cpu", "heap", "threads"), help="cpu, heap or threads"
            ),
            FILE,
            argument("-d", "--duration", metavar="DURATION", help="how long, such as 30s (10s)"),
        ),
        examples=(("trunkline debug profile cpu cpu.txt -d 5s", "where the server spends its time"),),
    ),
    "debug binary": Command(
        binary,
        (FILE,),
        examples=(("trunkline debug binary versions.txt", "write the versions of its packages"),),
    ),
    "debug template": Command(
        template,
        examples=(("trunkline debug template", "print what a dump can hold"),),
    ),
}
