"""Questions before data is lost, and dry runs."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest
from cli_messages import commit, pipeline, repo

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import load
from trunkline.rpc.gen import control_pb2, machines_pb2, pfs_pb2, pps_pb2

ID = "0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1"
SWEEPING = [
    ["delete", "repo", "--all"],
    ["delete", "pipeline", "--all"],
    ["delete", "project", "art", "--force"],
    ["delete", "transaction", "--all"],
    ["delete", "all"],
]
#: Calls that change something.
CHANGES = {"DeleteRepo", "DeleteRepos", "DeletePipeline", "DeletePipelines", "DeleteProject", "DeleteAll", "DropCommit",
           "SquashCommit", "ModifyFile", "DeleteBranch", "DeleteJob", "DeleteSecret", "DeleteImage",
           "RevokeWorkerToken"}  # fmt: skip


@pytest.fixture
def full(server):
    """A server with a repo of two commits, and a pipeline."""
    server.answers |= {
        "InspectRepo": pfs_pb2.RepoInfo(repo=repo("texts"), details={"size_bytes": 2048}),
        "ListRepo": [pfs_pb2.RepoInfo(repo=repo("texts")), pfs_pb2.RepoInfo(repo=repo("images"))],
        "ListCommit": [pfs_pb2.CommitInfo(commit=commit("texts", ID))] * 2,
        "InspectCommit": pfs_pb2.CommitInfo(commit=commit("texts", ID), size_bytes_upper_bound=2048),
        "InspectFile": pfs_pb2.FileInfo(file_type=pfs_pb2.FileType.FILE),
        "ListPipeline": [pps_pb2.PipelineInfo(pipeline=pipeline("count"))],
        "DeleteRepo": pfs_pb2.DeleteRepoResponse(deleted=True),
        "ListImage": [control_pb2.ImageInfo(name="wordcount:1")],
        "ListWorkerToken": [machines_pb2.WorkerTokenInfo(id="5f0c2a9e1b7d4c36")],
    }
    return server


@pytest.mark.parametrize("words", SWEEPING)
def test_without_a_terminal_everything_of_a_kind_is_deleted_only_with_yes(run, full, words):
    outcome = run(*words)

    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert CHANGES.isdisjoint(full.asked)
    assert run(*words, "--yes").code == 0
    assert not CHANGES.isdisjoint(full.asked)


def test_without_a_terminal_what_is_named_is_deleted_without_a_question(run, full):
    assert run("delete", "repo", "texts").code == 0

    assert set(full.asked) == {"DeleteRepo"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["delete", "repo", "texts"], "would delete repo default/texts (2 commits, 2.0 KiB on master)"),
        (
            ["delete", "pipeline", "count"],
            "would delete pipeline default/count (output: 2 commits, 2.0 KiB on master)",
        ),
        (["delete", "pipeline", "count", "--keep-repo"], "would delete pipeline default/count"),
        (["delete", "commit", "texts@master"], f"would delete commit default/texts@{ID} (≤ 2.0 KiB)"),
        (["squash", "commit", "texts@master"], f"would delete commit default/texts@{ID} (≤ 2.0 KiB)"),
        (["delete", "file", "texts@master:/a"], "would delete file texts@master:/a"),
        (["delete", "branch", "texts@dev"], "would delete branch default/texts@dev"),
        (["delete", "job", f"count@{ID}"], f"would delete job default/count@{ID}"),
        (["delete", "secret", "db"], "would delete secret db (its values cannot be read back)"),
        (["delete", "project", "art"], "would delete project art"),
        (["delete", "image", "wordcount:1"], "would delete image wordcount:1"),
        (["revoke", "worker-token", "5f0c2a9e1b7d4c36"], "would delete worker token 5f0c2a9e1b7d4c36"),
    ],
)
def test_a_dry_run_shows_what_would_be_deleted_and_changes_nothing(run, full, words, line):
    outcome = run(*words, "--dry-run")

    assert outcome == (0, f"{line}\n", "")
    assert CHANGES.isdisjoint(full.asked)


def test_a_dry_run_prints_json_where_json_is_asked_for(run, full):
    outcome = run("delete", "repo", "--all", "--dry-run", "-o", "json")

    assert [json.loads(line)["name"] for line in outcome.out.splitlines()] == [
        "default/texts",
        "default/images",
    ]


@pytest.mark.parametrize(
    "name", [name for name in TABLE if name.split()[0] in ("delete", "revoke", "squash")]
)
def test_every_deletion_can_be_tried_first(name):
    options = {option for argument in load(name).arguments for option in argument.names}

    assert "--dry-run" in options or name == "delete defaults"  # which has its own option


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_a_terminal_is_asked_with_the_count(spawn, full, answer, code):
    leader, follower = pty.openpty()
    process = spawn("delete", "repo", "--all", stdin=follower, stderr=follower)
    os.close(follower)
    os.write(leader, answer)

    status = process.wait(30)
    printed = os.read(leader, 10_000).decode()
    os.close(leader)
    assert status == code
    assert "repo default/images (2 commits, 2.0 KiB on master)" in printed
    assert "delete these 2? [y/N]" in printed
    assert ("DeleteRepos" in full.asked) == (code == 0)


@pytest.mark.parametrize(("answer", "code"), [(b"y\ny\n", 0), (b"n\n", 2), (b"", 2)])
def test_everything_is_deleted_by_an_answer_in_a_pipe(spawn, full, answer, code):
    process = spawn("delete", "all", stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    process.communicate(answer, 30)

    assert process.returncode == code
    assert full.asked.get("DeleteAll", []).__len__() == (0 if code else 3)


def test_pruning_needs_yes_without_a_terminal(run, server, tmp_path):
    (tmp_path / "a.json").write_text('{"pipeline": {"name": "a"}}')
    changes = [control_pb2.PipelineChange(action="delete", project="default", pipeline="old")]
    server.answers["Apply"] = control_pb2.ApplyResponse(changes=changes)

    assert run("apply", "-f", str(tmp_path), "--prune").code == 2
    assert [request.dry_run for request in server.asked["Apply"]] == [True]
    assert run("apply", "-f", str(tmp_path), "--prune", "--yes").code == 0
    assert server.asked["Apply"][-1].dry_run is False
