"""What the Tab key offers, and that the scripts of bash, zsh and fish show it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import threading
import time

import pytest
from cli_messages import Refusal, commit, pipeline, repo
from grpc import StatusCode

from trunkline.cli.command_table import TABLE
from trunkline.cli.completion import candidates, completing, values
from trunkline.cli.parsing import load
from trunkline.rpc.gen import console_pb2, pfs_pb2, pps_pb2

ID = "0123456789ab4def8123456789abcdef"
#: Names of arguments that take any text: a number, a time, a new name, something of another system.
FREE = frozenset(
    """ADDRESS ARN BRANCH BRANCH-OR-ID BYTES COMMAND COMMIT DURATION EDIT EXPRESSION FILTER FORMAT GB HOST:PORT ID IMAGE
    KEY=VALUE KIND N NAME NAME,… NAME=VALUE NAMESPACE N|all|none ORIGIN PATH[,PATH] QUANTITY REGION RULE SCHEDULE
    SECONDS SIZE SOURCE TOKEN TYPE URL None""".split()  # noqa: SIM905 - a list of so many words is no easier to read
)


@pytest.fixture
def offered(server, monkeypatch, tmp_path):
    """Return the texts offered after words, the last being under the cursor."""
    monkeypatch.setenv("TRUNKLINE_ADDRESS", server.address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(candidates, "LIMIT", 20)

    def offered(*words):
        kind, answers = completing.answer(words[-1], words[:-1])
        return kind if kind == "files" else [each.text for each in answers if each.text.startswith(words[-1])]

    return offered


def test_words_of_commands_are_offered(offered):
    assert offered("li") == ["list"]
    assert {"repo", "pipeline", "job"} <= set(offered("list", ""))
    assert offered("list", "re") == ["repo"]
    assert offered("config", "set", "") == ["active-context", "context"]
    assert offered("--address", "a:1", "-q", "insp") == ["inspect"]
    assert "exit-codes" in offered("help", "")
    assert offered("help", "list", "pip") == ["pipeline"]
    assert offered("lst", "") == []


def test_options_are_offered_after_a_command(offered):
    assert offered("list", "repo", "--all-p") == ["--all-projects"]
    assert offered("put", "file", "images@master", "--app") == ["--append"]
    assert offered("list", "jobs", "--proj") == ["--project"]
    assert offered("--addr") == ["--address"]


def test_values_of_options_are_offered(offered):
    assert offered("list", "job", "--state", "fa") == ["failure"]
    assert offered("list", "job", "--state=fa") == ["--state=failure"]
    assert offered("list", "repo", "-o", "js") == ["json", "jsonl"]
    assert offered("create", "pipeline", "-f", "") == "files"
    assert offered("completion", "") == ["bash", "zsh", "fish", "powershell"]


def test_repos_and_what_follows_them_are_offered(offered, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo(name)) for name in ("images", "texts")]
    server.answers["ListBranch"] = [
        pfs_pb2.BranchInfo(branch=pfs_pb2.Branch(repo=repo("images"), name="master"))
    ]
    server.answers["ListCommit"] = [pfs_pb2.CommitInfo(commit=commit("images", ID))]
    server.answers["ListFolder"] = console_pb2.FolderPage(
        entries=[
            console_pb2.FolderEntry(name="cats", folder=True),
            console_pb2.FolderEntry(name="cow.png", size_bytes=5),
        ]
    )

    assert offered("inspect", "repo", "") == ["images", "texts"]
    assert offered("list", "file", "im") == ["images@"]
    assert offered("list", "file", "images@") == ["images@master"]
    assert offered("get", "file", "images@") == ["images@master:/"]
    assert offered("inspect", "commit", "images@01") == [f"images@{ID[:12]}"]
    assert offered("get", "file", "images@master:/ca") == ["images@master:/cats/"]
    assert offered("diff", "file", "images@master:/a/c") == [
        "images@master:/a/cats/",
        "images@master:/a/cow.png",
    ]
    assert server.asked["ListFolder"][-1].path == "/a"


def test_a_name_with_a_project_is_looked_up_in_it(offered, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("images"))]

    assert offered("list", "branch", "lab/im") == ["lab/images"]
    assert server.only("ListRepo").projects[0].name == "lab"


def test_pipelines_jobs_and_datums_are_offered(offered, server):
    server.answers["ListPipeline"] = [pps_pb2.PipelineInfo(pipeline=pipeline("edges"))]
    server.answers["ListJob"] = [pps_pb2.JobInfo(job=pps_pb2.Job(pipeline=pipeline("edges"), id=ID))]
    server.answers["ListDatumRow"] = console_pb2.DatumRowPage(
        rows=[console_pb2.DatumLine(id="f" * 64, state="FAILED", paths=["images /cow.png"])]
    )

    assert offered("list", "job", "-p", "") == ["edges"]
    assert offered("wait", "job", "ed") == ["edges@"]
    assert offered("wait", "job", "edges@") == [f"edges@{ID[:12]}"]
    assert offered("inspect", "datum", f"edges@{ID}", "") == ["f" * 12]


def test_projects_and_contexts_are_offered(offered, server, run):
    server.answers["ListProject"] = [pfs_pb2.ProjectInfo(project=pfs_pb2.Project(name="lab"))]
    run("config", "set", "context", "work", "--address", "work:1")

    assert offered("list", "repo", "--project", "") == ["lab"]
    assert offered("--project", "l") == ["lab"]
    assert offered("list", "repo", "--context", "w") == ["work"]
    assert offered("config", "get", "context", "") == ["work"]


def test_an_answer_is_used_again_for_some_seconds(offered, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo("images"))]

    for _ in range(3):
        assert offered("inspect", "repo", "im") == ["images"]

    assert len(server.asked["ListRepo"]) == 1
    assert stat.S_IMODE(os.stat(values.cache_file()).st_mode) == 0o600


def test_every_argument_has_a_kind_or_takes_any_text():
    """A new argument fails this test until somebody has decided what Tab offers for it."""
    unknown = [
        f"{name} {names[0]} {settings.get('metavar')}"
        for name in TABLE
        for names, settings in load(name).arguments
        if not str(settings.get("action", "")).startswith("store_")
        and "choices" not in settings
        and str(settings.get("metavar")) not in FREE | set(completing.KINDS)
    ]

    assert unknown == []


def test_failures_are_silent(spawn, server):
    server.answers["ListRepo"] = Refusal(StatusCode.INTERNAL, "broken")

    refused = spawn("__complete", ":", "inspect", "repo")
    absent = spawn("__complete", ":", "inspect", "repo", env={"TRUNKLINE_ADDRESS": "127.0.0.1:1"})
    wrong = spawn("__complete")

    for process in (refused, absent, wrong):
        assert process.communicate(timeout=30) == (b"", b"")
        assert process.returncode == 0


def test_a_server_that_does_not_answer_is_given_up(spawn, server):
    release = threading.Event()
    server.answers["ListRepo"] = lambda _: release.wait(60) or []
    process = spawn("__complete", ":", "inspect", "repo")

    try:
        assert process.communicate(timeout=30) == (b"", b"")
    finally:
        release.set()
    assert process.returncode == 0


# Shells -----------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path, server, monkeypatch):
    """A folder with a ``trunkline`` that has all the time it needs on a busy machine."""
    monkeypatch.setenv("TRUNKLINE_ADDRESS", server.address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo(name)) for name in ("images", "imprints")]
    server.answers["ListBranch"] = [
        pfs_pb2.BranchInfo(branch=pfs_pb2.Branch(repo=repo("images"), name="master"))
    ]
    code = (
        "from trunkline.cli.completion import candidates; candidates.LIMIT = 30; "
        "from trunkline.cli import main; main.main()"
    )
    file = tmp_path / "bin" / "trunkline"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}' \"$@\"\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")
    return file


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("trunkline inspect repo im", ["images", "imprints"]),
        ("trunkline get file images@ma", ["master:/"]),
        ("trunkline list job --state=fai", ["failure"]),
    ],
)
def test_bash_gets_what_follows_its_last_word_break(program, line, replies):
    script = (
        "source <(trunkline completion bash); COMP_LINE=$1 COMP_POINT=${#1}; compopt() { :; }; _trunkline;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )

    done = subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, text=True, check=True)

    assert done.stdout.split() == replies


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_script_is_printed_for_each_shell(run, shell):
    outcome = run("completion", shell)

    assert f"completion {shell}" in outcome.out
    assert "__complete" in outcome.out


#: How each shell is started without the settings of whoever runs the tests.
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SOURCE = {"fish": "trunkline completion fish | source\n"}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_in_a_terminal(shell, program, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    with Terminal(SHELLS[shell]) as terminal:
        terminal.send(SOURCE.get(shell, f"source <(trunkline completion {shell})\n"))
        terminal.send("echo re''ady\n")
        terminal.wait_for("ready")

        terminal.send("trunkline list file ima\t")
        terminal.wait_for("images@")
        terminal.send("\t")
        terminal.wait_for("images@master")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, command):
        self.text = ""
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.environ["TERM"] = "xterm"
            os.execvp(command[0], command)

    def send(self, text):
        os.write(self._fd, text.encode())

    def wait_for(self, awaited):
        end = time.monotonic() + 30
        while awaited not in self.text:
            assert time.monotonic() < end, f"no {awaited!r} in:\n{self.text!r}"
            if select.select([self._fd], (), (), 0.5)[0]:
                text = os.read(self._fd, 65536).decode(errors="replace")
                self.text += re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])|[\x00-\x08\x0b-\x1f]", "", text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._fd)
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
