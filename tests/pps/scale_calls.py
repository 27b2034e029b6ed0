"""A call of each RPC that reads, and of each read of the controller, on the store of ``long_history``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import long_history
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from long_history import ARCHIVE, BUSY, IMAGES, set_id

from trunkline import errors
from trunkline.meta import bills, jobs, pipelines, repos, retention, workers, write_sessions
from trunkline.meta import claims as claim_rows
from trunkline.pps import gauges
from trunkline.pps import retention as retention_service
from trunkline.pps.queries import costs
from trunkline.pps.workers import claims, standing
from trunkline.rpc.call import Call
from trunkline.rpc.gen import (
    console_pb2,
    control_pb2,
    explain_pb2,
    pfs_pb2,
    pps_pb2,
    taskapi_pb2,
    worker_api_pb2,
)
from trunkline.rpc.methods import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pps_world import PpsWorld

#: RPCs of the four services that are served and only write, or whose cost is that of files and not of rows; the stream
#: of events has tests of its own.
WRITES = {
    "pfs_v2.API": (
        "AddFileSet ClearCommit ComposeFileSet CreateBranch CreateFileSet CreateProject CreateRepo DeleteAll"
        " DeleteBranch DeleteProject DeleteRepo DeleteRepos DropCommit DropCommitSet Egress FinishCommit ForgetCommit"
        " Fsck ModifyFile RenewFileSet SquashCommit SquashCommitSet StartCommit"
    ),
    "pps_v2.API": (
        "CreateDatum CreatePipeline CreatePipelineV2 CreateSecret DeleteAll DeleteJob DeletePipeline DeletePipelines"
        " DeleteSecret RenderTemplate RerunPipeline RunCron RunLoadTest RunLoadTestDefault RestartDatum"
        " SetClusterDefaults SetProjectDefaults StartPipeline StopJob StopPipeline UpdateJobState"
    ),
    "trunkline.control.v1.Control": "Apply CheckSpec CreateImage DeleteImage PlanUpdate WatchEvents",
    "trunkline.explain.v1.Explain": "",
    "trunkline.console.v1.Console": "",
    "trunkline.worker.v1.Worker": "Complete EndProgram Fetch Log Offer",
}


def served_rpcs(world: PpsWorld) -> set[str]:
    """Return the RPCs that are served, as ``service/name``."""
    return {
        f"{service}/{method.name}"
        for service, servicer in _servicers(world).items()
        for method in SERVICES[service].methods
        if hasattr(servicer, method.name)
    }


def _servicers(world: PpsWorld) -> Mapping[str, Any]:
    """Return the servicers of the services with costs to bound."""
    servicers = world.servicers(_NoSecrets())
    return {name: servicers[name] for name in WRITES}


class _NoSecrets:
    """A place for secrets that has none but one."""

    def list(self) -> list[Any]:
        return []

    def inspect(self, _name: str) -> tuple[str, float, list[str]]:
        return "Opaque", 0.0, []


def call(world: PpsWorld, rpc: str, request: Any, answers: int = 1) -> list[Any]:
    """Call an RPC as the transport does; take so many answers of a stream."""
    service, _, name = rpc.partition("/")
    method = getattr(_servicers(world)[service], name)
    metadata = [("worker-id", long_history.WORKER), ("worker-token", long_history.TOKEN)]

    async def run() -> list[Any]:
        result = method(request, Call(rpc, metadata=metadata))
        if not hasattr(result, "__aiter__"):
            return [await result]
        durations = []
        async with aclosing(result) as stream:
            async for answer in stream:
                durations.append(answer)
                if len(durations) == answers:
                    break
        return durations

    return world.on_loop(asyncio.wait_for(run(), 60))


_TREE = console_pb2.Tree(repo=IMAGES, ref="master")


def _repo(name: str, kind: str = "user") -> pfs_pb2.Repo:
    return pfs_pb2.Repo(name=name, type=kind, project=pfs_pb2.Project(name="default"))


def _branch(name: str) -> pfs_pb2.Branch:
    return pfs_pb2.Branch(repo=_repo(name), name="master")


def _commit(name: str, at: str = "") -> pfs_pb2.Commit:
    return pfs_pb2.Commit(repo=_repo(name), branch=_branch(name), id=at)


def _pipeline(name: str = BUSY) -> pps_pb2.Pipeline:
    return pps_pb2.Pipeline(name=name, project=pfs_pb2.Project(name="default"))


def _job(at: str) -> pps_pb2.Job:
    return pps_pb2.Job(pipeline=_pipeline(), id=at)


_NEW = pfs_pb2.File(commit=_commit(IMAGES), path="/new")
_ROOT = pfs_pb2.File(commit=_commit(IMAGES), path="/")
_LAST = long_history.diamonds(0)[-1]
_PICK_BRANCH = pfs_pb2.BranchPicker(
    name=pfs_pb2.BranchPicker.BranchName(
        repo=pfs_pb2.RepoPicker(
            name=pfs_pb2.RepoPicker.RepoName(project=pfs_pb2.ProjectPicker(name="default"), name=_LAST, type="user")
        ),
        name="master",
    )
)  # fmt: skip
_PICK_COMMIT = pfs_pb2.CommitPicker(branch_head=_PICK_BRANCH)
_EARLY = Timestamp(seconds=10)

#: A request of each RPC that reads, by the RPC; several with a word after its name.
READS: dict[str, Callable[[], Any]] = {
    "pfs_v2.API/InspectProject": lambda: pfs_pb2.InspectProjectRequest(
        project=pfs_pb2.Project(name="default")
    ),
    "pfs_v2.API/InspectProjectV2": lambda: pfs_pb2.InspectProjectV2Request(
        project=pfs_pb2.Project(name="default")
    ),
    "pfs_v2.API/ListProject": pfs_pb2.ListProjectRequest,
    "pfs_v2.API/InspectRepo": lambda: pfs_pb2.InspectRepoRequest(repo=_repo(BUSY)),
    "pfs_v2.API/ListRepo": pfs_pb2.ListRepoRequest,
    "pfs_v2.API/ReposSummary": lambda: pfs_pb2.ReposSummaryRequest(
        projects=[pfs_pb2.ProjectPicker(name="default")]
    ),
    "pfs_v2.API/InspectBranch": lambda: pfs_pb2.InspectBranchRequest(branch=_branch(_LAST)),
    "pfs_v2.API/ListBranch": lambda: pfs_pb2.ListBranchRequest(repo=_repo(BUSY)),
    "pfs_v2.API/ListBranch of a project": lambda: pfs_pb2.ListBranchRequest(repo=_repo("")),
    "pfs_v2.API/WalkBranchProvenance": lambda: pfs_pb2.WalkBranchProvenanceRequest(start=[_PICK_BRANCH]),
    "pfs_v2.API/WalkBranchSubvenance": lambda: pfs_pb2.WalkBranchSubvenanceRequest(start=[_PICK_BRANCH]),
    "pfs_v2.API/InspectCommit": lambda: pfs_pb2.InspectCommitRequest(commit=_commit(BUSY)),
    "pfs_v2.API/InspectCommit of an ancestor": lambda: pfs_pb2.InspectCommitRequest(
        commit=_commit(BUSY, set_id(15) + "^5")
    ),
    "pfs_v2.API/ListCommit": lambda: pfs_pb2.ListCommitRequest(repo=_repo(BUSY)),
    "pfs_v2.API/ListCommit of a project": lambda: pfs_pb2.ListCommitRequest(repo=_repo("")),
    "pfs_v2.API/ListCommit oldest first": lambda: pfs_pb2.ListCommitRequest(repo=_repo(BUSY), reverse=True),
    "pfs_v2.API/ListCommit before a time": lambda: pfs_pb2.ListCommitRequest(
        repo=_repo(BUSY), started_time=_EARLY
    ),
    "pfs_v2.API/ListCommit to": lambda: pfs_pb2.ListCommitRequest(
        repo=_repo(BUSY), to=_commit(BUSY, set_id(15)), **{"from": _commit(BUSY, set_id(5))}
    ),
    "pfs_v2.API/SubscribeCommit": lambda: pfs_pb2.SubscribeCommitRequest(
        repo=_repo(BUSY), branch="master", state=pfs_pb2.FINISHED
    ),
    "pfs_v2.API/FindCommits": lambda: pfs_pb2.FindCommitsRequest(
        start=_commit(ARCHIVE), file_path="/a", limit=20
    ),
    "pfs_v2.API/WalkCommitProvenance": lambda: pfs_pb2.WalkCommitProvenanceRequest(start=[_PICK_COMMIT]),
    "pfs_v2.API/WalkCommitSubvenance": lambda: pfs_pb2.WalkCommitSubvenanceRequest(start=[_PICK_COMMIT]),
    "pfs_v2.API/InspectCommitSet": lambda: pfs_pb2.InspectCommitSetRequest(
        commit_set=pfs_pb2.CommitSet(id=set_id(15))
    ),
    "pfs_v2.API/ListCommitSet": lambda: pfs_pb2.ListCommitSetRequest(project=pfs_pb2.Project(name="default")),
    "pfs_v2.API/GetFile": lambda: pfs_pb2.GetFileRequest(file=_NEW),
    "pfs_v2.API/GetFileTAR": lambda: pfs_pb2.GetFileRequest(file=_NEW),
    "pfs_v2.API/InspectFile": lambda: pfs_pb2.InspectFileRequest(file=_NEW),
    "pfs_v2.API/ListFile": lambda: pfs_pb2.ListFileRequest(file=_ROOT),
    "pfs_v2.API/WalkFile": lambda: pfs_pb2.WalkFileRequest(file=_ROOT),
    "pfs_v2.API/GlobFile": lambda: pfs_pb2.GlobFileRequest(commit=_commit(IMAGES), pattern="/*"),
    "pfs_v2.API/DiffFile": lambda: pfs_pb2.DiffFileRequest(new_file=_ROOT),
    "pfs_v2.API/GetFileSet": lambda: pfs_pb2.GetFileSetRequest(commit=_commit(IMAGES)),
    "pps_v2.API/InspectJob": lambda: pps_pb2.InspectJobRequest(job=_job(set_id(15)), details=True),
    "pps_v2.API/InspectJobSet": lambda: pps_pb2.InspectJobSetRequest(
        job_set=pps_pb2.JobSet(id=set_id(15)), details=True
    ),
    "pps_v2.API/ListJob": lambda: pps_pb2.ListJobRequest(details=True),
    "pps_v2.API/ListJob of a pipeline": lambda: pps_pb2.ListJobRequest(pipeline=_pipeline(), history=-1),
    "pps_v2.API/ListJob of a project": lambda: pps_pb2.ListJobRequest(
        projects=[pfs_pb2.Project(name="default")]
    ),
    "pps_v2.API/ListJob of an input": lambda: pps_pb2.ListJobRequest(
        input_commit=[_commit(IMAGES, set_id(15))]
    ),
    "pps_v2.API/ListJob before a time": lambda: pps_pb2.ListJobRequest(pagination_marker=_EARLY),
    "pps_v2.API/ListJob oldest first": lambda: pps_pb2.ListJobRequest(reverse=True),
    "pps_v2.API/ListJobSet": lambda: pps_pb2.ListJobSetRequest(details=True),
    "pps_v2.API/SubscribeJob": lambda: pps_pb2.SubscribeJobRequest(pipeline=_pipeline(), details=True),
    "pps_v2.API/InspectDatum": lambda: pps_pb2.InspectDatumRequest(
        datum=pps_pb2.Datum(job=_job(set_id(15)), id="0" * 64)
    ),
    "pps_v2.API/ListDatum": lambda: pps_pb2.ListDatumRequest(job=_job(set_id(15))),
    "pps_v2.API/CheckStatus": pps_pb2.CheckStatusRequest,
    "pps_v2.API/GetClusterDefaults": pps_pb2.GetClusterDefaultsRequest,
    "pps_v2.API/GetProjectDefaults": lambda: pps_pb2.GetProjectDefaultsRequest(
        project=pfs_pb2.Project(name="default")
    ),
    "pps_v2.API/ListTask": taskapi_pb2.ListTaskRequest,
    "pps_v2.API/InspectPipeline": lambda: pps_pb2.InspectPipelineRequest(pipeline=_pipeline(), details=True),
    "pps_v2.API/ListPipeline": lambda: pps_pb2.ListPipelineRequest(history=-1, details=True),
    "pps_v2.API/PipelinesSummary": pps_pb2.PipelinesSummaryRequest,
    "pps_v2.API/GetLogs": lambda: pps_pb2.GetLogsRequest(pipeline=_pipeline()),
    "pps_v2.API/GetLogs of a job": lambda: pps_pb2.GetLogsRequest(job=_job(set_id(15))),
    "pps_v2.API/GetLogs at the end": lambda: pps_pb2.GetLogsRequest(pipeline=_pipeline(), tail=5),
    "pps_v2.API/QueryLoki": lambda: pps_pb2.LokiRequest(query='{suite="pachyderm"}'),
    "pps_v2.API/GetKubeEvents": lambda: pps_pb2.LokiRequest(query='{app="pachyderm-kube-event-tail"}'),
    "pps_v2.API/InspectSecret": lambda: pps_pb2.InspectSecretRequest(secret=pps_pb2.Secret(name="key")),
    "pps_v2.API/ListSecret": Empty,
    "trunkline.control.v1.Control/ListWorker": control_pb2.ListWorkerRequest,
    "trunkline.control.v1.Control/ListMachine": control_pb2.ListMachineRequest,
    "trunkline.control.v1.Control/ListCost": lambda: control_pb2.ListCostRequest(pipeline=BUSY),
    "trunkline.control.v1.Control/ListCost of a job": lambda: control_pb2.ListCostRequest(job_id=set_id(15)),
    "trunkline.control.v1.Control/ExplainPipeline": lambda: control_pb2.ExplainPipelineRequest(pipeline=BUSY),
    "trunkline.explain.v1.Explain/ExplainDatum": lambda: explain_pb2.ExplainDatumRequest(
        pipeline=BUSY, job_id=set_id(15), datum_id="0" * 64
    ),
    "trunkline.explain.v1.Explain/ExplainJob": lambda: explain_pb2.ExplainJobRequest(
        pipeline=BUSY, job_id=set_id(15)
    ),
    "trunkline.explain.v1.Explain/ExplainFile": lambda: explain_pb2.ExplainFileRequest(file=_NEW),
    "trunkline.explain.v1.Explain/Recommend": lambda: explain_pb2.RecommendRequest(pipeline=BUSY),
    "trunkline.explain.v1.Explain/ExplainState": lambda: explain_pb2.ExplainStateRequest(pipeline=BUSY),
    "trunkline.control.v1.Control/ListImage": control_pb2.ListImageRequest,
    "trunkline.control.v1.Control/InspectProgress": lambda: control_pb2.InspectProgressRequest(
        pipeline=BUSY, job_id=set_id(15)
    ),
    "trunkline.control.v1.Control/InspectStorage": control_pb2.InspectStorageRequest,
    "trunkline.console.v1.Console/InspectServer": console_pb2.InspectServerRequest,
    "trunkline.console.v1.Console/InspectGraph": console_pb2.InspectGraphRequest,
    "trunkline.console.v1.Console/InspectGraph of a global id": lambda: console_pb2.InspectGraphRequest(
        commit_set=set_id(15)
    ),
    "trunkline.console.v1.Console/ListRepoRow": console_pb2.ListRepoRowRequest,
    "trunkline.console.v1.Console/ListJobRow": console_pb2.ListJobRowRequest,
    "trunkline.console.v1.Console/ListJobRow of a project": lambda: console_pb2.ListJobRowRequest(
        projects=["default"], page_token="1500"
    ),
    "trunkline.console.v1.Console/ListJobRow of a pipeline": lambda: console_pb2.ListJobRowRequest(
        pipelines=[BUSY]
    ),
    "trunkline.console.v1.Console/ListJobRow of failures": lambda: console_pb2.ListJobRowRequest(
        states=["FAILURE"]
    ),
    "trunkline.console.v1.Console/ListJobRow of a pipeline's failures": lambda: console_pb2.ListJobRowRequest(
        pipelines=[BUSY], states=["FAILURE"], until=_EARLY
    ),
    "trunkline.console.v1.Console/ListJobRow of live jobs": lambda: console_pb2.ListJobRowRequest(
        states=["RUNNING", "CREATED"]
    ),
    "trunkline.console.v1.Console/ListJobRow since a time": lambda: console_pb2.ListJobRowRequest(
        **{"from": Timestamp(seconds=10**9)}
    ),
    "trunkline.console.v1.Console/ListJobRow of a global id": lambda: console_pb2.ListJobRowRequest(
        commit_set=set_id(15)
    ),
    "trunkline.console.v1.Console/InspectOverview": console_pb2.InspectOverviewRequest,
    "trunkline.console.v1.Console/ListRun": console_pb2.ListRunRequest,
    "trunkline.console.v1.Console/ListRun of a project": lambda: console_pb2.ListRunRequest(
        project="default", page_token="1500"
    ),
    "trunkline.console.v1.Console/InspectScaling": lambda: console_pb2.InspectScalingRequest(pipeline=BUSY),
    "trunkline.console.v1.Console/InspectScaling of the past": lambda: console_pb2.InspectScalingRequest(
        pipeline=BUSY, until=_EARLY
    ),
    "trunkline.console.v1.Console/Search": lambda: console_pb2.SearchRequest(text="edge"),
    "trunkline.console.v1.Console/Search for an id": lambda: console_pb2.SearchRequest(text=set_id(15)[:9]),
    "trunkline.console.v1.Console/InspectDatums": lambda: console_pb2.InspectDatumsRequest(
        pipeline=BUSY, job_id=set_id(15)
    ),
    "trunkline.console.v1.Console/ListDatumRow": lambda: console_pb2.ListDatumRowRequest(
        pipeline=BUSY, job_id=set_id(15)
    ),
    "trunkline.console.v1.Console/ListDatumRow of failures": lambda: console_pb2.ListDatumRowRequest(
        pipeline=BUSY, job_id=set_id(15), states=["FAILED"]
    ),
    "trunkline.console.v1.Console/InspectTimeline": lambda: console_pb2.InspectTimelineRequest(
        pipeline=BUSY, job_id=set_id(15)
    ),
    "trunkline.console.v1.Console/CompareJobs": lambda: console_pb2.CompareJobsRequest(
        pipeline=BUSY, job_a=set_id(15), job_b=set_id(14)
    ),
    "trunkline.console.v1.Console/ListFolder": lambda: console_pb2.ListFolderRequest(tree=_TREE),
    "trunkline.console.v1.Console/CompareFolders": lambda: console_pb2.CompareFoldersRequest(new=_TREE),
    "trunkline.console.v1.Console/ListFileVersion": lambda: console_pb2.ListFileVersionRequest(
        tree=_TREE, path="/", number=5
    ),
    "trunkline.control.v1.Control/InspectEventLog": lambda: control_pb2.InspectEventLogRequest(),
    "trunkline.console.v1.Console/FindDeletion": lambda: console_pb2.FindDeletionRequest(
        pipeline=BUSY, job_id="0" * 32
    ),
    "trunkline.console.v1.Console/ReadLog": lambda: console_pb2.ReadLogRequest(
        log=console_pb2.LogName(pipeline=BUSY, job_id=set_id(15))
    ),
    "trunkline.console.v1.Console/SearchLog": lambda: console_pb2.SearchLogRequest(
        log=console_pb2.LogName(pipeline=BUSY, job_id=set_id(15)), text="line"
    ),
    "trunkline.console.v1.Console/InspectLog": lambda: console_pb2.InspectLogRequest(
        log=console_pb2.LogName(pipeline=BUSY, job_id=set_id(15))
    ),
    "trunkline.worker.v1.Worker/Register": worker_api_pb2.RegisterRequest,
    "trunkline.worker.v1.Worker/Claim": lambda: worker_api_pb2.ClaimRequest(wait_seconds=0),
    "trunkline.worker.v1.Worker/Renew": lambda: worker_api_pb2.RenewRequest(claim_id="0" * 32),
}


def _number(world: PpsWorld, name: str = BUSY) -> int:
    return world.pipeline_row(name).id


def _round(world: PpsWorld, name: str) -> None:
    """Run a round of the controller for a pipeline."""
    controller = world._controller
    assert controller is not None
    world.on_loop(asyncio.wait_for(controller._round(_number(world, name)), 60))


def _worker_id(_world: PpsWorld) -> str:
    return long_history.WORKER


#: Reads and transactions that the server makes for itself.
OWN_READS: dict[str, Callable[[PpsWorld], object]] = {
    "controller: all pipelines": lambda world: world.versions.read(pipelines.list_all, []),
    "controller: round with a live job": lambda world: _round(world, BUSY),
    "controller: round that waits for upstream": lambda world: _round(world, _LAST),
    "controller: round at rest": lambda world: _round(world, "rest-0"),
    "controller: leases": lambda world: world.versions.read(claim_rows.held_claims),
    "controller: leases of spouts": lambda world: world.versions.read(standing.spout_workers, world.specs),
    "autoscaler: sweep": lambda world: world._controller and world._controller.autoscaler.sweep(),
    "autoscaler: gaps": lambda world: world.versions.read(jobs.gaps, _number(world), 20),
    "claims: work waits": lambda world: world.versions.read(claims.work_waits, _worker_id(world)),
    "gauges": lambda world: world.versions.read(gauges.read, world.clock.now()),
    "workers": lambda world: world.versions.read(workers.list_all),
    "write sessions": lambda world: world.versions.read(write_sessions.list_all),
    "file sets": lambda world: world.versions.read(repos.fileset_leases),
    "retention: logs": lambda world: world.versions.read(retention.log_sizes, None, retention_service.LOOK),
    "retention: next results": lambda world: world.versions.read(retention.next_job_with_results, 0),
    "retention: spare results": lambda world: world.versions.read(
        retention_service._is_spare,
        world.versions.read(retention.next_job_with_results, 0),
        world.clock.now(),
    ),
    "retention: bills": lambda world: world.versions.write(costs.settle_bills, world.specs, _number(world)),
    "retention: decisions": lambda world: world.versions.write(
        retention_service._remove_decisions, _number(world), 100.0
    ),
    "retention: events": lambda world: world.versions.write(
        retention_service._remove_events, _number(world), 100.0
    ),
    "retention: logs removed": lambda world: world.versions.write(retention_service._remove_logs, 10**6),
    "bills": lambda world: world.versions.read(bills.billed_up_to, _number(world)),
}

ALL = (*READS, *OWN_READS)
#: Calls whose object does not exist; they are refused after they have looked.
_REFUSED = (
    "pps_v2.API/InspectDatum",
    "trunkline.explain.v1.Explain/ExplainDatum",
    "trunkline.explain.v1.Explain/Recommend",
)


def run(world: PpsWorld, name: str) -> None:
    """Make the call of that name in ``READS`` or ``OWN_READS``."""
    if name in OWN_READS:
        OWN_READS[name](world)
        return
    if name.startswith("trunkline.worker"):  # a round of the controller misses it: no fleet has it
        world.versions.write(long_history.add_workers, long_history.LEAST)
    try:
        call(world, name.partition(" ")[0], READS[name]())
    except (errors.NotFound, errors.FailedPrecondition):
        if name not in _REFUSED:
            raise
