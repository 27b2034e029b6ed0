"""Egress of pipelines on a whole server: the state between running and finishing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import grpc
import psycopg
import pytest
from pachyderm_sdk.api import pps
from postgres_server import forwarded
from s3_server import BadWay
from servers import Server, ended, make_repo, put, refusal, until

from trunkline.client.channel import Channel
from trunkline.client.stubs import Client as OwnClient
from trunkline.rpc.gen import explain_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pachyderm_sdk import Client
    from postgres_server import PostgresServer
    from s3_server import S3Server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("targets")


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Server]:
    """A server that may write to databases in a folder."""
    data = tmp_path_factory.mktemp("sending") / "data"
    rules = [f"sqlite://{folder}", "postgres://127.0.0.1"]
    server = Server(data, options=[option for rule in rules for option in ("--outbound", rule)]).start()
    yield server
    server.close()


@pytest.fixture
def client(sending: Server) -> Iterator[Client]:
    client = sending.client()
    yield client
    client.pfs.delete_all()


@pytest.fixture
def database(folder: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(folder / "words.db", isolation_level=None)
    connection.execute("create table if not exists counts (word text, number integer)")
    yield connection
    connection.close()
    (folder / "words.db").unlink()


def make_pipeline(client: Client, name: str, url: str) -> pps.Pipeline:
    spec = {
        "pipeline": {"name": name},
        "input": {"pfs": {"repo": "words", "glob": "/"}},
        "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/words/* /pfs/out"]},
        "egress": {"sql_database": {"url": url, "file_format": {"type": "CSV"}}},
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    return pps.Pipeline(name=name)


def newest(client: Client, pipeline: pps.Pipeline) -> pps.JobInfo:
    return next(iter(client.pps.list_job(pipeline=pipeline)))


def egressing(client: Client, pipeline: pps.Pipeline) -> pps.JobInfo:
    """Wait until the newest job shows why its egress failed."""

    def look() -> pps.JobInfo | None:
        info = client.pps.inspect_job(job=newest(client, pipeline).job)
        return info if info.state == pps.JobState.JOB_EGRESSING and info.reason else None

    return until(look, "an egress that failed")


def last_phase(server: Server, job: pps.Job) -> tuple[str, str]:
    """Return the kind and the sentence of the last phase in the story of a job."""
    with contextlib.closing(Channel(server.address)) as channel:
        request = explain_pb2.ExplainJobRequest(project="default", pipeline=job.pipeline.name, job_id=job.id)
        phase = OwnClient(channel).explain.ExplainJob(request).phases[-1]
    return explain_pb2.Phase.Kind.Name(phase.kind), phase.sentence


def test_the_rows_of_a_job_are_in_the_database_when_it_succeeds(
    client: Client, folder: Path, database: sqlite3.Connection
) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/counts": b"to,2\nbe,1\n"})
    pipeline = make_pipeline(client, "send", f"sqlite://{folder}/words.db")
    assert ended(client, pipeline, newest(client, pipeline).job.id).state == pps.JobState.JOB_SUCCESS
    assert list(database.execute("select * from counts order by word")) == [("be", 1), ("to", 2)]

    put(client, branch, {"/counts": b"or,3\n"})

    assert ended(client, pipeline, newest(client, pipeline).job.id).state == pps.JobState.JOB_SUCCESS
    assert list(database.execute("select * from counts")) == [("or", 3)]


def test_an_egress_is_tried_again_until_its_target_takes_it(
    sending: Server, client: Client, port: int, postgres: PostgresServer
) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/counts": b"to,2\n"})
    with postgres.database() as name:
        pipeline = make_pipeline(client, "patient", f"postgresql://postgres@127.0.0.1:{port}/{name}")
        own = f"host={postgres.socket} user=postgres dbname={name}"
        with psycopg.connect(own, autocommit=True) as connection:
            connection.execute("create table counts (word text, number integer)")

            info = egressing(client, pipeline)
            phase = last_phase(sending, info.job)
            commit = client.pfs.inspect_commit(commit=info.output_commit)
            with forwarded(f"{postgres.socket}/.s.PGSQL.5432", port):
                end = ended(client, pipeline, info.job.id)

            assert phase[0] == "EGRESSING"
            assert phase[1].partition(";")[0] == info.reason.partition(";")[0]
            assert commit.finished.timestamp() == 0.0
            assert (end.state, end.reason) == (pps.JobState.JOB_SUCCESS, "")
            assert connection.execute("select * from counts").fetchall() == [("to", 2)]


def test_a_job_can_be_stopped_while_its_target_refuses_and_is_repeated_after_a_crash(
    sending: Server, client: Client, port: int
) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/counts": b"to,2\n"})
    pipeline = make_pipeline(client, "stopped", f"postgresql://postgres@127.0.0.1:{port}/words")
    info = egressing(client, pipeline)
    sending.kill()
    sending.start()
    client = sending.client()
    again = egressing(client, pipeline)

    client.pps.stop_job(job=info.job)

    assert again.job == info.job
    assert ended(client, pipeline, info.job.id).state == pps.JobState.JOB_KILLED


def test_an_egress_that_can_never_succeed_fails_its_job(
    client: Client, folder: Path, database: sqlite3.Connection
) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/counts": b"to,two\n"})
    pipeline = make_pipeline(client, "wrong", f"sqlite://{folder}/words.db")

    info = ended(client, pipeline, newest(client, pipeline).job.id)

    assert info.state == pps.JobState.JOB_FAILURE
    assert "two" in info.reason
    assert list(database.execute("select * from counts")) == []


def test_a_target_that_the_server_may_not_reach_is_refused_with_the_spec(
    client: Client, tmp_path: Path
) -> None:
    make_repo(client, "words")

    error = refusal(lambda: make_pipeline(client, "elsewhere", f"sqlite://{tmp_path}/words.db"))

    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.slow
def test_files_of_a_job_go_to_a_bucket_which_may_refuse_them_for_a_while_but_not_be_missing(
    tmp_path: Path, s3: S3Server
) -> None:
    way = BadWay(s3.address)
    server = Server(
        tmp_path / "data",
        environment=s3.environment(address=way.address),
        options=["--outbound", "s3://sent"],
    )
    client = server.start().client()
    try:
        branch = make_repo(client, "words")
        put(client, branch, {"/to": b"2"})
        spec = {
            "pipeline": {"name": "upload"},
            "input": {"pfs": {"repo": "words", "glob": "/"}},
            "transform": {"cmd": ["sh"], "stdin": ["cp /pfs/words/* /pfs/out"]},
            "egress": {"object_storage": {"url": "s3://sent/counts"}},
        }
        client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
        pipeline = pps.Pipeline(name="upload")
        missing = ended(client, pipeline, newest(client, pipeline).job.id)
        s3.make_bucket("sent")
        way.go_wrong("503", "PUT", times=1_000)

        put(client, branch, {"/be": b"1"})
        job = newest(client, pipeline).job
        until(lambda: way.pending < 998, "refusals that were answered by repetitions")
        waiting = client.pps.inspect_job(job=job)
        way.well()
        sent = ended(client, pipeline, job.id)

        assert missing.state == pps.JobState.JOB_FAILURE
        assert "s3://sent/counts" in missing.reason
        assert waiting.state == pps.JobState.JOB_EGRESSING
        assert (sent.state, sent.reason) == (pps.JobState.JOB_SUCCESS, "")
        assert s3.contents("sent") == {"counts/to": b"2", "counts/be": b"1"}
        assert last_phase(server, sent.job)[0] == "EGRESSING"
    finally:
        server.close()
        way.close()
