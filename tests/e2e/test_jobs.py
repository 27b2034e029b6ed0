"""Jobs and datums over the API: paging, history, waits, restarts and deletion, with the published SDK."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps, taskapi
from servers import ended, files_of, job_of, make_pipeline, make_repo, put, refusal, until

from trunkline.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pachyderm_sdk import Client
    from servers import Server


#: Fails on a file named bad, and recovers.
RECOVERING = pps.Transform(cmd=["sh"], stdin=["test ! -e /pfs/in/bad"], err_cmd=["true"])


def ids(jobs: Iterator[pps.JobInfo]) -> list[str]:
    return [info.job.id for info in jobs]


def test_jobs_are_listed_by_page_in_both_directions_and_by_version(client: Client) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in")
    for number in range(3):
        ended(client, pipeline, put(client, branch, {f"/{number}": b"x"}))
    make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in", update=True)
    newest_first = ids(client.pps.list_job(pipeline=pipeline, history=-1))

    first = list(client.pps.list_job(pipeline=pipeline, history=-1, number=2))
    second = client.pps.list_job(pipeline=pipeline, history=-1, number=2, pagination_marker=first[-1].created)
    oldest_first = client.pps.list_job(pipeline=pipeline, history=-1, reverse=True)

    assert len(newest_first) == 5
    assert [*ids(iter(first)), *ids(second)] == newest_first[:4]
    assert ids(oldest_first) == newest_first[::-1]
    assert ids(client.pps.list_job(pipeline=pipeline)) == newest_first[:1]
    assert ids(client.pps.list_job(pipeline=pipeline, history=1)) == newest_first


def test_datums_of_a_job_are_listed_by_page_state_and_direction(client: Client) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "copy", "", "in", transform=RECOVERING, datum_tries=1)
    job = job_of(pipeline, put(client, branch, {f"/{name}": b"x" for name in ("a", "b", "c", "bad")}))
    ended(client, pipeline, job.id)

    every = [info.datum.id for info in client.pps.list_datum(job=job)]
    page = client.pps.list_datum(job=job, number=2, pagination_marker=every[0])
    backwards = client.pps.list_datum(job=job, reverse=True)
    recovered = client.pps.list_datum(
        job=job, filter=pps.ListDatumRequestFilter(state=[pps.DatumState.RECOVERED])
    )

    assert every == sorted(every)
    assert len(every) == 4
    assert [info.datum.id for info in page] == every[1:3]
    assert [info.datum.id for info in backwards] == every[::-1]
    assert [info.data[0].file.path for info in recovered] == ["/bad"]


def test_a_job_set_is_waited_for_and_a_deleted_job_leaves_its_output(client: Client) -> None:
    branch = make_repo(client, "in")
    first = make_pipeline(client, "first", "cp /pfs/in/* /pfs/out", "in")
    make_pipeline(client, "second", "cp /pfs/first/* /pfs/out", "first")
    commit = put(client, branch, {"/a": b"x"})

    infos = list(client.pps.inspect_job_set(job_set=pps.JobSet(id=commit), wait=True))
    client.pps.delete_job(job=job_of(first, commit))

    assert [info.job.pipeline.name for info in infos] == ["first", "second"]
    assert {info.state for info in infos} == {pps.JobState.JOB_SUCCESS}
    assert (
        refusal(lambda: client.pps.inspect_job(job=job_of(first, commit))).code() is grpc.StatusCode.NOT_FOUND
    )
    assert files_of(client, "first@master") == {"/a": b"x"}


def test_what_happened_and_would_happen_is_explained(
    shared: Server, client: Client, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in")
    put(client, branch, {"/a": b"x", "/b": b"y"})
    job = job_of(pipeline, put(client, branch, {"/a": b"z"}))
    ended(client, pipeline, job.id)
    [changed] = [info for info in client.pps.list_datum(job=job) if info.data[0].file.path == "/a"]

    def explain(*words: str) -> list[dict[str, Any]]:
        assert main([*words, "--address", shared.address, "-o", "jsonl"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    [datum] = explain("explain", "datum", f"copy@{job.id}", changed.datum.id)
    [story] = explain("explain", "job", f"copy@{job.id}")
    [state, *decisions] = explain("explain", "pipeline", "copy")
    [origin] = explain("explain", "file", "copy@master:/a")
    [advice] = explain("recommend", "copy")
    spec = tmp_path / "copy.json"
    spec.write_text(client.pps.inspect_pipeline(pipeline=pipeline, details=True).user_spec_json)
    [same] = explain("plan", "-f", str(spec))
    [plan] = explain("plan", "-f", str(spec), "--reprocess")

    assert (datum["cause"], [change["path"] for change in datum["changes"]]) == ("CHANGED", ["/a"])
    assert int(datum["peak_memory_bytes"]) > 0
    assert "RUNNING" in {phase["kind"] for phase in story["phases"]}
    assert [cause["kind"] for cause in state["causes"]] == ["IDLE"]
    assert decisions
    assert [place["path"] for place in origin["inputs"]] == ["/a"]
    assert advice["sample"] == "2"
    assert "run" not in same
    assert (plan["run"], plan["causes"][0]["cause"]) == ("2", "SALT")
    assert plan["datum_seconds"] > 0


@pytest.mark.slow  # waits for a worker's report
def test_a_running_datum_is_restarted_by_path_and_hash(client: Client) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "wait", "echo begun; sleep 1000", "in")
    job = job_of(pipeline, put(client, branch, {"/a": b"x"}))

    def begun() -> int:
        lines = [line.message.strip() for line in client.pps.get_logs(job=job)]
        return lines.count("begun")

    until(lambda: begun() == 1 or None, "the datum runs")
    file = client.pfs.inspect_file(file=pfs.File.from_uri("in@master:/a"))
    hash_ = base64.b64encode(file.hash).decode()

    other = refusal(lambda: client.pps.restart_datum(job=job, data_filters=["/a", "/b"]))

    client.pps.restart_datum(job=job, data_filters=["/a", hash_])

    until(lambda: begun() == 2 or None, "the datum runs again")
    assert other.code() is grpc.StatusCode.NOT_FOUND
    client.pps.stop_job(job=job)


def test_claims_are_listed_as_tasks_and_a_client_can_report_that_a_job_failed(client: Client) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "wait", "sleep 1000", "in")
    job = job_of(pipeline, put(client, branch, {"/a": b"x"}))
    group = taskapi.Group(namespace="default/wait", group=job.id)
    [task] = until(lambda: list(client.pps.list_task(group=group)), "a worker has claimed the datum")

    client.pps.update_job_state(job=job, state=pps.JobState.JOB_RUNNING)
    early = refusal(lambda: client.pps.update_job_state(job=job, state=pps.JobState.JOB_SUCCESS))
    client.pps.update_job_state(job=job, state=pps.JobState.JOB_FAILURE, reason="out of paper")
    late = refusal(lambda: client.pps.update_job_state(job=job, state=pps.JobState.JOB_KILLED))

    assert (task.group, task.state) == (group, taskapi.State.CLAIMED)
    assert {early.code(), late.code()} == {grpc.StatusCode.FAILED_PRECONDITION}
    info = client.pps.inspect_job(job=job)
    assert (info.state, info.reason) == (pps.JobState.JOB_FAILURE, "out of paper")
    assert not list(client.pps.list_task(group=group))
