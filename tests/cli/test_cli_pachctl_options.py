"""Options and commands that scripts written for pachctl use."""

from __future__ import annotations

import json
import tarfile
from io import StringIO

import pytest
from cli_messages import commit, pipeline

from trunkline.cli.exit_codes import UsageError
from trunkline.cli.option_reader import OptionReader
from trunkline.cli.parsing import COMMON, load
from trunkline.rpc.gen import admin_pb2, pfs_pb2, pps_pb2


def parsed(command: str, *words: str):
    return vars(OptionReader(command, (*load(command).arguments, *COMMON)).read(words))


@pytest.mark.parametrize(
    ("command", "words", "same"),
    [
        ("list job", ["-x", "--no-color", "--no-pager"], ["--color", "never"]),
        ("list job", ["--expand", "--state", "failure"], ["--state", "failure"]),
        ("put file", ["-c", "-p", "10", "in@master", "-f", "a"], ["in@master", "-f", "a"]),
        (
            "put file",
            ["in@master", "--parallelism=3", "--progress=false", "-f", "a"],
            ["in@master", "-f", "a"],
        ),
        ("get file", ["in@master:/a", "--retry"], ["in@master:/a"]),
        ("create branch", ["in@b", "-t", "master"], ["in@b", "--trigger", "master"]),
        ("squash commit", ["-r", "in@b"], ["--recursive", "in@b"]),
        ("create pipeline", ["-f", "a.json", "--raw"], ["-f", "a.json", "-o", "json"]),
    ],
)
def test_options_of_pachctl_mean_what_they_mean_there(command, words, same):
    assert parsed(command, *words) == parsed(command, *same)


@pytest.mark.parametrize(
    ("command", "words", "option"),
    [
        ("create pipeline", ["-f", "a.json", "--push-images"], "--push-images"),
        ("diff file", ["in@master:/a", "--diff-command", "colordiff"], "--diff-command"),
        ("put file", ["in@master", "-f", "a", "--full-path"], "--full-path"),
    ],
)
def test_an_option_of_pachctl_that_is_refused_says_what_to_do_instead(command, words, option):
    with pytest.raises(UsageError, match=f'"{option}" is an option of pachctl: '):
        parsed(command, *words)


def test_a_template_is_read_from_standard_input(run, server, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("function(a) {}"))
    server.answers["RenderTemplate"] = pps_pb2.RenderTemplateResponse(json='{"pipeline": {"name": "a"}}')

    assert run("create", "pipeline", "--jsonnet", "-", "--arg", "a=1").code == 0

    assert server.asked["RenderTemplate"][0].template == "function(a) {}"


@pytest.mark.parametrize("words", [("list", "commit", "in"), ("subscribe", "commit", "in@master")])
def test_commits_are_chosen_by_their_origin(run, server, words):
    run(*words, "--origin", "auto")

    [request] = [*server.asked.get("ListCommit", []), *server.asked.get("SubscribeCommit", [])]
    assert request.origin_kind == pfs_pb2.OriginKind.AUTO


def test_a_file_of_another_project_is_named_by_an_option(run, server):
    run("copy", "file", "in@master:/a", "out@master:/b", "--src-project", "art", "--dest-project", "lab")

    [[target, copied]] = server.asked["ModifyFile"]
    assert target.set_commit.repo.project.name == "lab"
    assert copied.copy_file.src.commit.repo.project.name == "art"


def test_an_archive_is_put_as_the_files_in_it(run, server, tmp_path):
    (tmp_path / "plays").mkdir()
    (tmp_path / "plays" / "a").write_text("1")
    path = tmp_path / "plays.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "plays", "plays")

    assert run("put", "file", "in@master:/x", "-f", str(path), "--untar").code == 0

    written = {request.add_file.path: request.add_file.raw.value for request in server.asked["ModifyFile"][0]}
    assert written["/x/plays/a"] == b"1"


def test_a_file_that_is_no_archive_is_named(run, server, tmp_path):
    path = tmp_path / "a.tar"
    path.write_text("text")

    outcome = run("put", "file", "in@master", "-f", str(path), "--untar")

    assert outcome.code == 2
    assert str(path) in outcome.err
    assert "ModifyFile" not in server.asked


def test_a_spec_is_edited_as_yaml(run, server, tmp_path, monkeypatch):
    spec = {"pipeline": {"name": "count"}, "transform": {"cmd": ["true"]}}
    server.answers["InspectPipeline"] = pps_pb2.PipelineInfo(
        pipeline=pipeline("count"), user_spec_json=json.dumps(spec)
    )
    monkeypatch.setenv("EDITOR", "sed -i -e s/true/false/")

    assert run("edit", "pipeline", "count", "-o", "yaml").code == 0

    sent = json.loads(server.asked["CreatePipelineV2"][0].create_pipeline_request_json)
    assert sent["transform"] == {"cmd": ["false"]}


def test_metadata_is_edited_in_one_call(run, server):
    words = ["repo", "art/texts", "add", "owner=ann", "commit", "texts@master", "set", '{"run": "7"}']

    assert (
        run(
            "edit", "metadata", *words, "project", "art", "delete", "team", "cluster", ".", "edit", "a=b"
        ).code
        == 0
    )

    [request] = server.asked["EditMetadata"]
    repo, head, project, cluster = request.edits
    assert (repo.repo.name.project.name, repo.add_key.key, repo.add_key.value) == ("art", "owner", "ann")
    assert head.commit.branch_head.name.repo.name.project.name == "default"
    assert dict(head.replace.replacement) == {"run": "7"}
    assert (project.project.name, project.delete_key.key) == ("art", "team")
    assert (cluster.WhichOneof("target"), cluster.edit_key.key) == ("cluster", "a")


@pytest.mark.parametrize(
    "words",
    [
        ("repo", "texts", "add"),
        ("repo", "texts", "add", "owner"),
        ("repo", "texts", "set", ";a=b"),
        ("repo", "texts", "set", '{"a": 1}'),
        ("repo", "texts", "change", "a=b"),
        ("file", "texts@master:/a", "add", "a=b"),
    ],
)
def test_a_wrong_edit_of_metadata_changes_nothing(run, server, words):
    assert run("edit", "metadata", *words).code == 2

    assert "EditMetadata" not in server.asked


def test_a_commit_is_edited_by_its_id(run, server):
    id = "0b9c2f60b4cf4b1e9d3c63f0a4b8f5d1"
    server.answers["InspectCommit"] = pfs_pb2.CommitInfo(commit=commit("texts", id))

    run("edit", "metadata", "commit", f"texts@{id}", "add", "a=b")

    assert server.asked["EditMetadata"][0].edits[0].commit.id.id == id


def test_a_spec_that_names_another_pipeline_is_not_sent(run, server, monkeypatch):
    server.answers["InspectPipeline"] = pps_pb2.PipelineInfo(
        pipeline=pipeline("count"), user_spec_json='{"pipeline": {"name": "count"}}'
    )
    monkeypatch.setenv("EDITOR", "sed -i -e s/count/counts/")

    outcome = run("edit", "pipeline", "count")

    assert outcome.code == 2
    assert "CreatePipelineV2" not in server.asked


def test_the_metadata_of_the_server_is_shown(run, server):
    server.answers["InspectCluster"] = admin_pb2.ClusterInfo(id="7", metadata={"team": "art"})

    assert "team=art" in run("inspect", "cluster").out
