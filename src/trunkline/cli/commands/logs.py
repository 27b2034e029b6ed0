"""Logs of pipelines and jobs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trunkline.cli import output
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import Command, argument
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from trunkline.cli.invocation import Invocation


def logs(invocation: Invocation) -> None:
    """Print log lines, oldest first; with -f, continue with new lines."""
    options = invocation.options
    if not (options.pipeline or options.job or options.master):
        raise UsageError("logs needs --pipeline PIPELINE, --job PIPELINE@ID or --master")
    if (options.datum or options.inputs) and not (options.pipeline or options.job):
        raise UsageError("logs --datum and --inputs need --job PIPELINE@ID or --pipeline PIPELINE")
    request = pps_pb2.GetLogsRequest(follow=options.follow, tail=options.tail, master=options.master)
    request.data_filters.extend(path for text in options.inputs for path in text.split(","))
    if options.pipeline:
        request.pipeline.CopyFrom(invocation.pipeline(options.pipeline))
    if options.job:
        request.job.CopyFrom(invocation.job(options.job))
    if options.datum:
        request.datum.job.CopyFrom(request.job)
        request.datum.id = invocation.datum_id(request.job, options.datum) if options.job else options.datum
    since = invocation.duration("since")
    if since:
        request.since.FromNanoseconds(round(since * 1e9))
    for message in invocation.pps.GetLogs(request):
        if options.worker and message.user:
            continue
        if options.raw:
            output.documents([message], "jsonl")
        else:
            print(_line(message, stamps=options.timestamps))
        if options.follow:
            sys.stdout.flush()


def _line(message: pps_pb2.LogMessage, *, stamps: bool) -> str:
    text = message.message.rstrip("\n")
    return f"{output.stamp(output.seconds(message.ts))}  {text}" if stamps else text


COMMANDS = {
    "logs": Command(
        logs,
        (
            argument("-p", "--pipeline", metavar="PIPELINE", help="lines of all jobs of this pipeline"),
            argument("-j", "--job", metavar="PIPELINE@ID", help="lines of one job"),
            argument("--datum", metavar="ID", help="lines of one datum of the pipeline or job"),
            argument(
                "--inputs",
                metavar="PATH[,PATH]",
                action="append",
                default=[],
                help="lines of datums that have all these input files, as paths or hashes; may be repeated",
            ),
            argument(
                "-f", "--follow", action="store_true", help="continue with new lines as they are written"
            ),
            argument("--since", metavar="DURATION", help="only lines younger than this, such as 10m (24h)"),
            argument("-t", "--tail", type=int, default=0, metavar="N", help="only the last N lines"),
            argument(
                "-m",
                "--master",
                action="store_true",
                help="lines of the server, about the pipeline if one is named",
            ),
            argument(
                "-w",
                "--worker",
                action="store_true",
                help="lines of the workers, without those of the command",
            ),
            argument("--timestamps", action="store_true", help="print the time of each line"),
            argument("--raw", action="store_true", help="print each line as JSON with all its fields"),
        ),
        examples=(
            ("trunkline logs -p count", "what the commands of a pipeline printed"),
            ("trunkline logs -j flaky@ -t 20", "the last lines of a job"),
            ("trunkline logs -j flaky@ --datum dc7cceeb", "of one datum"),
            ("trunkline logs -p count -f", "continue as they are written"),
        ),
    )
}
