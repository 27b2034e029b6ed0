"""Output formats, and errors as JSON."""

from __future__ import annotations

import json

import grpc
from cli_messages import Refusal, commit, pipeline, repo
from test_cli_commands import ID, NOON

from trunkline.rpc.gen import explain_pb2, pfs_pb2, pps_pb2


def test_columns_are_chosen_by_name_in_any_order(run, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("images"), created=NOON, description="b, c")]

    assert (
        run("list", "repo", "--columns", "description,NAME").out == "DESCRIPTION  NAME\nb, c         images\n"
    )
    assert (
        run("list", "repo", "--columns", "description,name", "-o", "csv").out
        == 'description,name\n"b, c",images\n'
    )
    outcome = run("list", "repo", "--columns", "owner")
    assert outcome.code == 2
    assert "owner" in outcome.err
    assert "project, name, created" in outcome.err


def test_jq_is_applied_to_each_document(run, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo(name), created=NOON) for name in ("a", "b")]

    assert run("list", "repo", "--jq", ".repo.name").out == "a\nb\n"
    assert (
        run("list", "repo", "--jq", "{name: .repo.name}", "-o", "jsonl").out
        == '{"name": "a"}\n{"name": "b"}\n'
    )
    outcome = run("list", "repo", "--jq", ".[")
    assert outcome.code == 2
    assert "--jq .[" in outcome.err


def test_tables_show_the_beginning_of_ids_and_wide_ones_all(run, server):
    server.answers["ListCommit"] = [pfs_pb2.CommitInfo(commit=commit("images", ID), started=NOON)]

    assert ID not in run("list", "commit", "images").out
    assert ID[:12] in run("list", "commit", "images").out
    assert ID in run("list", "commit", "images", "-o", "wide").out


def test_errors_are_json_where_json_is_asked_for(run, server):
    server.answers["InspectRepo"] = Refusal(grpc.StatusCode.NOT_FOUND, "repo default/none does not exist")

    outcome = run("inspect", "repo", "none", "-o", "json")

    assert outcome.code == 3
    assert outcome.out == ""
    error = json.loads(outcome.err)
    assert error.pop("see").startswith("http://")
    assert error == {"code": "NOT_FOUND", "exit_code": 3, "message": "repo default/none does not exist"}


def test_a_mistyped_command_line_is_json_too(run):
    outcome = run("list", "repo", "--raw", "--columns", "owner", "--nonsense")

    assert outcome.code == 2
    assert json.loads(outcome.err)["code"] == "USAGE"


def test_a_change_is_an_object_where_json_is_asked_for(run):
    outcome = run("create", "repo", "images", "-o", "json")

    assert json.loads(outcome.out) == {"change": "created", "kind": "repo", "name": "default/images"}
    assert outcome.err == ""


def test_a_change_is_one_line_on_standard_error_unless_quiet(run):
    assert (
        run("delete", "branch", "images@old").err == "deleted branch default/images@old; its commits stay\n"
    )
    assert run("delete", "branch", "images@old", "-q") == (0, "", "")


LONG = "the command ended with exit code 3 because the file that it reads is not a picture of any known kind"


def test_a_long_reason_is_broken_into_lines_of_80_columns_also_in_a_pipe(run, server):
    job = pps_pb2.Job(pipeline=pipeline("count"), id=ID)
    server.answers["InspectJob"] = pps_pb2.JobInfo(job=job, state=pps_pb2.JOB_FAILURE, reason=LONG)

    lines = run("inspect", "job", f"count@{ID}").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert LONG in " ".join(" ".join(lines).split())


def test_the_sentences_of_explain_are_broken_below_each_other(run, server):
    phases = [explain_pb2.Phase(kind="RUNNING", seconds=3, sentence=LONG)]
    server.answers["ExplainJob"] = explain_pb2.JobExplanation(state="failure", reason=LONG, phases=phases)

    lines = run("explain", "job", f"count@{ID}").out.splitlines()

    assert max(map(len, lines)) <= 80
    indent = lines[0].index("WHY")
    assert lines[1][indent:].startswith("the command ended")
    assert lines[2][:indent].strip() == ""


def test_the_origin_of_a_file_fits_80_columns_and_is_whole_in_csv(run, server):
    sources = [
        explain_pb2.LineageFile(repo="default/photographs", commit_id=ID, path=f"/holidays/{name}.png")
        for name in ("beach", "mountain")
    ]
    images = [explain_pb2.LineageFile(repo="default/edges", commit_id=ID, path="/holidays/beach-edges.png")]
    step = explain_pb2.LineageStep(
        depth=1,
        project="default",
        pipeline="edges",
        job_id=ID,
        datum_id="d" * 64,
        inputs=sources,
        outputs=images,
    )
    server.answers["ExplainFile"] = [step]

    table = run("explain", "file", "edges@master:/holidays/beach-edges.png").out.splitlines()
    csv = run("explain", "file", "edges@master:/holidays/beach-edges.png", "-o", "csv").out

    assert max(map(len, table)) <= 80
    assert table[1].split()[:3] == ["1", "edges@01234567", "dddddddd"]
    assert "/holidays/mountain.png" in csv
    assert "/holidays/beach-edges.png" in csv
