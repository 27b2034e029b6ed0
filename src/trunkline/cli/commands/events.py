"""Prints what changes on the server."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.parsing import Command, argument
from trunkline.errors import Aborted
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from typing import Any

    from trunkline.cli.invocation import Invocation

#: Fields that a line shows otherwise, or not at all.
_APART = frozenset(
    [
        "kind",
        "at",
        "project",
        "repo",
        "pipeline",
        "commit",
        "job",
        "created",
        "started",
        "finished",
        "origin",
        "stopped",
        "restart",
        "datums",
        "more",
    ]
)


def events(invocation: Invocation) -> None:
    """Print what has changed, oldest first; with -f, continue with what changes."""
    options = invocation.options
    request = control_pb2.WatchEventsRequest(
        kinds=options.kind,
        projects=[] if options.all_projects else [invocation.project],
        repos=options.repo,
        pipelines=options.pipeline,
        job_ids=options.job,
        after=options.after or "",
        stored_only=not options.follow,
    )
    since = invocation.duration("since")
    if since:
        request.since.FromNanoseconds(round((time.time() - since) * 1e9))
    elif not request.after and not options.follow:
        request.after = "0"
    for event in invocation.control.WatchEvents(request):
        fields = json.loads(event.json)
        if event.kind == "reset":
            raise Aborted(
                f"events after {request.after} are not stored any more ({fields['reason']}); leave --after out"
            )
        print(json.dumps({"id": event.id, **fields}) if options.raw else _line(fields))
        if options.follow:
            sys.stdout.flush()


def _line(fields: dict[str, Any]) -> str:
    """Return an event as a line: its time, kind, object and the most important of the rest."""
    name = f"{fields['project']}/{fields.get('repo') or fields['pipeline']}"
    if "commit" in fields or "job" in fields:
        name += f"@{fields.get('commit') or fields['job']}"
    words = [
        f"{key}={value}" for key, value in fields.items() if key not in _APART and value not in ("", None)
    ]
    return "  ".join((output.stamp(fields["at"]), f"{fields['kind']:8}", name, *words))


COMMANDS = {
    "events": Command(
        events,
        (
            argument(
                "--kind",
                action="append",
                default=[],
                metavar="KIND",
                help="only repo, commit, pipeline, job, datum, worker or decision; may be repeated",
            ),
            argument(
                "--repo", action="append", default=[], metavar="NAME", help="only this repo and its commits"
            ),
            argument(
                "-p", "--pipeline", action="append", default=[], metavar="NAME", help="only this pipeline"
            ),
            argument(
                "-j",
                "--job",
                action="append",
                default=[],
                metavar="ID",
                help="only jobs and commits of this id",
            ),
            argument("-A", "--all-projects", action="store_true", help="of all projects"),
            argument(
                "-f",
                "--follow",
                action="store_true",
                help="continue with what changes; without --since or --after, from now on",
            ),
            argument("--since", metavar="DURATION", help="only what is younger than this, such as 10m"),
            argument("--after", metavar="ID", help="only what came after the event with this id"),
            argument("--raw", action="store_true", help="print each event as JSON, with its id"),
        ),
        examples=(
            ("trunkline events --since 10m", "what changed in the last ten minutes"),
            ("trunkline events -f --kind job --raw", "jobs as they change, as JSON"),
        ),
    )
}
