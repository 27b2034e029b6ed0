"""Reads again what events name: jobs, pipelines, commits and workers, for ``--watch``.

Each function notes the place in the log of events before it returns, so a command calls it before it reads what it
prints first: nothing is missed in between. What did not change is not yielded again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trunkline.cli.watch import watching
from trunkline.errors import NotFound
from trunkline.model.names import PipelineName
from trunkline.model.states import TERMINAL_JOB_STATES
from trunkline.rpc.gen import control_pb2, pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message

    from trunkline.cli.invocation import Invocation

M = TypeVar("M", bound="Message")


def jobs(
    invocation: Invocation,
    *,
    projects: Sequence[str] = (),
    pipelines: Sequence[str] = (),
    job_ids: Sequence[str] = (),
    details: bool = False,
) -> Iterator[pps_pb2.JobInfo]:
    """Yield each job when it has changed.

    Args:
        invocation: the command.
        projects: whose jobs; empty: all.
        pipelines: whose jobs; empty: all.
        job_ids: of the jobs; empty: all.
        details: yield jobs with their specs and statistics.
    """

    def read(project: str, name: str, id: str) -> pps_pb2.JobInfo:
        job = pps_pb2.Job(pipeline=invocation.pipeline_message(PipelineName(project, name)), id=id)
        info: pps_pb2.JobInfo = invocation.pps.InspectJob(pps_pb2.InspectJobRequest(job=job, details=details))
        return info

    request = control_pb2.WatchEventsRequest(
        kinds=["job", "datum"], projects=projects, pipelines=pipelines, job_ids=job_ids
    )
    return _again(invocation, request, ("project", "pipeline", "job"), read)


def job(invocation: Invocation, named: pps_pb2.Job) -> Iterator[pps_pb2.JobInfo]:
    """Yield a job when it has changed, until it has ended.

    Args:
        invocation: the command.
        named: the job.
    """
    pipeline = named.pipeline
    following = jobs(
        invocation,
        projects=[pipeline.project.name],
        pipelines=[pipeline.name],
        job_ids=[named.id],
        details=True,
    )
    ended = {pps_pb2.JobState.Value(f"JOB_{state}") for state in TERMINAL_JOB_STATES}
    return _until(following, lambda info: info.state in ended)


def pipelines(
    invocation: Invocation, *, projects: Sequence[str] = (), names: Sequence[str] = ()
) -> Iterator[pps_pb2.PipelineInfo]:
    """Yield each pipeline when it, its last job or the number of its workers has changed.

    Args:
        invocation: the command.
        projects: whose pipelines; empty: all.
        names: of the pipelines; empty: all.
    """

    def read(project: str, name: str) -> pps_pb2.PipelineInfo:
        request = pps_pb2.InspectPipelineRequest(
            pipeline=invocation.pipeline_message(PipelineName(project, name)), details=True
        )
        info: pps_pb2.PipelineInfo = invocation.pps.InspectPipeline(request)
        return info

    request = control_pb2.WatchEventsRequest(
        kinds=["pipeline", "job", "worker"], projects=projects, pipelines=names
    )
    return _again(invocation, request, ("project", "pipeline"), read)


def commits(
    invocation: Invocation, *, repo: pfs_pb2.Repo | None = None, id: str = ""
) -> Iterator[pfs_pb2.CommitInfo]:
    """Yield each commit when it has changed.

    Args:
        invocation: the command.
        repo: whose commits; None: of all.
        id: of the commits; empty: all.
    """

    def read(project: str, name: str, type: str, id: str) -> pfs_pb2.CommitInfo | None:
        if repo is not None and type != (repo.type or "user"):
            return None
        named = pfs_pb2.Repo(name=name, type=type, project=pfs_pb2.Project(name=project))
        request = pfs_pb2.InspectCommitRequest(commit=pfs_pb2.Commit(repo=named, id=id))
        info: pfs_pb2.CommitInfo = invocation.pfs.InspectCommit(request)
        return info

    request = control_pb2.WatchEventsRequest(kinds=["commit"], job_ids=[id] if id else [])
    if repo is not None:
        request.projects.append(repo.project.name)
        request.repos.append(repo.name)
    return _again(invocation, request, ("project", "repo", "type", "commit"), read)


def commit(invocation: Invocation, named: pfs_pb2.Commit) -> Iterator[pfs_pb2.CommitInfo]:
    """Yield a commit when it has changed, until it is finished.

    Args:
        invocation: the command.
        named: the commit.
    """
    return _until(commits(invocation, repo=named.repo, id=named.id), lambda info: info.HasField("finished"))


def workers(
    invocation: Invocation, *, projects: Sequence[str] = (), names: Sequence[str] = ()
) -> Iterator[control_pb2.WorkerInfo]:
    """Yield each worker when its state has changed; one that ended has the state ``gone``.

    Args:
        invocation: the command.
        projects: whose workers; empty: all.
        names: of the pipelines; empty: all.
    """
    live: dict[tuple[str, str], dict[str, control_pb2.WorkerInfo]] = {}

    def read(project: str, pipeline: str, id: str, state: str) -> control_pb2.WorkerInfo:
        if (project, pipeline) not in live:
            request = control_pb2.ListWorkerRequest(project=project, pipeline=pipeline)
            live[project, pipeline] = {each.id: each for each in invocation.control.ListWorker(request)}
        ended = control_pb2.WorkerInfo(id=id, project=project, pipeline=pipeline, state=state.lower())
        return live[project, pipeline].get(id, ended)

    request = control_pb2.WatchEventsRequest(kinds=["worker"], projects=projects, pipelines=names)
    return _again(invocation, request, ("project", "pipeline", "worker", "state"), read, live.clear)


def _again(
    invocation: Invocation,
    request: control_pb2.WatchEventsRequest,
    fields: tuple[str, ...],
    read: Callable[..., M | None],
    forget: Callable[[], None] = lambda: None,
) -> Iterator[M]:
    """Return an iterator over what events name, read once for each batch; a note names what was deleted.

    Args:
        invocation: the command.
        request: what to watch.
        fields: of an event, that together name a thing.
        read: takes their values and returns the thing as it is now; None when it is of no interest.
        forget: called before the things of a batch are read: what ``read`` keeps is old then.
    """
    request.after = watching.position(invocation)

    def following() -> Iterator[M]:
        last: dict[tuple[str, ...], bytes] = {}
        for batch in watching.changes(invocation, request):
            forget()
            for thing in dict.fromkeys(tuple(str(event[field]) for field in fields) for event in batch):
                try:
                    current = read(*thing)
                except NotFound:
                    invocation.note(f"{' '.join(thing)} was deleted")
                    continue
                if current is None:
                    continue
                state = current.SerializeToString(deterministic=True)
                if last.get(thing) != state:
                    last[thing] = state
                    yield current

    return following()


def _until(infos: Iterator[M], ended: Callable[[M], bool]) -> Iterator[M]:
    for info in infos:
        yield info
        if ended(info):
            return
