"""Output formats, and errors as JSON."""

from __future__ import annotations

import json

import grpc
from cli_messages import Refusal, commit, repo
from test_cli_commands import ID, NOON

from trunkline.rpc.gen import pfs_pb2


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
    assert json.loads(outcome.err) == {
        "code": "NOT_FOUND",
        "exit_code": 3,
        "message": "repo default/none does not exist",
    }


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
