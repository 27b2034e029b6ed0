"""The table of bad inputs: each is answered with a status and a sentence, and harms nothing else."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from pachyderm_sdk.api import pfs, pps
from processes import command_of
from servers import (
    PATIENCE,
    Server,
    ended,
    files_of,
    job_of,
    make_pipeline,
    make_repo,
    pfs_input,
    put,
    refusal,
    shell,
    until,
)

from trunkline.rpc.gen import pfs_pb2, pps_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pachyderm_sdk import Client

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
GOOD: dict[str, Any] = {
    "pipeline": {"name": "edges"},
    "transform": {"cmd": ["true"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}


@pytest.fixture
def client(shared: Server) -> Iterator[Client]:
    client = shared.client()
    yield client
    client.pps.delete_all()
    client.pfs.delete_all()


# --- specifications -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        pytest.param({"autoscalling": True}, INVALID, "autoscalling", id="unknown field"),
        pytest.param({"autoscaling": "often"}, INVALID, "autoscaling", id="wrong type"),
        pytest.param(
            {"input": {"pfs": {"repo": "nowhere", "glob": "/*"}}},
            MISSING,
            "repo default/nowhere not found",
            id="missing repo",
        ),
        pytest.param({"input": {"pfs": {"repo": "images", "glob": "/[a"}}}, INVALID, "/[a", id="bad glob"),
        pytest.param({"input": {"pfs": {"repo": "images"}}}, INVALID, "glob", id="no glob"),
        pytest.param({"parallelism_spec": {"constant": -1}}, INVALID, "parallelism_spec", id="negative"),
        pytest.param({"resource_requests": {"memory": "4Gigs"}}, INVALID, "4Gigs", id="memory"),
        pytest.param({"pipeline": {"name": "ed ges"}}, INVALID, "ed ges", id="bad name"),
        pytest.param({"pipeline": {}}, INVALID, "name", id="no name"),
        pytest.param({"output_branch": "a b"}, INVALID, "output_branch: ", id="bad branch"),
        pytest.param(
            {"transform": {"cmd": ["true"], "secrets": [{"name": "no", "mount_path": "/no"}]}},
            MISSING,
            "transform.secrets[0]: ",
            id="missing secret",
        ),
        pytest.param({"egress": {"URL": "ftp://x/y"}}, INVALID, "egress: ", id="unknown target"),
        pytest.param(
            {"egress": {"URL": "https://x/y"}}, INVALID, "egress: ", id="target that takes no files"
        ),
        pytest.param(
            {"egress": {"sql_database": {"url": "mysql://u@127.0.0.1/x", "file_format": {"type": "CSV"}}}},
            grpc.StatusCode.PERMISSION_DENIED,
            "egress: ",
            id="target in the server's own network",
        ),
        pytest.param(
            {"egress": {"sql_database": {"url": "s3://bucket/y", "file_format": {"type": "CSV"}}}},
            INVALID,
            "egress: ",
            id="target that is no database",
        ),
        pytest.param({"transform": {}}, INVALID, "cmd", id="no command"),
        pytest.param({"input": {}}, INVALID, "input", id="no input"),
    ],
)
def test_a_bad_specification_is_refused_by_name_and_makes_nothing(
    client: Client, change: dict[str, Any], status: grpc.StatusCode, sentence: str
) -> None:
    make_repo(client, "images")

    error = refusal(
        lambda: client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(GOOD | change))
    )

    assert (error.code(), error.details().count("\n")) == (status, 0)
    assert sentence in error.details()
    assert list(client.pps.list_pipeline()) == []
    assert [info.repo.name for info in client.pfs.list_repo()] == ["images"]


def test_broken_json_is_refused_with_line_and_column(client: Client) -> None:
    text = '{"pipeline": {"name": "edges"},\n "input": }'

    error = refusal(lambda: client.pps.create_pipeline_v2(create_pipeline_request_json=text))

    assert error.code() is INVALID
    assert "line 2" in error.details()
    assert "column 11" in error.details()


def test_a_constant_of_zero_is_refused_where_it_can_be_told_from_unset(client: Client) -> None:
    """In a message zero and unset are the same; JSON tells them apart."""
    make_repo(client, "images")
    spec = GOOD | {"parallelism_spec": {"constant": 0}}

    error = refusal(lambda: client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec)))

    assert error.code() is INVALID
    assert "parallelism_spec.constant" in error.details()


def test_a_pipeline_named_like_a_repo_is_refused(client: Client) -> None:
    make_repo(client, "images")
    make_repo(client, "edges")

    error = refusal(lambda: make_pipeline(client, "edges", "true", "images"))

    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error.details() == (
        'pipeline "edges" cannot be created: a repo with that name already exists in project "default";'
        " choose another name or delete the repo"
    )


def test_a_pipeline_that_exists_is_not_made_again(client: Client) -> None:
    make_repo(client, "images")
    make_pipeline(client, "edges", "true", "images")

    error = refusal(lambda: make_pipeline(client, "edges", "true", "images"))

    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert (
        error.details()
        == 'pipeline "edges" already exists; change it with update pipeline (the field update)'
    )


def test_a_pipeline_that_would_feed_itself_is_refused(client: Client) -> None:
    make_repo(client, "images")
    make_pipeline(client, "first", "true", "images")
    make_pipeline(client, "second", "true", "first")

    error = refusal(lambda: make_pipeline(client, "first", "true", "second", update=True))

    assert error.code() is INVALID
    assert error.details() == (
        "cyclic provenance: branch 'master' of repo default/first would depend on itself;"
        " leave out the edge that closes the circle"
    )
    assert client.pps.inspect_pipeline(pipeline=pps.Pipeline(name="first")).version == 1


def test_writing_into_the_output_of_a_pipeline_is_refused_and_says_where_to_write(client: Client) -> None:
    make_repo(client, "images")
    make_pipeline(client, "edges", "true", "images")

    error = refusal(lambda: put(client, pfs.Branch.from_uri("edges@master"), {"/a": b"1"}))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == (
        "cannot start a commit on an output branch: default/edges@master is made from"
        " default/images@master; write there instead"
    )


def test_deleting_an_input_or_an_output_repo_is_refused(client: Client) -> None:
    make_repo(client, "images")
    make_pipeline(client, "edges", "true", "images")

    for name in ("images", "edges"):
        error = refusal(lambda name=name: client.pfs.delete_repo(repo=pfs.Repo.from_uri(name)))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "edges" in error.details()


@pytest.mark.parametrize("call", ["inspect_pipeline", "start_pipeline", "stop_pipeline", "rerun_pipeline"])
def test_a_pipeline_that_is_not_there_is_not_found(client: Client, call: str) -> None:
    more = {"must_exist": True} if call == "stop_pipeline" else {}

    error = refusal(lambda: getattr(client.pps, call)(pipeline=pps.Pipeline(name="nobody"), **more))

    assert error.code() is MISSING
    assert error.details() == 'pipeline "default/nobody" not found'


def test_a_job_or_datum_that_is_not_there_is_not_found(client: Client) -> None:
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", "true", "images")
    commit = put(client, images, {"/a": b"1"})
    ended(client, edges, commit)
    strange = "0" * 32

    job = refusal(lambda: client.pps.inspect_job(job=job_of(edges, strange)))
    datum = refusal(
        lambda: client.pps.inspect_datum(datum=pps.Datum(job=job_of(edges, commit), id="ab" * 32))
    )

    assert (job.code(), job.details()) == (MISSING, f"job default/edges@{strange} not found")
    assert (datum.code(), datum.details()) == (MISSING, f"datum {'ab' * 32} not found in job {commit}")


# --- limits -------------------------------------------------------------------------------------------------


def raw(server: Server, name: str, request: Any, reply: Any = None) -> list[Any]:
    """Call an RPC whose reply is a stream, without the SDK."""
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_stream(
            f"/{name}", type(request).SerializeToString, reply.FromString if reply else None
        )
        return list(call(request, timeout=PATIENCE))


def leaf(number: int) -> pps_pb2.Input:
    return pps_pb2.Input(pfs=pps_pb2.PfsInput(repo="images", name=f"i{number}", glob="/*"))


SPAN = duration_pb2.Duration(seconds=2**62)
NO_TIME = timestamp_pb2.Timestamp(nanos=-1)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        pytest.param(
            "pps_v2.API/ListDatum",
            pps_pb2.ListDatumRequest(input=pps_pb2.Input(cross=[leaf(i) for i in range(20)]), number=1),
            id="a cross of a million datums",
        ),
        pytest.param(
            "pps_v2.API/ListDatum",
            pps_pb2.ListDatumRequest(
                input=leaf(0),
                filter=pps_pb2.ListDatumRequest.Filter(state=[999]),  # type: ignore[list-item]
            ),
            id="an unknown state",
        ),
        pytest.param("pps_v2.API/QueryLoki", pps_pb2.LokiRequest(since=SPAN), id="since of QueryLoki"),
        pytest.param(
            "pps_v2.API/GetKubeEvents", pps_pb2.LokiRequest(since=SPAN), id="since of GetKubeEvents"
        ),
        pytest.param(
            "pps_v2.API/GetLogs",
            pps_pb2.GetLogsRequest(pipeline=pps_pb2.Pipeline(name="x"), since=SPAN),
            id="since of GetLogs",
        ),
        pytest.param(
            "pps_v2.API/ListJob", pps_pb2.ListJobRequest(pagination_marker=NO_TIME), id="marker of ListJob"
        ),
        pytest.param(
            "pfs_v2.API/ListCommit",
            pfs_pb2.ListCommitRequest(repo=pfs_pb2.Repo(name="images"), started_time=NO_TIME),
            id="started_time of ListCommit",
        ),
        pytest.param(
            "pfs_v2.API/ListRepo",
            pfs_pb2.ListRepoRequest(page=pfs_pb2.RepoPage(page_size=2**53, page_index=2**63 - 1)),
            id="page of ListRepo",
        ),
    ],
)
def test_a_value_out_of_range_is_the_callers_fault(
    shared: Server, client: Client, name: str, request_: Any
) -> None:
    branch = make_repo(client, "images")
    put(client, branch, {"/a": b"1", "/b": b"2"})

    with pytest.raises(grpc.RpcError) as caught:
        raw(shared, name, request_)

    assert caught.value.code() is INVALID  # type: ignore[attr-defined]


def test_a_marker_that_is_no_datum_is_the_callers_fault(shared: Server, client: Client) -> None:
    branch = make_repo(client, "images")
    pipeline = make_pipeline(client, "edges", "true", "images")
    commit = put(client, branch, {"/a": b"1"})
    ended(client, pipeline, commit)

    job = pps_pb2.Job(pipeline=pps_pb2.Pipeline(name="edges"), id=commit)
    with pytest.raises(grpc.RpcError) as caught:
        raw(shared, "pps_v2.API/ListDatum", pps_pb2.ListDatumRequest(job=job, pagination_marker="zz"))

    assert caught.value.code() is INVALID  # type: ignore[attr-defined]


def test_a_long_image_name_harms_no_list_and_no_other_pipeline(client: Client) -> None:
    branch = make_repo(client, "images")
    odd = make_pipeline(
        client, "odd", "true", "images", transform=pps.Transform(cmd=["true"], image="é" * 250)
    )
    plain = make_pipeline(client, "plain", "true", "images")

    commit = put(client, branch, {"/a": b"1"})

    assert ended(client, plain, commit).state == pps.JobState.JOB_SUCCESS
    assert ended(client, odd, commit).state == pps.JobState.JOB_SUCCESS
    assert len(list(client.pps.list_pipeline(details=True))) == 2


# --- commands -----------------------------------------------------------------------------------------------


def run(client: Client, script: str, **spec: Any) -> tuple[pps.JobInfo, str]:
    """Run a script on one datum; return how its job ended and what was logged."""
    images = make_repo(client, "images")
    edges = make_pipeline(client, "edges", script, "images", **spec)
    job = ended(client, edges, put(client, images, {"/a": b"content"}))
    lines = client.pps.get_logs(job=job.job)
    return job, "\n".join(line.message.rstrip("\n") for line in lines)


def failed_datum(client: Client, job: pps.JobInfo) -> str:
    [datum] = client.pps.list_datum(job=job.job)
    assert datum.state == pps.DatumState.FAILED
    return datum.datum.id


def test_a_command_that_does_not_exist_fails_its_job_by_name(client: Client) -> None:
    job, _ = run(client, "", transform=pps.Transform(cmd=["no-such-command", "-v"]))

    assert job.state == pps.JobState.JOB_FAILURE
    assert job.reason.endswith(f"(datum {failed_datum(client, job)})")
    assert "no-such-command" in job.reason


def test_a_command_that_exits_with_1_fails_its_job_after_its_tries_and_its_words_are_kept(
    client: Client,
) -> None:
    job, log = run(client, "echo tried; echo complaint >&2; exit 1", datum_tries=2)

    assert job.state == pps.JobState.JOB_FAILURE
    assert job.reason.startswith("/a: exit code 1")
    assert job.reason.endswith(f"(datum {failed_datum(client, job)})")
    assert log.count("tried") == 2
    assert "complaint" in log
    assert files_of(client, "edges@master") == {}


def test_an_accepted_return_code_is_a_success(client: Client) -> None:
    transform = pps.Transform(cmd=["sh", "-c", "exit 3"], accept_return_code=[3])

    job, _ = run(client, "", transform=transform)

    assert job.state == pps.JobState.JOB_SUCCESS


def test_a_command_that_writes_nothing_is_a_success(client: Client) -> None:
    job, _ = run(client, "true")

    assert job.state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "edges@master") == {}


def test_a_command_that_is_killed_fails_its_job_with_the_signal(client: Client) -> None:
    job, _ = run(client, "kill -9 $$", datum_tries=1)

    assert job.state == pps.JobState.JOB_FAILURE
    assert "SIGKILL" in job.reason


def test_a_command_that_takes_too_long_fails_its_job_and_is_gone(shared: Server, client: Client) -> None:
    job, _ = run(client, "sleep 4711", datum_timeout=datetime.timedelta(seconds=1), datum_tries=1)

    assert job.state == pps.JobState.JOB_FAILURE
    assert "1 s" in job.reason
    assert not [child for child in shared.descendants() if "4711" in " ".join(command_of(child))]


def test_a_command_that_writes_to_its_input_changes_nothing_that_is_stored(client: Client) -> None:
    job, _ = run(client, "echo more >>/pfs/images/a || true; cat /pfs/images/a >/pfs/out/a", datum_tries=1)

    assert job.state in (pps.JobState.JOB_SUCCESS, pps.JobState.JOB_FAILURE)
    assert files_of(client, "images@master") == {"/a": b"content"}


def test_a_command_that_leaves_children_behind_is_not_waited_for_and_they_end(
    shared: Server, client: Client
) -> None:
    job, _ = run(client, "setsid sleep 4712 & echo done >/pfs/out/a")

    assert job.state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "edges@master") == {"/a": b"done\n"}
    until(
        lambda: not [child for child in psutil.process_iter() if "4712" in command_of(child)],
        "the child that was left behind to end",
    )


def test_a_command_that_prints_100_megabytes_is_a_success_and_the_log_says_what_was_cut(
    client: Client,
) -> None:
    job, log = run(
        client, "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 1000; echo written >/pfs/out/a"
    )

    assert job.state == pps.JobState.JOB_SUCCESS
    assert files_of(client, "edges@master") == {"/a": b"written\n"}
    assert len(log) < 50_000_000
    assert "dropped" in log or "cut" in log


def test_a_bad_datum_does_not_disturb_other_pipelines(client: Client) -> None:
    images = make_repo(client, "images")
    bad = make_pipeline(client, "bad", "exit 1", "images", datum_tries=1)
    good = make_pipeline(client, "good", "cp /pfs/images/* /pfs/out/", "images")
    below = make_pipeline(client, "below", "true", "bad")

    commit = put(client, images, {"/a": b"1"})

    assert ended(client, bad, commit).state == pps.JobState.JOB_FAILURE
    assert ended(client, good, commit).state == pps.JobState.JOB_SUCCESS
    unrunnable = ended(client, below, commit)
    assert unrunnable.state == pps.JobState.JOB_UNRUNNABLE
    assert unrunnable.reason == (
        f"unrunnable because the following upstream commits failed: default/bad@{commit}"
    )


def test_a_pipeline_recovers_when_its_input_does(client: Client) -> None:
    images = make_repo(client, "images")
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name="edges"),
        input=pfs_input("images"),
        transform=shell("grep good /pfs/images/* >/pfs/out/a"),
        datum_tries=1,
        autoscaling=True,
    )
    edges = pps.Pipeline(name="edges")

    first = ended(client, edges, put(client, images, {"/a": b"bad"}))
    second = ended(client, edges, put(client, images, {"/a": b"good"}))

    assert (first.state, second.state) == (pps.JobState.JOB_FAILURE, pps.JobState.JOB_SUCCESS)
    assert files_of(client, "edges@master") == {"/a": b"good\n"}
