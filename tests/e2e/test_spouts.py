"""Spouts on a whole server: programs that commit by the published SDK and by the command line."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, files_of, make_pipeline, make_repo, put, until

if TYPE_CHECKING:
    from pachyderm_sdk import Client

# What a test adds runs between the client and the end without end.
BEGIN = """
import os, subprocess, sys, time
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
client = Client.new_in_cluster()

def branch(repo):
    return pfs.Branch(repo=pfs.Repo(name=repo, type="user", project=pfs.Project(name="default")), name="master")

def commit(repo, path, text):
    with client.pfs.commit(branch=branch(repo)) as commit:
        commit.put_file_from_bytes(path=path, data=text.encode())
"""
FOREVER = "\ntime.sleep(1000)\n"


def make_spout(client: Client, name: str, program: str, **request: Any) -> pps.Pipeline:
    spec = {
        "pipeline": {"name": name},
        "transform": {"cmd": [sys.executable, "-c", BEGIN + program]},
        "spout": {},
    }
    # As JSON, because the SDK leaves out messages without fields, such as this one's spout.
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), **request)
    return pps.Pipeline(name=name)


def files(client: Client, name: str) -> dict[str, bytes]:
    return files_of(client, f"{name}@master")


def lines(client: Client, pipeline: pps.Pipeline) -> list[str]:
    return [line.message.strip() for line in client.pps.get_logs(pipeline=pipeline) if line.user]


def master(name: str) -> pfs.Branch:
    return pfs.Branch(
        repo=pfs.Repo(name=name, type="user", project=pfs.Project(name="default")), name="master"
    )


def test_what_a_spout_commits_runs_the_pipelines_after_it(client: Client) -> None:
    spout = make_spout(
        client, "source", "commit('source', '/a', 'x'); print('committed', flush=True)" + FOREVER
    )
    assert client.pfs.inspect_branch(branch=master("source")).head.id, "a new spout can be read"
    down = make_pipeline(client, "copy", "cp /pfs/source/* /pfs/out", "source")
    until(lambda: files(client, "source") == {"/a": b"x"}, "the spout's commit")

    head = client.pfs.inspect_branch(branch=master("source")).head
    job = until(
        lambda: next(
            (each.job for each in client.pps.list_job(pipeline=down) if each.job.id == head.id), None
        ),
        "the job downstream",
    )

    assert ended(client, down, job.id).state == pps.JobState.JOB_SUCCESS
    assert files(client, "copy") == {"/a": b"x"}
    commit = client.pfs.inspect_commit(commit=head)
    assert [up.repo.type for up in commit.direct_provenance] == ["spec"]
    assert commit.origin.kind == pfs.OriginKind.USER
    assert list(client.pps.list_job(pipeline=spout)) == []
    until(lambda: lines(client, spout) == ["committed"], "the program's output")
    info = client.pps.inspect_pipeline(pipeline=spout, details=True)
    assert (info.state, info.reason) == (pps.PipelineState.PIPELINE_RUNNING, "")
    assert info.details.workers_available == 1
    assert info.type == pps.PipelineInfoPipelineType.PIPELINE_TYPE_SPOUT


def test_only_the_spout_itself_commits_to_its_branch_and_it_commits_nowhere_else(client: Client) -> None:
    make_repo(client, "other")
    attempts = """
def attempt(what, call):
    try:
        call()
        print(what, "allowed", flush=True)
    except Exception as error:
        print(what, error.code().name, flush=True)

attempt("write elsewhere", lambda: commit("other", "/x", "y"))
attempt("create a repo", lambda: client.pfs.create_repo(repo=branch("new").repo))
attempt("delete itself", lambda: client.pps.delete_pipeline(pipeline=pps.Pipeline(name="guarded")))
attempt("read", lambda: list(client.pfs.list_repo()))
attempt("write", lambda: commit("guarded", "/x", "y"))
"""
    spout = make_spout(client, "guarded", attempts + FOREVER)
    until(lambda: files(client, "guarded") == {"/x": b"y"}, "the spout's commit")

    with pytest.raises(grpc.RpcError) as refused, client.pfs.commit(branch=master("guarded")):
        pass

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    until(lambda: len(lines(client, spout)) == 5, "the attempts")
    assert lines(client, spout) == [
        "write elsewhere PERMISSION_DENIED",
        "create a repo PERMISSION_DENIED",
        "delete itself PERMISSION_DENIED",
        "read allowed",
        "write allowed",
    ]


def test_a_spout_that_ends_is_crashing_and_is_started_again(client: Client) -> None:
    program = """
root = pfs.File(commit=pfs.Commit(branch=branch("flaky")), path="/")
known = list(client.pfs.list_file(file=root))
commit("flaky", f"/{len(known)}", "")
if not known:
    sys.exit(3)
