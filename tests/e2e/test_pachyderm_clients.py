"""What Pachyderm's clients rely on beyond the letter of the API, on a whole server with the published SDK."""

from __future__ import annotations

import datetime
import json

import grpc
import pytest
from pachyderm_sdk.api import pps
from servers import Server, ended, job_of, make_pipeline, make_repo, put, until

from trunkline.client.channel import Channel
from trunkline.rpc.gen import pps_pb2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("clients") / "data")
    running.start()
    yield running
    running.terminate()
    running.close()


@pytest.fixture
def client(server):
    return server.client()


def test_a_pipeline_without_input_is_accepted_and_has_no_jobs(client):
    pipeline = pps.Pipeline(name="idle")
    client.pps.create_pipeline(pipeline=pipeline, transform=pps.Transform(cmd=["true"]))

    info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)

    assert info.version == 1
    assert list(client.pps.list_job(pipeline=pipeline)) == []


def test_an_update_may_remove_the_input(client):
    branch = make_repo(client, "removable")
    pipeline = make_pipeline(client, "loses-input", "true", "removable")
    client.pps.create_pipeline(pipeline=pipeline, transform=pps.Transform(cmd=["true"]), update=True)

    before = len(list(client.pps.list_job(pipeline=pipeline)))
    put(client, branch, {"/a": b"1"})

    assert len(list(client.pps.list_job(pipeline=pipeline))) == before
    assert client.pps.inspect_pipeline(pipeline=pipeline).version == 2


def test_a_job_must_be_named(client):
    with pytest.raises(grpc.RpcError) as caught:
        client.pps.inspect_job()

    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "must specify a job" in caught.value.details()


def test_listed_pipelines_have_details_whatever_was_asked(client):
    make_repo(client, "detailed-in")
    make_pipeline(client, "detailed", "true", "detailed-in")

    listed = {info.pipeline.name: info for info in client.pps.list_pipeline(details=False)}

    assert listed["detailed"].details.input.pfs.repo == "detailed-in"


def test_logs_without_a_span_are_those_of_a_day_and_a_job_alone_names_them(client):
    branch = make_repo(client, "log-in")
    pipeline = make_pipeline(client, "log", "echo hello", "log-in")
    job = job_of(pipeline, put(client, branch, {"/a": b"1"}))
    ended(client, pipeline, job.id)

    def messages(**request):
        return [line.message for line in client.pps.get_logs(**request)]

    of_pipeline = messages(pipeline=pipeline, since=datetime.timedelta(0))

    assert any("hello" in message for message in of_pipeline)
    assert any("hello" in message for message in messages(job=job))


def test_kube_events_hold_an_event_each(server, client):
    with Channel(server.address) as channel:
        request = pps_pb2.LokiRequest().SerializeToString()
        with channel.server_stream("/pps_v2.API/GetKubeEvents", request) as frames:
            lines = [pps_pb2.LokiLogMessage.FromString(bytes(frame)).message for frame in frames]

    assert lines
    assert all(json.loads(json.loads(line)["log"])["message"] for line in lines)


@pytest.mark.parametrize("how", ["stop", "update"])
def test_stopping_and_updating_kill_running_and_waiting_jobs_at_once(client, how):
    branch = make_repo(client, f"killed-{how}-in")
    pipeline = make_pipeline(client, f"killed-{how}", "sleep 600", branch.repo.name)
    ids = [put(client, branch, {f"/{name}": b"1"}) for name in "ab"]
    running = job_of(pipeline, ids[0])
    until(
        lambda: client.pps.inspect_job(job=running).state == pps.JobState.JOB_RUNNING, "the first job to run"
    )

    if how == "stop":
        client.pps.stop_pipeline(pipeline=pipeline)
    else:
        make_pipeline(client, pipeline.name, "true", branch.repo.name, update=True)
    infos = [client.pps.inspect_job(job=job_of(pipeline, id)) for id in ids]

    assert [info.state for info in infos] == [pps.JobState.JOB_KILLED] * 2
    assert all(info.reason for info in infos)


def test_jobs_are_listed_newest_first_over_versions(client):
    branch = make_repo(client, "ordered-in")
    pipeline = make_pipeline(client, "ordered", "true", "ordered-in")
    put(client, branch, {"/a": b"1"})
    make_pipeline(client, "ordered", "true; true", "ordered-in", update=True)
    put(client, branch, {"/b": b"1"})

    listed = list(client.pps.list_job(pipeline=pipeline, history=-1))

    assert [info.pipeline_version for info in listed] == sorted(
        (info.pipeline_version for info in listed), reverse=True
    )
    assert [info.created for info in listed] == sorted((info.created for info in listed), reverse=True)
    assert listed[0].output_commit.branch.name == "master"


def test_a_job_that_runs_lists_the_datums_that_are_done(client):
    branch = make_repo(client, "partial-in")
    script = "test ! -e /pfs/partial-in/slow || sleep 600"
    pipeline = make_pipeline(
        client, "partial", script, "partial-in", parallelism_spec=pps.ParallelismSpec(constant=2)
    )
    job = job_of(pipeline, put(client, branch, {"/quick": b"1", "/slow": b"1"}))

    [done] = until(lambda: list(client.pps.list_datum(job=job)), "the quick datum to be done")

    assert done.state == pps.DatumState.SUCCESS
    client.pps.stop_job(job=job)


def test_services_that_are_not_built_have_nothing_to_delete(server):
    with Channel(server.address) as channel:
        for method in (
            "license_v2.API/DeleteAll",
            "identity_v2.API/DeleteAll",
            "transaction_v2.API/DeleteAll",
        ):
            channel.unary(f"/{method}", b"")
