"""Transactions through the command line, against a real server."""

from __future__ import annotations

import pytest

from trunkline.cli.exit_codes import USAGE
from trunkline.cli.main import main

SPECS = """
pipeline: {name: second}
input: {pfs: {repo: first, glob: "/*"}}
transform: {cmd: ["true"]}
---
pipeline: {name: third}
input: {pfs: {repo: second, glob: "/*"}}
transform: {cmd: ["true"]}
"""


@pytest.fixture
def run(server, tmp_path, monkeypatch, capfd):
    """Run a command against the server; return its exit code, what it prints, and its notes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*words):
        code = main([*words, "--address", server.address])
        captured = capfd.readouterr()
        return code, captured.out.strip(), captured.err.strip()

    return run


def repos(run):
    return names(run, "repo")


def names(run, noun):
    """Return the names of what a list shows, all of the default project."""
    return sorted(name.removeprefix("default/") for name in run("list", noun, "-o", "name")[1].split())


def test_commands_between_start_and_finish_are_done_together(run, tmp_path):
    (tmp_path / "specs.yaml").write_text(SPECS)

    id = run("start", "transaction")[1]
    created = run("create", "repo", "first")
    run("create", "pipeline", "-f", str(tmp_path / "specs.yaml"))
    commit = run("start", "commit", "first@master")
    before = repos(run)
    listing = run("inspect", "transaction")[1]
    finished = run("finish", "transaction")
    after = run("create", "repo", "alone")

    assert created[0] == 0
    assert id in created[2]
    assert "inconsistent dependencies" in commit[2]
    assert before == []
    assert "create repo default/first" in listing
    assert "create pipeline default/third" in listing
    assert finished[0] == 0
    assert after == (0, "", "created repo default/alone")
    assert repos(run) == ["alone", "first", "second", "third"]


def test_a_transaction_is_left_and_continued_and_deleted(run):
    id = run("start", "transaction")[1]
    again = run("start", "transaction")
    run("stop", "transaction")
    run("create", "repo", "outside")
    missing = run("finish", "transaction")
    run("resume", "transaction", id)
    run("create", "repo", "inside")
    listed = run("list", "transaction", "-o", "name")[1]
    deleted = run("delete", "transaction")

    assert again[0] == USAGE
    assert id in again[2]
    assert missing[0] == USAGE
    assert listed == id
    assert deleted[0] == 0
    assert repos(run) == ["outside"]
    assert run("resume", "transaction", id)[0] != 0
    assert run("delete", "transaction", "--all", "--yes")[0] == 0


def test_several_specs_of_a_file_are_created_together_or_not_at_all(run, tmp_path):
    specs = tmp_path / "specs.yaml"
    specs.write_text(SPECS)
    refused = run("create", "pipeline", "-f", str(specs))
    run("create", "repo", "first")

    created = run("create", "pipeline", "-f", str(specs))

    assert refused[0] != 0
    assert 'create_pipeline_v2 "second"' in refused[2]
    assert created[0] == 0
    assert names(run, "pipeline") == ["second", "third"]
