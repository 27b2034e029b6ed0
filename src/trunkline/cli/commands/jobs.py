"""Jobs, and the sets of jobs that share an id."""

from __future__ import annotations

from itertools import islice
from time import time
from typing import TYPE_CHECKING

from trunkline.cli import deletion, failed_datums, output
from trunkline.cli.commands.pipelines import job_state, pipeline_name
from trunkline.cli.exit_codes import JobFailed, UsageError
from trunkline.cli.parsing import (
    CHANGING,
    SHOWING,
    TIMEOUT,
    WATCH,
    Command,
    argument,
    history_option,
    limit_option,
)
from trunkline.cli.watch import waiting
from trunkline.rpc.gen import pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

    from trunkline.cli.invocation import Invocation

JOB = argument("job", metavar="PIPELINE@ID", help="the job; PIPELINE@ is the last one")
JOB_OR_ID = argument("job", metavar="PIPELINE@ID|ID", help="a job, or all jobs of one id")
COLUMNS = ("@PROJECT", "PIPELINE", "ID", "STARTED", ">DURATION", ">PROGRESS", "~>DL", "~>UL", "STATE")
_UNSUCCESSFUL = ("failure", "killed", "unrunnable")


def inspect(invocation: Invocation) -> None:
    """Show a job, or all jobs of one id.

    Raises:
        JobFailed: with --wait, the job has failed.
    """
    options = invocation.options
    following: Iterable[pps_pb2.JobInfo] = ()
    if set_id := invocation.set_id(options.job):
        if options.watch:
            following = _watched().jobs(invocation, job_ids=[set_id])
        infos = _job_set(invocation, set_id, wait=options.wait)
        show_jobs(invocation, infos, following)
    else:
        if options.watch:
            following = _watched().job(invocation, invocation.job(options.job))
        infos = [_job(invocation, wait=options.wait)]
        if job_state(infos[0].state) in (*_UNSUCCESSFUL, "success"):
            following = ()

        def fields(info: pps_pb2.JobInfo) -> Sequence[tuple[str, str]]:
            has_ended = job_state(info.state) in (*_UNSUCCESSFUL, "success")
            return [
                *_fields(invocation, info),
                *(() if has_ended else _progress_fields(invocation, info.job)),
                *_failure_fields(invocation, info),
            ]

        output.show_one(invocation, infos[0], fields, job_name(infos[0].job), following)
    if options.wait:
        _raise_unsuccessful(invocation, infos)


def wait(invocation: Invocation) -> None:
    """Wait until a job, or all jobs of one id, have ended.

    Raises:
        JobFailed: a job has failed.
    """
    options = invocation.options
    set_id = invocation.set_id(options.job)
    job = None if set_id else invocation.job(options.job)
    with invocation.waiting(f"job {options.job}"), waiting.for_jobs(invocation, options.job, job, set_id):
        infos = _job_set(invocation, set_id, wait=True) if set_id else [_job(invocation, wait=True)]
    show_jobs(invocation, infos)
    _raise_unsuccessful(invocation, infos)


def _job(invocation: Invocation, *, wait: bool) -> pps_pb2.JobInfo:
    job = invocation.job(invocation.options.job)
    request = pps_pb2.InspectJobRequest(job=job, wait=wait, details=True)
    info: pps_pb2.JobInfo = invocation.pps.InspectJob(request, invocation.timeout)
    return info


def _job_set(invocation: Invocation, id: str, *, wait: bool) -> list[pps_pb2.JobInfo]:
    request = pps_pb2.InspectJobSetRequest(job_set=pps_pb2.JobSet(id=id), wait=wait)
    return list(invocation.pps.InspectJobSet(request, invocation.timeout))


def _raise_unsuccessful(invocation: Invocation, infos: Iterable[pps_pb2.JobInfo]) -> None:
    for info in infos:
        state = job_state(info.state)
        if state in _UNSUCCESSFUL:
            name = job_name(info.job)
            if info.data_failed and (failure := failed_datums.first(invocation, info.job)):
                raise JobFailed(f"job {name} ended in {state}: {failure.sentence}", failure.log)
            hint = f"trunkline logs -j {name}"
            reason = f": {failed_datums.with_short_ids(info.reason)}" if info.reason else ""
            raise JobFailed(f"job {name} ended in {state}{reason}", hint)


def _failure_fields(invocation: Invocation, info: pps_pb2.JobInfo) -> Sequence[tuple[str, str]]:
    """Return what explains the failure of a job: its first failed datum."""
    failure = failed_datums.first(invocation, info.job) if info.data_failed else None
    return (
        [("Failed datum", output.Prose(f"{failure.files}: {failure.reason}")), *failure.fields()]
        if failure
        else []
    )


