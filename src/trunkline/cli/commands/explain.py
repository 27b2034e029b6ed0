"""Explanations: why datums ran, where the time of jobs went, and why pipelines wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli import failed_datums, output
from trunkline.cli.commands.jobs import JOB
from trunkline.cli.parsing import SHOWING, Command, argument, limit_option
from trunkline.rpc.gen import control_pb2, explain_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.cli.invocation import Invocation

PHASES = ("PHASE", "BEGAN", ">LASTED", "WHY")
CAUSES = ("CAUSE", "WHY")
LINEAGE = (">STEP", "JOB", "DATUM", "FROM", "MADE")
_LONGEST_INPUTS, _LONGEST_OUTPUTS = 28, 16  # characters in a table, which has 80 columns
DECISIONS = ("WHEN", ">WORKERS", "WHY")


def datum(invocation: Invocation) -> None:
    """Explain why a datum of a job ran, or was skipped."""
    options = invocation.options
    job = invocation.job(options.job)
    request = explain_pb2.ExplainDatumRequest(
        project=job.pipeline.project.name,
        pipeline=job.pipeline.name,
        job_id=job.id,
        datum_id=invocation.datum_id(job, options.datum),
    )
    explanation = invocation.explain.ExplainDatum(request)

    def fields(message: explain_pb2.DatumExplanation) -> Sequence[tuple[str, str]]:
        return [
            ("Datum", message.datum_id),
            ("State", message.state),
            ("Cause", _word(explain_pb2.DatumExplanation.Cause.Name(message.cause))),
            ("Why", output.Prose(message.sentence)),
            ("Compared with", message.base_job_id),
            *(("Changed", _change(change)) for change in message.changes),
            ("Reason", output.Prose(failed_datums.with_short_ids(message.reason))),
            ("Processor time", output.span(message.cpu_seconds) if message.cpu_seconds else ""),
            ("Peak memory", output.size(message.peak_memory_bytes) if message.peak_memory_bytes else ""),
            ("Read, written", f"{output.size(message.download_bytes)}, {output.size(message.upload_bytes)}"),
        ]

    output.show_one(invocation, explanation, fields, explanation.datum_id)


def _change(change: explain_pb2.ItemChange) -> str:
    sizes = f"{output.size(change.old_size)} -> {output.size(change.new_size)}"
    return f"{change.input}:{change.path} ({sizes}, {change.old_hash.hex()[:12]} -> {change.new_hash.hex()[:12]})"


def job(invocation: Invocation) -> None:
    """Print the phases of a job."""
    options = invocation.options
    named = invocation.job(options.job)
    request = explain_pb2.ExplainJobRequest(
        project=named.pipeline.project.name, pipeline=named.pipeline.name, job_id=named.id
    )
    explanation = invocation.explain.ExplainJob(request)
    form = output.form_of(invocation)
    if form != "table":
        output.show_one(invocation, explanation, lambda _: [], explanation.job_id)
        return

    def row(phase: explain_pb2.Phase) -> Sequence[str]:
        began = output.when(phase.begin, whole=options.full_timestamps)
        lasts = "" if phase.HasField("end") else " so far"
        name = _word(explain_pb2.Phase.Kind.Name(phase.kind))
        return name, began, output.span(phase.seconds) + lasts, output.Prose(phase.sentence)

    output.table(PHASES, map(row, explanation.phases))
    reason = failed_datums.with_short_ids(explanation.reason)
    print("\n".join(output.lines_of(f"{explanation.state}: {reason}" if reason else explanation.state)))


def pipeline(invocation: Invocation) -> None:
    """Print what a pipeline does or waits for, and its scaling decisions, newest first."""
    options = invocation.options
    named = invocation.pipeline(options.name)
    state = invocation.explain.ExplainState(
        explain_pb2.ExplainStateRequest(project=named.project.name, pipeline=named.name)
    )
    request = control_pb2.ExplainPipelineRequest(
        project=named.project.name, pipeline=named.name, number=options.number
    )
    decisions = invocation.control.ExplainPipeline(request)
    form = output.form_of(invocation)
    if form == "name":
        for cause in state.causes:
            print(cause.sentence)
    elif form != "table":
        output.documents([state, *decisions], form)
    else:
        causes = [
            (_word(explain_pb2.StateCause.Kind.Name(each.kind)), output.Prose(each.sentence))
            for each in state.causes
        ]
        output.table(CAUSES, causes)
        print()

        def row(decision: control_pb2.Decision) -> Sequence[str]:
            at = output.when(decision.at, whole=options.full_timestamps)
            return at, str(decision.target), output.Prose(decision.sentence)

        output.table(DECISIONS, map(row, decisions))


def file(invocation: Invocation) -> None:
    """Print the datums that a file was made by, or that were made from it, nearest first."""
    options = invocation.options
    message, _ = invocation.file(options.file)
    request = explain_pb2.ExplainFileRequest(file=message, forward=options.forward, number=options.number)

    is_table = output.form_of(invocation) == "table"

    def row(step: explain_pb2.LineageStep) -> Sequence[str]:
        if step.incomplete:
            return "", "", "", "", output.Prose("not complete: " + step.incomplete)
        own = step.pipeline if step.project == invocation.project else f"{step.project}/{step.pipeline}"
        inputs = ", ".join(
            f"{place.repo.removeprefix(f'{invocation.project}/')}@{place.commit_id[:8]}:{place.path}"
            for place in step.inputs
        )
        # They are in the output commit of the job, which the table shows already.
        outputs = ", ".join(place.path for place in step.outputs)
        if is_table:
            inputs, outputs = (
                output.one_line(inputs, _LONGEST_INPUTS),
                output.one_line(outputs, _LONGEST_OUTPUTS),
            )
        return str(step.depth), f"{own}@{step.job_id[:8]}", step.datum_id[:8], inputs, outputs

    steps = invocation.explain.ExplainFile(request)
    output.show_many(invocation, steps, LINEAGE, row, lambda step: step.datum_id)


def recommend(invocation: Invocation) -> None:
    """Print which resources a pipeline should request."""
    named = invocation.pipeline(invocation.options.name)
    advice = invocation.explain.Recommend(
        explain_pb2.RecommendRequest(project=named.project.name, pipeline=named.name)
    )
    if output.form_of(invocation) != "table":
        output.show_one(invocation, advice, lambda _: [], f"{advice.project}/{advice.pipeline}")
        return
    rows = [(each.field, each.current or "-", each.proposed) for each in advice.proposals]
    output.table(("FIELD", ">NOW", ">PROPOSED"), rows)
    print()
    used = [("CPUs", *(f"{value:.2f}" for value in _quantiles(advice.cpus)))]
    for label, quantiles in (
        ("memory", advice.memory_bytes), ("read", advice.download_bytes), ("written", advice.upload_bytes),
    ):  # fmt: skip
        used.append((label, *(output.size(round(value)) for value in _quantiles(quantiles))))
    output.table(("USED BY A DATUM", ">MEDIAN", ">95 %", ">LARGEST"), used)
    invocation.note(f"from {advice.sample:,} datums of job {advice.job_id}")


def _quantiles(quantiles: explain_pb2.Quantiles) -> tuple[float, float, float]:
    return quantiles.median, quantiles.high, quantiles.largest


def _word(name: str) -> str:
    """Return the name of an enum value as words."""
    return name.lower().replace("_", " ")


COMMANDS = {
    "explain datum": Command(
        datum,
        (JOB, argument("datum", metavar="DATUM", help="id of the datum; its first digits suffice"), *SHOWING),
        examples=(("trunkline explain datum count@ dc7cceeb", "why a datum ran, or was skipped"),),
    ),
    "explain file": Command(
        file,
        (
            argument("file", metavar="FILE", help="a file or folder: REPO@COMMIT:/PATH"),
            argument(
                "--forward",
                action="store_true",
                help="what was made from it, instead of what it was made from",
            ),
            limit_option("datums (1,000)"),
            *SHOWING,
        ),
        examples=(
            ("trunkline explain file count@master:/hamlet.txt", "what a file was made from"),
            ("trunkline explain file texts@master:/hamlet.txt --forward", "what was made from it"),
        ),
    ),
    "explain job": Command(
        job,
        (JOB, *SHOWING),
        examples=(("trunkline explain job count@", "what the last job waited for and did"),),
    ),
    "recommend": Command(
        recommend,
        (argument("name", metavar="PIPELINE", help="pipeline, or project/pipeline"), *SHOWING),
        examples=(("trunkline recommend count", "resource requests, from what its datums used"),),
    ),
    "explain pipeline": Command(
        pipeline,
        (
            argument("name", metavar="PIPELINE", help="pipeline, or project/pipeline"),
            limit_option("decisions (20)"),
            *SHOWING,
        ),
        examples=(
            ("trunkline explain pipeline count", "what it does or waits for, and recent scaling decisions"),
        ),
    ),
}
