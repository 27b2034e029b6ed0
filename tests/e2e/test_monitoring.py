"""The monitoring address and the records of a real server: metrics, probes, logs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import urllib.error
import urllib.request

import pytest
from exchange import Exchange
from pachyderm_sdk.api import pfs
from patience import eventually
from servers import Server

from trunkline.app import serve
from trunkline.app.probes import ProbeApplication, Readiness
from trunkline.app.settings import Settings
from trunkline.client.channel import Channel
from trunkline.errors import InvalidArgument, Unavailable
from trunkline.rpc.gen import debug_pb2
from trunkline.runtime.supervision import Supervisor

SPEC = {
    "pipeline": {"name": "upper"},
    "input": {"pfs": {"repo": "texts", "glob": "/*"}},
    "transform": {"cmd": ["sh"], "stdin": ["test ! -e /pfs/texts/bad && cp /pfs/texts/* /pfs/out/"]},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that has run one good and one failed job."""
    data = tmp_path_factory.mktemp("monitoring") / "data"
    running = Server(data, options=("--metrics", "127.0.0.1:0", "--log-format", "json", "--access-log"))
    running.start()
    client = running.client()
    repo = pfs.Repo.from_uri("texts")
    client.pfs.create_repo(repo=repo)
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(SPEC))
    for name in ("good", "bad"):
        with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
            commit.put_file_from_bytes(f"/{name}", b"x")
        list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True))
    yield running
    running.terminate()
    running.close()


def records(server):
    lines = server.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def address(server):
    return next(r["address"] for r in records(server) if r.get("action") == "monitoring")


def get(server, path, at=None):
    with urllib.request.urlopen(f"http://{at or address(server)}{path}", timeout=60) as answer:
        return answer.read().decode()


def test_jobs_datums_and_calls_are_counted(server):
    text = get(server, "/metrics")

    assert 'trunkline_jobs_total{pipeline="upper",project="default",state="SUCCESS"} 2.0' in text
    assert 'trunkline_jobs_total{pipeline="upper",project="default",state="FAILURE"} 1.0' in text
    assert 'trunkline_datums_total{pipeline="upper",project="default",state="FAILED"} 1.0' in text
    assert 'pachyderm_worker_datum_count{pipeline="upper",project="default",state="SUCCESS"} 1.0' in text
    assert 'trunkline_rpc_duration_seconds_count{code="OK",method="pfs_v2.API/CreateRepo"} 1.0' in text
    assert 'trunkline_queue_depth{pipeline="upper",project="default"} 0.0' in text
    assert 'trunkline_storage_bytes{kind="written"}' in text
    assert "trunkline_store_log_age_seconds " in text


def test_the_probes_answer(server):
    ready = json.loads(get(server, "/readyz"))

    assert get(server, "/livez") == "ok\n"
    assert ready["ready"]
    assert set(ready["services"].values()) == {"running"}, ready
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, "/nothing")
    with caught.value as answer:
        assert answer.code == 404


def test_the_port_of_the_api_serves_metrics_and_probes_too(server):
    ready = json.loads(get(server, "/readyz", server.address))

    assert "trunkline_queue_depth" in get(server, "/metrics", server.address)
    assert get(server, "/livez", server.address) == "ok\n"
    assert ready["ready"]


@pytest.mark.parametrize(("metrics", "status"), [("on", 200), ("", 404)])
async def test_metrics_need_no_address_of_their_own(tmp_path, metrics, status):
    settings = Settings(data=tmp_path, listen=("127.0.0.1:0",), metrics=metrics)

    async with serve.running(settings) as running:
        assert await asyncio.to_thread(status_of, running.address, "/metrics") == status
        assert await asyncio.to_thread(status_of, running.address, "/readyz") == 200


async def test_a_server_without_its_store_lives_and_is_not_ready():
    application = ProbeApplication(Readiness(Supervisor(), fails))

    ready = await Exchange(application, "/readyz", method="GET").ended()
    lives = await Exchange(application, "/livez", method="GET").ended()

    assert (ready.status, lives.status) == (503, 200)
    assert ready.json["problem"] == "no store"


def fails():
    raise Unavailable("no store")


def status_of(address, path):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", path)
    with contextlib.closing(connection):
        return connection.getresponse().status


def test_each_event_is_one_record_with_ids(server):
    by_action = {r["action"]: r for r in records(server) if "action" in r}

    assert by_action["job_started"]["datums"] >= 1
    assert by_action["job_finished"]["pipeline"] == "default/upper"
    assert by_action["datum_failed"]["reason"]
    assert by_action["worker_ready"]["worker"]
    call = next(r for r in records(server) if r.get("method") == "pfs_v2.API/CreateRepo")
    assert (call["code"], call["caller"]) == ("OK", "anonymous")


def test_a_refused_call_is_logged_with_its_code(server):
    client = server.client()

    assert not client.pfs.repo_exists(pfs.Repo.from_uri("none"))

    eventually(lambda: any(r.get("code") == "NOT_FOUND" for r in records(server)), "the record")


def test_the_log_level_can_be_set_for_a_while(server):
    request = debug_pb2.SetLogLevelRequest(pachyderm="DEBUG", duration={"seconds": 60})

    with Channel(server.address) as channel:
        channel.unary("/debug_v2.Debug/SetLogLevel", request.SerializeToString())

    eventually(lambda: any(r.get("action") == "log_level_set" for r in records(server)), "the record")


def test_a_log_level_without_a_duration_is_refused(server):
    request = debug_pb2.SetLogLevelRequest(pachyderm="DEBUG")

    with Channel(server.address) as channel, pytest.raises(InvalidArgument):
        channel.unary("/debug_v2.Debug/SetLogLevel", request.SerializeToString())
