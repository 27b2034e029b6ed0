"""The story that Trunkline exists for, told with the published SDK against a whole server."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from servers import (
    Server,
    ended,
    files_of,
    job_of,
    make_pipeline,
    make_repo,
    put,
    refusal,
    until,
)

COPY_IN_CAPITALS = """
for file in /pfs/images/*; do
    tr a-z A-Z <"$file" >/pfs/out/"$(basename "$file")"
    echo "did $(basename "$file")"
done
"""


def workers(client: Client, pipeline: pps.Pipeline) -> tuple[int, int]:
    """Return (requested, available)."""
    details = client.pps.inspect_pipeline(pipeline=pipeline, details=True).details
    return details.workers_requested, details.workers_available


def test_pictures_go_in_and_edges_come_out(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")

    commit = put(client, images, {"/a": b"one", "/b": b"two"})
    job = client.pps.inspect_job(job=job_of(edges, commit), wait=True)

    assert job.state == pps.JobState.JOB_SUCCESS
    assert (job.data_total, job.data_processed, job.data_skipped) == (2, 2, 0)
    assert files_of(client, "edges@master") == {"/a": b"ONE", "/b": b"TWO"}


def test_workers_come_when_there_is_work_and_go_when_there_is_none(client: Client, tmp_path: Path) -> None:
    release = tmp_path / "release"
    images = make_repo(client, "images")
    edges = make_pipeline(
        client,
        "edges",
        COPY_IN_CAPITALS + f"while ! test -e {release}; do sleep 0.02; done",
        "images",
        parallelism_spec=pps.ParallelismSpec(constant=3),
    )
    before = workers(client, edges)

    commit = put(client, images, {f"/{number}": b"x" for number in range(6)})
    requested = until(lambda: workers(client, edges)[0], "workers to be requested")
    until(lambda: workers(client, edges)[1] == 3, "three workers to be there")
    release.touch()
    job = ended(client, edges, commit)
    until(lambda: workers(client, edges) == (0, 0), "the workers to be gone")

    assert before == (0, 0)
    assert requested == 3
    assert job.data_processed == 6
    assert client.pps.inspect_pipeline(pipeline=edges).state == pps.PipelineState.PIPELINE_STANDBY


def test_only_what_changed_is_run_and_downstream_follows(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    sheet = pps.Pipeline(name="montage")
    both = [pps.Input(pfs=pps.PfsInput(repo=repo, glob="/")) for repo in ("images", "edges")]
    client.pps.create_pipeline(
        pipeline=sheet,
        input=pps.Input(cross=both),
        transform=pps.Transform(cmd=["sh"], stdin=["cat /pfs/images/* /pfs/edges/* >/pfs/out/sheet"]),
        autoscaling=True,
    )
    put(client, images, {"/a": b"one ", "/b": b"two "})
    first = ended(client, sheet, put(client, images, {"/c": b"three "}))

    commit = put(client, images, {"/b": b"2 "}, delete=["/a"])
    middle, last = ended(client, edges, commit), ended(client, sheet, commit)

    assert first.state == last.state == pps.JobState.JOB_SUCCESS
    assert (middle.data_total, middle.data_processed, middle.data_skipped) == (2, 1, 1)
    assert files_of(client, "montage@master") == {"/sheet": b"2 three 2 THREE "}


def test_a_specification_in_json_makes_the_same_pipeline(client: Client) -> None:
    images = make_repo(client, "images")
    spec = {
        "pipeline": {"name": "edges"},
        "description": "as people write it",
        "metadata": {"labels": {"node": "fargate"}},
        "resource_requests": {"memory": "1Gi", "cpu": 1},
        "parallelism_spec": {"constant": 2},
        "autoscaling": True,
        "tolerations": [{"key": "gpu", "operator": "EXISTS"}],
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/images/* /pfs/out/"], "image": "nobody/knows"},
    }

    answer = client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    job = ended(client, pps.Pipeline(name="edges"), put(client, images, {"/a": b"one"}))
    info = client.pps.inspect_pipeline(pipeline=pps.Pipeline(name="edges"), details=True)

    assert json.loads(answer.effective_create_pipeline_request_json)["parallelism_spec"] == {"constant": 2}
    assert job.state == pps.JobState.JOB_SUCCESS
    assert json.loads(info.user_spec_json) == spec
    assert info.details.metadata.labels == {"node": "fargate"}
    assert info.details.resource_requests.memory == "1Gi"
    assert 'image "nobody/knows" is not used' in info.details.reason
    assert "tolerations has no effect here" in info.details.reason
    lines = list(client.pps.get_logs(pipeline=pps.Pipeline(name="edges")))
    assert any("tolerations has no effect here" in line.message for line in lines)


def test_files_can_be_listed_globbed_and_compared(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    ended(client, edges, put(client, images, {"/a": b"one", "/b": b"two"}))
    ended(client, edges, put(client, images, {"/b": b"zwei", "/c": b"three"}))
    head = pfs.Commit.from_uri("edges@master")

    listed = [info.file.path for info in client.pfs.list_file(file=pfs.File(commit=head, path="/"))]
    globbed = [info.file.path for info in client.pfs.glob_file(commit=head, pattern="/[ab]")]
    compared = [
        (change.old_file.file.path if change.old_file else "", change.new_file.file.path)
        for change in client.pfs.diff_file(new_file=pfs.File(commit=head, path="/"))
    ]

    assert listed == ["/a", "/b", "/c"]
    assert globbed == ["/a", "/b"]
    assert ("", "/c") in compared
    assert ("/b", "/b") in compared
    assert ("/a", "/a") not in compared


def test_datums_tell_what_became_of_each(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    ended(client, edges, put(client, images, {"/a": b"one"}))
    commit = put(client, images, {"/b": b"two"})
    ended(client, edges, commit)

    datums = list(client.pps.list_datum(job=job_of(edges, commit)))

    states = {datum.data[0].file.path: datum.state for datum in datums}
    assert states == {"/a": pps.DatumState.SKIPPED, "/b": pps.DatumState.SUCCESS}
    info = client.pps.inspect_datum(datum=datums[0].datum)
    assert info.datum.id == datums[0].datum.id


def test_logs_tell_what_the_command_printed_by_job_and_by_datum(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    commit = put(client, images, {"/a": b"one", "/b": b"two"})
    ended(client, edges, commit)

    lines = list(client.pps.get_logs(job=job_of(edges, commit)))
    of_a = list(client.pps.get_logs(job=job_of(edges, commit), data_filters=["/a"]))

    printed = sorted(line.message.strip() for line in lines if line.user)
    assert printed == ["did a", "did b"]
    assert [line.message.strip() for line in of_a if line.user] == ["did a"]
    assert all(line.pipeline_name == "edges" and line.job_id == commit for line in lines)


def test_followed_logs_end_with_their_job(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", "echo begin; sleep 0.5; echo end", "images")
    commit = put(client, images, {"/a": b"one"})

    lines = [
        line.message.strip()
        for line in client.pps.get_logs(job=job_of(edges, commit), follow=True)
        if line.user
    ]

    assert lines == ["begin", "end"]
    assert ended(client, edges, commit).state == pps.JobState.JOB_SUCCESS


def test_a_subscriber_gets_each_live_and_new_job_once(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    ended(client, edges, next(client.pps.list_job(pipeline=edges)).job.id)
    live = client.pfs.start_commit(branch=images)
    stream = client.pps.subscribe_job(pipeline=edges)

    first = next(stream)
    client.pfs.finish_commit(commit=live)
    ended(client, edges, live.id)
    later = [put(client, images, {f"/{name}": b"one"}) for name in "ab"]

    assert (first.job.id, first.state) == (live.id, pps.JobState.JOB_CREATED)
    assert [next(stream).job.id for _ in later] == later


def test_a_pipeline_can_be_stopped_started_updated_and_deleted(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")
    ended(client, edges, put(client, images, {"/a": b"one"}))

    client.pps.stop_pipeline(pipeline=edges)
    put(client, images, {"/b": b"two"})
    stopped = client.pps.inspect_pipeline(pipeline=edges)
    jobs_while_stopped = len(list(client.pps.list_job(pipeline=edges)))
    client.pps.start_pipeline(pipeline=edges)
    newest = next(client.pps.list_job(pipeline=edges)).job
    caught_up = client.pps.inspect_job(job=newest, wait=True)
    make_pipeline(client, "edges", "cp /pfs/images/* /pfs/out/", "images", update=True, reprocess=True)
    newest = next(client.pps.list_job(pipeline=edges)).job
    updated = client.pps.inspect_job(job=newest, wait=True)
    after = files_of(client, "edges@master")
    client.pps.delete_pipeline(pipeline=edges)

    assert stopped.stopped
    assert stopped.state == pps.PipelineState.PIPELINE_PAUSED
    assert (caught_up.data_processed, caught_up.data_skipped) == (1, 1)
    assert caught_up.state == updated.state == pps.JobState.JOB_SUCCESS
    assert jobs_while_stopped == 2
    assert (updated.pipeline_version, updated.data_processed) == (2, 2)
    assert after == {"/a": b"one", "/b": b"two"}
    assert "edges" in refusal(lambda: client.pps.inspect_pipeline(pipeline=edges)).details()
    assert not client.pfs.repo_exists(pfs.Repo.from_uri("edges"))


def test_a_job_can_be_stopped_and_says_so(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", "sleep 60", "images")
    commit = put(client, images, {"/a": b"one"})
    until(lambda: workers(client, edges)[1], "a worker to be there")

    client.pps.stop_job(job=job_of(edges, commit), reason="enough")
    job = ended(client, edges, commit)
    client.pps.stop_job(job=job_of(edges, commit), reason="too late")

    assert (job.state, job.reason) == (pps.JobState.JOB_KILLED, "enough")
    assert client.pps.inspect_job(job=job_of(edges, commit)).reason == "enough"
    until(lambda: workers(client, edges) == (0, 0), "the worker of the stopped job to be gone")


def test_the_sdk_example_runs(shared: Server, client: Client) -> None:
    example = Path(__file__).parents[2] / "examples" / "opencv" / "story_sdk.py"
    host, _, port = shared.address.rpartition(":")
    program = runpy.run_path(str(example))

    montage = program["run"](
        Client(host, int(port)),
        pictures={"a.png": b"one", "b.png": b"two"},
        image="",
        cmd=("sh", "-c", "cp /pfs/images/* /pfs/out/"),
        montage_cmd=("sh", "-c", "cat /pfs/images/* /pfs/edges/* > /pfs/out/montage.png"),
    )

    assert montage == b"twotwotwotwo"


def test_deleting_all_of_pfs_deletes_the_pipelines_that_own_its_repos(client: Client) -> None:
    make_repo(client, "images")
    make_pipeline(client, "edges", COPY_IN_CAPITALS, "images")

    client.pfs.delete_all()

    assert list(client.pps.list_pipeline()) == []
    assert list(client.pfs.list_repo(type="user")) == []