def _fields(invocation: Invocation, info: pps_pb2.JobInfo) -> Sequence[tuple[str, str]]:
    whole = invocation.options.full_timestamps
    return [
        ("Job", job_name(info.job)),
        ("State", job_state(info.state)),
        ("Reason", output.Prose(failed_datums.with_short_ids(info.reason))),
        ("Pipeline version", str(info.pipeline_version)),
        ("Created", output.when(info.created, whole=whole)),
        ("Started", output.when(info.started, whole=whole)),
        ("Finished", output.when(info.finished, whole=whole)),
        ("Duration", _duration(info)),
        ("Datums", f"{info.data_total:,}"),
        ("Processed", f"{info.data_processed:,}"),
        ("Skipped", f"{info.data_skipped:,}"),
        ("Failed", f"{info.data_failed:,}"),
        ("Recovered", f"{info.data_recovered:,}"),
        (
            "Download",
            f"{output.size(info.stats.download_bytes)} in {output.duration(info.stats.download_time)}",
        ),
        ("Process time", output.duration(info.stats.process_time)),
        ("Upload", f"{output.size(info.stats.upload_bytes)} in {output.duration(info.stats.upload_time)}"),
        ("Restarts", str(info.restart)),
    ]


def _progress_fields(invocation: Invocation, job: pps_pb2.Job) -> Sequence[tuple[str, str]]:
    """Return how far a live job is."""
    from trunkline.rpc.gen import control_pb2

    pipeline = job.pipeline
    request = control_pb2.InspectProgressRequest(
        project=pipeline.project.name, pipeline=pipeline.name, job_id=job.id
    )
    now = invocation.control.InspectProgress(request, invocation.timeout)
    fields = [("Datums now", f"{now.running:,} on {now.workers:,} workers, {now.waiting:,} wait")]
    if now.datums_per_second:
        fields.append(("Rate", f"{now.datums_per_second:.3g} datums/s"))
    if now.median_seconds:
        texts = map(output.span, (now.median_seconds, now.p90_seconds, now.p99_seconds))
        fields.append(("Datum times", "{} median, {} p90, {} p99".format(*texts)))
    if now.HasField("seconds_left"):
        likely, most = output.span(now.seconds_left), output.span(now.seconds_left_p90)
        fields.append(("Time left", f"about {likely}, at most {most} (p90)"))
    for late in now.late:
        paths = output.one_line(", ".join(late.paths), 60)
        what = f"{paths}: runs for {output.span(late.seconds)}, {late.times_median:.0f} times the median"
        fields.append(("Late datum", f"{what} (datum {late.id}, worker {late.worker_id})"))
    return fields


def list_(invocation: Invocation) -> None:
    """List jobs, newest first."""
    options = invocation.options
    id = options.id and (invocation.set_id(options.id) or options.id)
    following = _changed_jobs(invocation, id) if options.watch else ()
    if id:
        show_jobs(invocation, _job_set(invocation, id, wait=False), following)
        return
    request = pps_pb2.ListJobRequest(history=options.history)
    if not options.state:
        request.number = options.number
    if options.pipeline:
        request.pipeline.CopyFrom(invocation.pipeline(options.pipeline))
    elif not options.all_projects:
        request.projects.add(name=invocation.project)
    request.input_commit.extend(map(invocation.commit, options.input))
    infos: Iterator[pps_pb2.JobInfo] = invocation.pps.ListJob(request)
    if options.state:
        selected = (info for info in infos if job_state(info.state) in options.state)
        infos = islice(selected, options.number or None)
    show_jobs(invocation, infos, following)


def _watched() -> ModuleType:
    from trunkline.cli.watch import watched

    return watched


def _changed_jobs(invocation: Invocation, id: str | None) -> Iterator[pps_pb2.JobInfo]:
    """Return an iterator over the jobs that the options of the list select, as they change."""
    options = invocation.options
    if options.input:
        raise UsageError("list job --watch cannot select by --input; leave one of them out")
    projects = [] if options.all_projects or id else [invocation.project]
    pipelines = []
    if options.pipeline:
        pipeline = invocation.pipeline(options.pipeline)
        projects, pipelines = [pipeline.project.name], [pipeline.name]
    infos = _watched().jobs(invocation, projects=projects, pipelines=pipelines, job_ids=[id] if id else [])
    return (info for info in infos if not options.state or job_state(info.state) in options.state)


