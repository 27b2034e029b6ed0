"""Rules that hold for every command: exit codes, and JSON on standard output or nothing."""

from __future__ import annotations

import json
import shlex

import grpc
import pytest
from cli_messages import Refusal, commit, pipeline

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import load
from trunkline.rpc.gen import pfs_pb2, pps_pb2

ID = "0123456789ab4def8123456789abcdef"

#: Commands that need no server, need files, end only by a signal, or are for AWS; they have tests of their own.
OTHERS = {
    "apply",
    "plan",
    "serve",
    "worker",
    "completion",
    "run datum",
    "create image",
    "top",
    "version",
    "edit pipeline",
}
WITH_FILES = ("-f", "--file", "--from")


def line_of(name: str) -> list[str]:
    """Return the first example of a command, without the name of the program."""
    return shlex.split(load(name).examples[0][0])[1:]


def calls_a_server(name: str) -> bool:
    if name in OTHERS or name.split()[0] in ("config", "fargate", "nodes", "demo", "debug"):
        return False
    return name == "logs" or not set(WITH_FILES) & set(line_of(name))


ASKING = [name for name in TABLE if calls_a_server(name)]


@pytest.fixture
def refusing(server):
    """A server to which nothing exists that a command names."""

    class Answers(dict):
        def get(self, *_):
            return Refusal(grpc.StatusCode.NOT_FOUND, "no such thing")

    server.answers = Answers()
    return server


@pytest.mark.parametrize("name", [name for name in ASKING if "transaction" not in name])
def test_something_missing_ends_with_3_and_prints_nothing_else(run, refusing, name):
    outcome = run(*line_of(name))

    assert (outcome.code, outcome.out) == (3, "")
    assert "no such thing" in outcome.err


@pytest.mark.parametrize("name", TABLE)
def test_an_unknown_option_ends_with_2_and_asks_no_server(run, server, name):
    outcome = run(*line_of(name), "--no-such-option")

    assert (outcome.code, outcome.out) == (2, "")
    assert "--no-such-option" in outcome.err
    assert not server.asked


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ASKING
        if any("--output" in each.names for each in load(name).arguments) and name != "get file"
    ],
)
def test_standard_output_is_json_or_empty_where_json_is_asked_for(run, server, name):
    words = line_of(name)
    if "-o" in words:
        at = words.index("-o")
        words = [*words[:at], *words[at + 2 :]]

    outcome = run(*words, "-o", "json")

    text = outcome.out.strip()
    while text:
        _, end = json.JSONDecoder().raw_decode(text)
        text = text[end:].strip()
    if outcome.code:
        assert json.loads(outcome.err.splitlines()[-1])["exit_code"] == outcome.code


def test_version_shows_the_client_when_no_server_answers(run, monkeypatch):
    monkeypatch.setenv("TRUNKLINE_ADDRESS", "127.0.0.1:1")

    outcome = run("version")

    assert outcome.code == 6
    assert outcome.out.startswith("client  ")


#: Commands that leave the check of their name to the server.
LEFT_TO_SERVER = {
    "create project", "update project", "inspect project", "delete project", "inspect secret", "delete secret",
    "revoke worker-token", "resume transaction", "delete image",
}  # fmt: skip


def place_of_name(name: str) -> int | None:
    """Return the place of the first argument in the example of a command; None without one there."""
    place, words = len(name.split()), line_of(name)
    return place if words[place:] and not words[place].startswith("-") else None


@pytest.mark.parametrize(
    "name", [name for name in ASKING if name not in LEFT_TO_SERVER and place_of_name(name) is not None]
)
def test_a_name_that_is_not_valid_ends_with_2(run, name):
    words = line_of(name)
    words[place_of_name(name)] = "a//b@@c//"

    outcome = run(*words)

    assert (outcome.code, outcome.out) == (2, "")


@pytest.fixture
def half_failing(server, tmp_path, monkeypatch):
    """A server and files of which one of two is refused, missing or failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a")
    spec = "pipeline: {name: %s}\ntransform: {cmd: [sh]}\n"
    (tmp_path / "specs.yaml").write_text(f"{spec % 'a'}---\n{spec % 'b'}")
    refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "no input")

    def second_is_refused(requests):
        is_second = len(server.asked["CreatePipelineV2"]) > 1
        return (
            refusal
            if is_second
            else pps_pb2.CreatePipelineV2Response(effective_create_pipeline_request_json="{}")
        )

    jobs = [
        pps_pb2.JobInfo(job=pps_pb2.Job(pipeline=pipeline(name), id=ID), state=state)
        for name, state in (("a", pps_pb2.JOB_SUCCESS), ("b", pps_pb2.JOB_FAILURE))
    ]
    commits = [
        pfs_pb2.CommitInfo(commit=commit(name, ID), error=error) for name, error in (("a", ""), ("b", "bad"))
    ]
    server.answers |= {
        "CreatePipelineV2": second_is_refused, "BatchTransaction": refusal,
        "InspectJobSet": jobs, "InspectCommitSet": commits,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("put file a@master -f a.txt gone.txt", 3),
        ("validate pipeline -f specs.yaml", 2),
        ("create pipeline -f specs.yaml", 2),
        ("create pipeline -f specs.yaml --dry-run", 2),
        (f"wait job {ID}", 7),
        (f"inspect job {ID} --wait", 7),
        (f"wait commit {ID}", 7),
    ],
)
def test_a_command_of_which_a_part_fails_does_not_end_with_0(run, half_failing, line, code):
    assert run(*line.split()).code == code
