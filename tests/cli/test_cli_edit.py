"""Changing a spec in an editor, contexts without using them, and commits that changed a file."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
from cli_messages import Refusal, commit, pipeline
from test_cli_commands import ID

from trunkline.rpc.gen import pfs_pb2, pps_pb2

SPEC = {"pipeline": {"name": "edges"}, "transform": {"cmd": ["true"]}}


@pytest.fixture
def edges(server):
    server.answers["InspectPipeline"] = pps_pb2.PipelineInfo(
        pipeline=pipeline("edges"), user_spec_json=json.dumps(SPEC)
    )


def test_a_spec_that_was_changed_in_the_editor_is_sent(run, server, edges):
    outcome = run("edit", "pipeline", "edges", "--editor", "sed -i s/true/false/")

    assert outcome == (0, "", "updated pipeline default/edges\n")
    request = server.only("CreatePipelineV2")
    assert json.loads(request.create_pipeline_request_json)["transform"] == {"cmd": ["false"]}
    assert (request.update, request.reprocess) == (True, False)


def test_a_spec_that_stays_as_it_was_is_not_sent(run, server, edges):
    outcome = run("edit", "pipeline", "edges", "--editor", "true")

    assert outcome == (0, "", "pipeline default/edges is unchanged\n")
    assert "CreatePipelineV2" not in server.asked


def test_a_refused_text_is_not_lost(run, server, edges):
    server.answers["CreatePipelineV2"] = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "transform.cmd is not valid"
    )

    outcome = run("edit", "pipeline", "edges", "--editor", "sed -i s/true/false/")

    assert outcome.code == 2
    path = Path(outcome.err.splitlines()[0].rpartition(" ")[2].strip())
    assert "false" in path.read_text(encoding="utf-8")
    path.unlink()


@pytest.mark.parametrize("editor", ["no-such-editor", "false"])
def test_an_editor_that_fails_changes_nothing(run, server, edges, editor):
    outcome = run("edit", "pipeline", "edges", "--editor", editor)

    assert (outcome.code, editor in outcome.err) == (2, True)
    assert "CreatePipelineV2" not in server.asked
    Path(outcome.err.splitlines()[0].rpartition(" ")[2].strip()).unlink()


def test_commits_that_changed_a_file_are_printed_newest_first(run, server):
    server.answers["FindCommits"] = [
        pfs_pb2.FindCommitsResponse(found_commit=commit("images", ID), commits_searched=1),
        pfs_pb2.FindCommitsResponse(last_searched_commit=commit("images", ID), commits_searched=2),
    ]

    assert run("find", "commit", "images@master:/a", "-o", "name").out == f"default/images@{ID}\n"
    assert server.only("FindCommits").file_path == "/a"


def test_a_context_is_changed_and_used_by_separate_commands(run):
    run("config", "set", "context", "lab", "--address", "lab:1")
    run("config", "set", "context", "home", "--address", "home:1")

    assert run("config", "update", "context", "lab", "--address", "lab:2").code == 0
    assert run("config", "set", "context", "lab", "--project", "art").code == 0
    assert run("config", "get", "active-context").out == "home\n"
    assert run("config", "set", "active-context", "lab").code == 0
    assert run("config", "get", "active-context").out == "lab\n"
    assert run("config", "get", "context", "lab").out.split()[:4] == ["address", "lab:2", "project", "art"]
    assert run("config", "set", "active-context", "moon").code == 3
    assert run("config", "update", "context", "moon").code == 3


def test_a_new_context_without_an_address_is_of_the_server_in_use(run, server):
    assert run("config", "set", "context", "art", "--project", "art").code == 0

    assert f"address  {server.address}\nproject  art\n" in run("config", "get", "context", "art").out


def test_a_context_is_updated_with_the_options_of_pachctl_and_is_the_active_one_by_default(run):
    assert run("config", "update", "context", "--project", "art").code == 3
    run("config", "set", "context", "lab", "--address", "lab:1")

    assert run("config", "update", "context", "--pachd-address", "lab:2").code == 0

    assert "lab:2" in run("config", "get", "context", "lab").out


@pytest.mark.parametrize(
    "words",
    [
        ("set", "context", "a b", "--address", "lab:1"),
        ("set", "context", "", "--address", "lab:1"),
        ("set", "context", "new", "--address", "lab:1", "--project", "a/b"),
        ("set", "context", "new", "--address", "lab:port"),
        ("set", "context", "lab"),
        ("update", "context", "lab"),
        ("update", "context", "lab", "--project", "a b"),
    ],
)
def test_a_change_of_a_context_that_is_not_valid_changes_nothing(run, words):
    run("config", "set", "context", "lab", "--address", "lab:1")

    assert run("config", *words).code == 2

    assert run("config", "list", "context").out.splitlines()[1:] == ["*       lab   lab:1"]