"""
    spout = make_spout(client, "flaky", program + FOREVER)

    crash = until(
        lambda: next(
            (
                info.reason
                for info in [client.pps.inspect_pipeline(pipeline=spout)]
                if info.state == pps.PipelineState.PIPELINE_CRASHING
            ),
            "",
        ),
        "the crash",
    )

    assert "exit code 3" in crash
    until(lambda: files(client, "flaky").keys() == {"/0", "/1"}, "the second start")


def test_a_stopped_spout_ends_and_an_updated_one_runs_its_new_program(client: Client) -> None:
    wait = "commit('turns', f'/{name}', '')" + FOREVER
    spout = make_spout(client, "turns", "name = 'first'\n" + wait)
    until(lambda: files(client, "turns").keys() == {"/first"}, "the first program")
    # Stopped before, it would leave an open commit.
    newest = pfs.Commit(branch=master("turns"), repo=master("turns").repo)
    until(lambda: client.pfs.inspect_commit(commit=newest).finished.timestamp() > 0, "the end of its commit")

    client.pps.stop_pipeline(pipeline=spout)
    until(
        lambda: not client.pps.inspect_pipeline(pipeline=spout, details=True).details.workers_available,
        "its end",
    )
    make_spout(client, "turns", "name = 'second'\n" + wait, update=True)

    until(lambda: files(client, "turns").keys() == {"/first", "/second"}, "the second program")
    assert client.pps.inspect_pipeline(pipeline=spout).version == 2


def test_the_command_line_writes_for_the_pipeline_in_whose_command_it_runs(client: Client) -> None:
    program = """
command = [sys.executable, "-m", "trunkline.cli", "put", "file", "typed@master:/a", "-f", "-"]
subprocess.run(command, input=b"x", check=True)
"""
    make_spout(client, "typed", program + FOREVER)

    until(lambda: files(client, "typed") == {"/a": b"x"}, "the file")


def test_a_datums_command_may_read_but_not_commit_for_its_pipeline(client: Client) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/a": b"x"})
    program = (
        BEGIN.replace(
            "Client.new_in_cluster()", "Client('localhost', int(os.environ['PACHD_PEER_SERVICE_PORT']))"
        )
        + """
try:
    commit("reader", "/b", "")
except Exception as error:
    refused = error.code().name
open("/pfs/out/said", "w").write(f"{bool(list(client.pfs.list_repo()))} {refused}")
"""
    )
    pipeline = make_pipeline(
        client, "reader", "", "words", transform=pps.Transform(cmd=[sys.executable, "-c", program])
    )
    job = next(iter(client.pps.list_job(pipeline=pipeline))).job

    assert ended(client, pipeline, job.id).state == pps.JobState.JOB_SUCCESS

    assert files(client, "reader") == {"/said": b"True FAILED_PRECONDITION"}


@pytest.mark.slow  # a lease has 10 s
def test_a_frozen_spout_is_replaced_and_nothing_is_committed_twice(server: Server) -> None:
    client = server.client()
    # Each commit is one call, so that an end at any time leaves none open.
    program = """
worker = os.environ["PACH_TOKEN"].split(".")[1]
newest = pfs.Commit(repo=branch("steady").repo, branch=branch("steady"))
while True:
    number = len(list(client.pfs.list_file(file=pfs.File(commit=newest, path="/"))))
    added = pfs.AddFile(path=f"/{number:06}-{worker}", raw=b"x")
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=newest), pfs.ModifyFileRequest(add_file=added)]))
    time.sleep(0.05)
"""
    spout = make_spout(client, "steady", program)

    def written() -> list[list[str]]:
        """Return the number and the worker of each file."""
        root = pfs.File(commit=pfs.Commit(branch=master("steady")), path="/")
        return [info.file.path[1:].split("-") for info in client.pfs.list_file(file=root)]

    until(lambda: len(written()) > 3, "some commits")
    frozen = server.worker_processes()
    for process in frozen:
        process.suspend()
    until(lambda: len({worker for _, worker in written()}) == 2, "commits of the next worker")

    numbers, workers = zip(*sorted(written()), strict=True)
    assert list(numbers) == [f"{number:06}" for number in range(len(numbers))], "nothing was written twice"
    assert len([worker for worker, _ in itertools.groupby(workers)]) == 2, "the first one wrote nothing later"
    until(lambda: not any(process.is_running() for process in frozen), "the end of the frozen worker")
    info = client.pps.inspect_pipeline(pipeline=spout, details=True)
    assert info.details.workers_available == 1


@pytest.mark.slow
def test_a_spout_that_is_faster_than_its_reader_loses_nothing(client: Client) -> None:
    program = """
newest = pfs.Commit(repo=branch("fast").repo, branch=branch("fast"))
for number in range(30):
    added = pfs.AddFile(path=f"/{number:02}", raw=b"x")
    client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=newest), pfs.ModifyFileRequest(add_file=added)]))
"""
    make_spout(client, "fast", program + FOREVER)
    reader = make_pipeline(client, "reader", "sleep 0.2; cp /pfs/fast/* /pfs/out/", "fast")

    last = pfs.Commit(branch=master("fast"))
    until(lambda: len(files(client, "fast")) == 30, "all commits of the spout")
    end = ended(client, reader, client.pfs.inspect_commit(commit=last).commit.id)

    jobs = list(client.pps.list_job(pipeline=reader))
    assert {info.state for info in jobs} == {pps.JobState.JOB_SUCCESS}
    assert (end.data_total, sum(info.data_processed for info in jobs)) == (30, 30)
    assert list(files(client, "reader")) == [f"/{number:02}" for number in range(30)]
