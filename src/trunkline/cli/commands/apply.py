"""Pipelines as a folder of specs says, and what an update would run again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from trunkline.cli import deletion, output
from trunkline.cli.commands.pipeline_specs import sent_json
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import SHOWING, Command, argument
from trunkline.cli.specs import read_specs
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.cli.invocation import Invocation

REPROCESS = argument("--reprocess", action="store_true", help="run all datums of updated pipelines again")
#: Characters of a line about a changed field, and those that are shown before the first that differs.
_WIDTH, _SAME = 66, 15
#: Ends of the names of spec files.
_SPEC_FILES = (".json", ".yaml", ".yml")
#: Causes in words.
_CAUSES = {
    "FIRST": "no job has succeeded yet",
    "NEW": "new",
    "CHANGED": "files changed",
    "SALT": "the salt changed, or all run again",
    "RECOVERED": "were recovered",
    "EVERY_JOB": "reprocess_spec is every_job",
}


def apply(invocation: Invocation) -> None:
    """Show what specs change, then change it in one transaction."""
    options = invocation.options
    specs = [spec for path in options.file for spec in _read(path)]
    if not specs:
        raise UsageError(f"{', '.join(options.file)} has no specs; name a folder with JSON or YAML files")
    request = control_pb2.ApplyRequest(
        specs_json=[sent_json(invocation, spec) for spec in specs],
        prune=options.prune,
        dry_run=True,
        reprocess=options.reprocess,
    )
    difference = invocation.control.Apply(request)
    if output.form_of(invocation) == "table":
        for line in _difference(difference):
            print(line, flush=True)
    else:
        output.documents([difference], output.form_of(invocation))
    if options.dry_run or all(change.action == "none" for change in difference.changes):
        return
    losses = [
        deletion.Loss("pipeline", f"{change.project}/{change.pipeline}", "with its output")
        for change in difference.changes
        if change.action == "delete"
    ]
    if losses and not deletion.is_wanted(invocation, lambda: losses, sweeping=True):
        return
    request.dry_run, request.basis = False, difference.basis
    applied = invocation.control.Apply(request)
    invocation.note(f"applied; jobs have the id {applied.commit_set}")


def _read(path: str) -> list[dict[str, Any]]:
    """Return the specs in a file, or in all files below a folder in the order of their paths."""
    if not os.path.isdir(path):
        return read_specs(path)
    files = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if name.endswith(_SPEC_FILES) and not name.startswith(".")
    )
    return [spec for file in files for spec in read_specs(file)]


def _difference(response: control_pb2.ApplyResponse) -> Iterator[str]:
    unchanged = 0
    for change in response.changes:
        if change.action == "none":
            unchanged += 1
            continue
        yield f"{change.action:<7} {change.project}/{change.pipeline}"
        yield from (f"          {line}" for line in _fields(change.fields))
    if unchanged:
        yield f"{unchanged} unchanged"


def _fields(fields: Sequence[control_pb2.FieldChange]) -> Iterator[str]:
    for field in fields:
        before, after = field.before_json or "-", field.after_json or "-"
        line = f"{field.path}: {before} -> {after}"
        if len(line) <= _WIDTH and "\n" not in line:
            yield line
            continue
        pairs = enumerate(zip(before, after, strict=False))
        same = next((at for at, (old, new) in pairs if old != new), min(len(before), len(after)))
        start = max(0, same - _SAME)
        yield f"{field.path}:"
        for sign, text in (("-", before), ("+", after)):
            yield f"  {sign} {output.one_line(f'…{text[start:]}' if start else text, _WIDTH)}"


def plan(invocation: Invocation) -> None:
    """Show what updates would run again and why, how long and at what price."""
    options = invocation.options
    form = output.form_of(invocation)
    for spec in read_specs(options.file):
        request = control_pb2.PlanUpdateRequest(
            spec_json=sent_json(invocation, spec), reprocess=options.reprocess
        )
        answer = invocation.control.PlanUpdate(request)
        if form == "table":
            print("\n".join(_plan_lines(answer)))
        else:
            output.documents([answer], form)


def _plan_lines(answer: control_pb2.UpdatePlan) -> Iterator[str]:
    state = f"version {answer.version}" if answer.version else "new"
    yield f"{answer.project}/{answer.pipeline} ({state})"
    yield from (f"  {line}" for line in _fields(answer.fields))
    yield f"  {answer.run:,} of {answer.total:,} datums run, {answer.total - answer.run:,} are skipped"
    for planned in answer.causes:
        examples = ", ".join(planned.examples)
        more = ", …" if planned.datums > len(planned.examples) else ""
        yield f"    {planned.datums:,}: {_CAUSES.get(planned.cause, planned.cause)} ({examples}{more})"
    if answer.removed:
        verb = "is" if answer.removed == 1 else "are"
        yield f"  the output of {output.counted(answer.removed, 'datum')} {verb} removed"
    if answer.run and answer.datum_seconds:
        workers = output.counted(answer.workers, "worker")
        price = f"${output.money(answer.dollars)}" if answer.dollars else "without a price"
        datum = output.span(answer.datum_seconds)
        yield f"  about {output.span(answer.seconds)} with {workers}, {price}; {datum} a datum lately"
    elif answer.run:
        yield "  how long is not known: no datum has run yet"
    if answer.fields and answer.run < answer.total:
        yield "  skipped datums keep the output of earlier versions; --reprocess runs them again"


COMMANDS = {
    "apply": Command(
        apply,
        (
            argument(
                "-f",
                "--file",
                metavar="FOLDER",
                action="append",
                required=True,
                help="folder with specs in JSON or YAML, or one such file; may be repeated",
            ),
            argument(
                "--prune",
                action="store_true",
                help="delete the other pipelines of the projects that the specs name, with their data",
            ),
            argument("--dry-run", action="store_true", help="only show the difference"),
            deletion.YES,
            REPROCESS,
            *SHOWING,
        ),
        examples=(
            ("trunkline apply -f pipelines --dry-run", "show what would be created and changed"),
            ("trunkline apply -f pipelines", "do it, in one transaction"),
        ),
    ),
    "plan": Command(
        plan,
        (
            argument("-f", "--file", metavar="FILE", required=True, help="specs in JSON or YAML"),
            REPROCESS,
            *SHOWING,
        ),
        examples=(
            ("trunkline plan -f count.yaml", "what an update would run again, how long and at what price"),
        ),
    ),
}
