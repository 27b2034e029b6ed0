"""Rules that hold for every command: exit codes, and JSON on standard output or nothing."""

from __future__ import annotations

import json
import shlex

import grpc
import pytest
from cli_messages import Refusal

from trunkline.cli.command_table import TABLE
from trunkline.cli.parsing import load

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
