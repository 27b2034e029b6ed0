"""A failed datum explains itself."""

from __future__ import annotations

import json

import pytest
from cli_messages import pipeline

from trunkline.rpc.gen import console_pb2, explain_pb2, pfs_pb2, pps_pb2

ID = "0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1"
DATUM = "d" * 64
REASON = "exit code 3 (attempt 2 of 2)"
LOG = f"trunkline logs -j count@{ID[:12]} --datum dddddddd"


@pytest.fixture
def failed(server):
    """A server with a job of which one datum failed in two attempts."""
    job = pps_pb2.Job(pipeline=pipeline("count"), id=ID)
    row = console_pb2.DatumLine(id=DATUM, state="failed", paths=["texts /lear.txt"], reason=REASON)
    server.answers |= {
        "InspectJob": pps_pb2.JobInfo(
            job=job, state=pps_pb2.JOB_FAILURE, data_failed=1, reason=f"/lear.txt: {REASON} (datum {DATUM})"
        ),
        "InspectDatum": pps_pb2.DatumInfo(
            datum=pps_pb2.Datum(job=job, id=DATUM), state=pps_pb2.DatumState.FAILED
        ),
        "ExplainDatum": explain_pb2.DatumExplanation(reason=REASON),
        "ListDatumRow": console_pb2.DatumRowPage(rows=[row], total=1),
        "GetLogs": [
            pps_pb2.LogMessage(message="first attempt", user=True),
            pps_pb2.LogMessage(message="failed: exit code 3 (attempt 1 of 2)"),
            pps_pb2.LogMessage(message="reading lear", user=True),
            pps_pb2.LogMessage(message="boom\n", user=True),
            pps_pb2.LogMessage(message="failed: exit code 3 (attempt 2 of 2)"),
        ],
    }
    return server


def test_inspect_job_shows_why_its_first_failed_datum_failed(run, failed):
    lines = run("inspect", "job", f"count@{ID}").out.splitlines()

    assert lines[-4:] == [
        f"Failed datum:     texts:/lear.txt: {REASON}",
        "Last lines:       reading lear",
        "                  boom",
        f"Log:              {LOG}",
    ]
    assert failed.only("ListDatumRow").states == ["failed"]


def test_inspect_datum_shows_reason_last_lines_and_the_command_for_the_log(run, failed):
    lines = run("inspect", "datum", f"count@{ID}", DATUM).out.splitlines()

    assert f"Reason:       {REASON}" in lines
    assert lines[-3:] == ["Last lines:   reading lear", "              boom", f"Log:          {LOG}"]


def test_a_failed_wait_says_what_the_datum_printed_last_and_how_to_see_more(run, failed):
    outcome = run("wait", "job", f"count@{ID}")

    message, hint, see = outcome.err.splitlines()
    assert outcome.code == 7
    assert REASON in message
    assert message.endswith("; last line: boom")
    assert hint == f"hint: {LOG}"
    assert see.startswith(f"see: http://{failed.address}/docs/how-to/")


def test_a_failed_wait_for_a_commit_explains_it_by_its_job(run, failed):
    repo = pfs_pb2.Repo(name="count", type="user", project=pfs_pb2.Project(name="default"))
    commit = pfs_pb2.Commit(repo=repo, id=ID)
    failed.answers["InspectCommit"] = pfs_pb2.CommitInfo(commit=commit, error=REASON)

    message, hint, _see = run("wait", "commit", f"count@{ID}").err.splitlines()

    assert message.endswith("; last line: boom")
    assert hint == f"hint: {LOG}"


def test_the_error_of_a_failed_wait_is_json_where_json_is_asked_for(run, failed):
    outcome = run("wait", "job", f"count@{ID}", "-o", "json")

    error = json.loads(outcome.err)
    assert (error["code"], error["hint"]) == ("JOB_FAILED", LOG)
    assert json.loads(outcome.out)["state"] == "JOB_FAILURE"


def test_a_server_that_cannot_explain_a_job_still_shows_it(run, failed):
    failed.answers["ListDatumRow"] = console_pb2.DatumRowPage()

    outcome = run("wait", "job", f"count@{ID}")

    assert outcome.code == 7
    assert outcome.err.splitlines()[1] == f"hint: trunkline logs -j default/count@{ID}"