def show_jobs(
    invocation: Invocation, infos: Iterable[pps_pb2.JobInfo], following: Iterable[pps_pb2.JobInfo] = ()
) -> None:
    """Print jobs in the selected output format.

    Args:
        invocation: the command.
        infos: the jobs.
        following: jobs that are printed as they change.
    """
    whole = invocation.options.full_timestamps

    def row(info: pps_pb2.JobInfo) -> Sequence[str]:
        reason = failed_datums.with_short_ids(info.reason)
        return (
            info.job.pipeline.project.name,
            info.job.pipeline.name,
            output.Id(info.job.id),
            output.when(info.started, whole=whole),
            _duration(info),
            progress(info),
            output.size(info.stats.download_bytes),
            output.size(info.stats.upload_bytes),
            job_state(info.state) + (f": {output.one_line(reason, 200)}" if reason else ""),
        )

    output.show_many(invocation, infos, COLUMNS, row, lambda info: job_name(info.job), following)


def stop(invocation: Invocation) -> None:
    """Stop a job."""
    options = invocation.options
    request = pps_pb2.StopJobRequest(job=invocation.job(options.job), reason=options.reason)
    invocation.pps.StopJob(request)
    invocation.report("stopped", "job", job_name(request.job))


def delete(invocation: Invocation) -> None:
    """Delete a job."""
    job = invocation.job(invocation.options.job)

    def losses() -> list[deletion.Loss]:
        invocation.pps.InspectJob(pps_pb2.InspectJobRequest(job=job))
        return [deletion.Loss("job", job_name(job))]

    if not deletion.is_wanted(invocation, losses):
        return
    invocation.pps.DeleteJob(pps_pb2.DeleteJobRequest(job=job))
    invocation.report("deleted", "job", job_name(job))


def job_name(job: pps_pb2.Job) -> str:
    """Return the name of a job as in references."""
    return f"{pipeline_name(job.pipeline)}@{job.id}"


def progress(info: pps_pb2.JobInfo) -> str:
    """Return the counters of a job's datums: ``3 + 10 / 13`` is processed, skipped, total."""
    others = f" + {info.data_failed} failed" if info.data_failed else ""
    recovered = f" + {info.data_recovered} recovered" if info.data_recovered else ""
    return f"{info.data_processed} + {info.data_skipped}{recovered}{others} / {info.data_total}"


def _duration(info: pps_pb2.JobInfo) -> str:
    if not info.HasField("started"):
        return "-"
    end = output.seconds(info.finished) if info.HasField("finished") else time()
    return output.span(max(end - output.seconds(info.started), 0))


COMMANDS = {
    "inspect job": Command(
        inspect,
        (
            JOB_OR_ID,
            argument("--wait", action="store_true", help="wait until it has ended"),
            WATCH,
            TIMEOUT,
            *SHOWING,
        ),
        examples=(
            ("trunkline inspect job count@", "show the last job of a pipeline, with what failed"),
            ("trunkline inspect job ff3b455be0da", "all jobs of one change"),
        ),
    ),
    "wait job": Command(
        wait,
        (JOB_OR_ID, TIMEOUT, *SHOWING),
        examples=(
            ("trunkline wait job count@", "wait for the last job of a pipeline"),
            ("trunkline wait job ff3b455be0da --timeout 5m", "for all jobs of one change"),
        ),
    ),
    "list job": Command(
        list_,
        (
            argument("id", metavar="ID", nargs="?", help="only jobs of this id"),
            argument("-p", "--pipeline", metavar="PIPELINE", help="only jobs of this pipeline"),
            argument(
                "-i",
                "--input",
                metavar="REPO@ID",
                action="append",
                default=[],
                help="only jobs with this input commit; may be repeated",
            ),
            argument(
                "--state",
                action="append",
                choices=(
                    "created",
                    "starting",
                    "running",
                    "egressing",
                    "finishing",
                    "success",
                    "failure",
                    "killed",
                    "unrunnable",
                ),
                metavar="STATE",
                help="only jobs in this state: created, starting, running, egressing, finishing, success, failure,"
                " killed or unrunnable; may be repeated",
            ),
            history_option("jobs of N older versions of the pipelines"),
            limit_option("jobs"),
            argument("-A", "--all-projects", action="store_true", help="of all projects"),
            WATCH,
            TIMEOUT,
            *SHOWING,
        ),
        examples=(
            ("trunkline list job", "show the jobs of the project in use"),
            ("trunkline list job -p count -n 5", "the last five of a pipeline"),
            ("trunkline list job --state failure -o name", "references of failed jobs, for scripts"),
        ),
    ),
    "stop job": Command(
        stop,
        (JOB, argument("--reason", default="", help="reason to record"), *CHANGING),
        examples=(
            ("trunkline stop job count@", "stop the last job of a pipeline"),
            ('trunkline stop job count@ --reason "wrong input"', "with a reason to record"),
        ),
    ),
    "delete job": Command(
        delete,
        (JOB, deletion.DRY_RUN, *CHANGING),
        examples=(("trunkline delete job old-count@", "delete the last job of a pipeline from the list"),),
    ),
}
