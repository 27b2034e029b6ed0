"""The command line as a process: pipes, signals, environment, start-up."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest
from cli_messages import Refusal, repo
from grpc import StatusCode

from trunkline.cli import config
from trunkline.cli.command_table import TABLE
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.help import overview, pachctl_verbs, pages
from trunkline.cli.parsing import load, split
from trunkline.errors import FailedPrecondition
from trunkline.rpc.gen import pfs_pb2

#: What the fast commands must not import; each costs more than 10 ms or drags in something that does.
SLOW = {
    "asyncio", "click", "grpc", "google.protobuf.message", "rich", "yaml", "dataclasses", "inspect",
    "opentelemetry", "trunkline.telemetry", "socket", "pickle", "google.protobuf.text_format",
    "argparse", "gettext", "shutil", "textwrap",
}  # fmt: skip


def imported_by(spawn, *words):
    """Return the modules that a run of the command line imports."""
    probe = (
        "import sys; from trunkline.cli.main import main; code = main(sys.argv[1:]); "
        "print('\\n'.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    environment = {**os.environ, "TRUNKLINE_ADDRESS": spawn}
    done = subprocess.run(
        [sys.executable, "-c", probe, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_version_imports_nothing_slow(server):
    assert not imported_by(server.address, "version") & SLOW


def test_list_repo_imports_protobuf_and_nothing_else_slow(server):
    imported = imported_by(server.address, "list", "repo")

    assert imported & SLOW == {"google.protobuf.message"}
    assert "trunkline.rpc.gen.pps_pb2" not in imported


def test_what_is_left_to_be_done_at_the_end_of_the_process_is_done():
    """A command ends without taking the interpreter apart, but not while something waits for its end."""
    program = (
        "import sys, threading\n"
        "from trunkline.cli.main import main\n"
        "sys.argv = ['trunkline', 'version', '--client-only']\n"
        "if {atexit}:\n"
        "    import atexit\n"
        "    atexit.register(print, 'last')\n"
        "else:\n"
        "    class Main(threading.Thread):\n"
        "        def run(self): threading.main_thread().join(); print('last')\n"
        "    Main().start()\n"
        "main()\n"
    )

    for atexit in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", program.format(atexit=atexit)], capture_output=True, text=True
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["client", "last"]


def test_commands_connect_to_nothing_but_their_server(server, tmp_path):
    """No telemetry and no search for updates: an audit hook sees every connection and every look-up of a name."""
    commands = [
        ["version"], ["list", "repo"], ["create", "repo", "a"], ["put", "file", "a@master:/x", "-f", __file__],
        ["get", "file", "a@master:/x"], ["list", "commit", "a"], ["list", "pipeline"], ["list", "job"],
        ["inspect", "job", "count@0123456789ab4def8123456789abcdef"], ["list", "worker"], ["draw", "pipeline"],
        ["diff", "file", "a@master"], ["config", "list", "context"], ["help", "output"], ["list", "repo", "-h"],
        ["--all"], ["completion", "bash"], ["lst", "repo"],
    ]  # fmt: skip
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import contextlib, io, sys\n"
        "connections = []\n"
        "def watch(event, args):\n"
        "    if event in ('socket.connect', 'socket.sendto'): connections.append(args[1])\n"
        "    elif event == 'socket.getaddrinfo': connections.append(args[:2])\n"
        "    elif event in ('subprocess.Popen', 'os.exec', 'os.posix_spawn', 'os.system'): connections.append(event)\n"
        "sys.addaudithook(watch)\n"
        "from trunkline.cli.main import main\n"
        f"for words in {commands!r}:\n"
        "    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())): main(words)\n"
        "print(*connections, sep='\\n')\n"
    )

    done = subprocess.run(
        [sys.executable, str(probe)],
        env={**os.environ, "TRUNKLINE_ADDRESS": server.address}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    places = {line.replace("'", "").removeprefix("(b").removeprefix("(") for line in done.stdout.splitlines()}
    assert places == {f"127.0.0.1, {server.port})"}
    assert done.stdout.count(str(server.port)) >= 12


def test_a_reader_that_closes_the_pipe_is_not_an_error(spawn, server):
    server.answers["ListRepo"] = [pfs_pb2.RepoInfo(repo=repo(f"repo-{n:05}")) for n in range(20_000)]
    process = spawn("list", "repo")

    process.stdout.readline()
    process.stdout.close()

    assert process.wait(30) == 0
    assert process.stderr.read() == b""


def test_ctrl_c_ends_with_130_and_prints_nothing(spawn, server):
    """The stream stays open until the test ends it: a stream that ended by itself after half a second made this
    test fail on a busy machine, where the signal came later than that."""
    asked = []
    release = threading.Event()

    def never(request):
        asked.append(request)
        release.wait(60)
        return []

    server.answers["SubscribeCommit"] = never
    process = spawn("subscribe", "commit", "images@master")
    while not asked and process.poll() is None:
        os.sched_yield()

    process.send_signal(signal.SIGINT)

    try:
        code = process.wait(30)
    finally:
        release.set()
    assert code == 130
    assert process.stderr.read() == b""


def test_waiting_too_long_ends_with_124(run, server):
    release = threading.Event()

    def slow(request):
        release.wait(30)
        return pfs_pb2.CommitInfo()

    server.answers["InspectCommit"] = slow

    outcome = run("wait", "commit", "images@master", "--timeout", "50ms")
    release.set()

    assert outcome.code == 124
    assert "commit images@master was not finished after 50ms" in outcome.err


def test_ctrl_c_in_an_upload_says_that_nothing_was_committed(run, monkeypatch):
    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise KeyboardInterrupt
            return super().read(size)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Interrupted(b"x" * 100)))

    assert run("put", "file", "images@master:/a", "-f", "-") == (
        130,
        "",
        "trunkline: interrupted; nothing was committed\n",
    )


def test_no_server_ends_with_6_and_how_to_start_one(capfd, monkeypatch):
    monkeypatch.setenv("PACHD_ADDRESS", "127.0.0.1:1")

    from trunkline.cli.main import main

    assert main(["list", "repo"]) == 6
    assert capfd.readouterr().err == (
        "trunkline: no server answers at 127.0.0.1:1 (connection refused); start one with"
        ' "trunkline serve --data DIR" or name another with --address or PACHD_ADDRESS\n'
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lst"], 'did you mean "trunkline list"?'),
        (["lst", "repo"], 'did you mean "trunkline list repo"?'),
        (["list", "pipelin"], 'did you mean "trunkline list pipeline"?'),
        (
            ["create", "zebra"],
            'unknown resource "zebra" for "create"; expected one of: branch, ',
        ),
        (["repo", "list"], 'did you mean "trunkline list repo"?'),
        (["juggle", "pipeline", "-f", "x"], 'unknown command "trunkline juggle"; see'),
        (["find", "repo"], 'unknown resource "repo" for "find"; expected one of: commit'),
        (["idp", "delete-client"], '"idp delete-client" is a command of pachctl; '),
        (["xyzzy"], 'unknown command "trunkline xyzzy"; see "trunkline --help"'),
        (
            ["list", "repo", "--projekt", "x"],
            'unrecognized arguments: --projekt x; did you mean "--project"?; see "trunkline list repo --help"',
        ),
        (["events", "-p", "a", "b"], "repeat --kind before each value"),
        (["get", "file", "a@b:/c", "--offset", "-1"], '"-1" is not a number of 0 or more'),
        (["--bogus", "list", "repo"], 'unknown option "--bogus" before the command'),
        (["put", "file", "images@master"], "standard input has no name"),
        (["list", "repo", "-o", "xml"], '"xml" is not a format'),
        (["list", "repo", "-o", "jsonpath={.repo.name}"], "use --jq"),
        (["get", "file", "a@b:/", "-r"], "needs -o FOLDER"),
        (["list", "job", "-n", "-5"], '"-5" is not a number of 0 or more'),
        (["update", "repo", "images"], "nothing to change"),
        (["update", "project", "art"], "nothing to change"),
        (["config", "set", "context", "a b", "--address", "localhost:1"], "not a valid context name"),
        (["wait", "commit", "a@b", "--timeout", "soon"], "not a duration"),
        (["create", "repo", "a/b/c"], "not a repo"),
        (["logs"], "logs needs --pipeline PIPELINE, --job PIPELINE@ID or --master"),
    ],
)
def test_a_mistyped_command_line_ends_with_2_and_how_to_fix_it(run, server, words, message):
    outcome = run(*words)

    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not server.asked


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["-h"], ["create", "--help"], ["list", "repo", "-h"], ["top", "--help"]]
)
def test_help_is_printed_to_standard_output_with_exit_code_0(run, words):
    outcome = run(*words)

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("usage: trunkline")


def test_the_first_screen_names_every_command_by_its_noun_and_fits_a_terminal(run):
    lines = run().out.splitlines()
    nouns = {word for group in overview.GROUPS for word in group[2].split()}

    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    assert [name for name in TABLE if nouns.isdisjoint(name.split())] == []


@pytest.mark.parametrize("name", TABLE)
def test_the_help_of_every_command_fits_80_columns(name):
    text = pages.page(name, load(name))

    assert [line for line in text.splitlines() if len(line) > 80] == []


def test_every_command_of_pachctl_is_the_same_here_or_has_advice():
    # The pages of pachctl 2.12's documentation: 198, of which 42 are about groups; "edit metadata" has none.
    existing = pachctl_verbs.SAME | pachctl_verbs.DIFFERENT.keys()
    assert len(pachctl_verbs.SAME) + len(pachctl_verbs.DIFFERENT) + len(pachctl_verbs.INSTEAD) == 157
    assert set(TABLE) >= existing
    assert existing.isdisjoint(pachctl_verbs.INSTEAD)
    assert set(TABLE).isdisjoint(pachctl_verbs.INSTEAD)


@pytest.mark.parametrize(
    "command", [name for name in pachctl_verbs.INSTEAD if not name.startswith("completion")]
)
def test_a_command_that_only_pachctl_has_says_what_to_use_instead(command):
    with pytest.raises(UsageError, match=re.escape(pachctl_verbs.INSTEAD[command])):
        split([*command.split(), "argument", "--option"])


@pytest.mark.parametrize("words", [["repo"], ["repos"], ["repo", "-h"], ["help", "repo"]])
def test_a_noun_alone_shows_its_commands(run, words):
    outcome = run(*words)

    assert outcome.code == 0
    assert "list repo" in outcome.out
    assert "list job" not in outcome.out


def test_a_verb_alone_shows_its_commands(run):
    outcome = run("list")

    assert outcome.code == 0
    assert "list repo" in outcome.out
    assert "create repo" not in outcome.out


def test_all_commands_are_listed_on_request(run):
    lines = run("--all").out.splitlines()

    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in TABLE)


def test_global_options_may_precede_the_command(run, server):
    assert run("--project", "art", "-q", f"--address={server.address}", "list", "repo").code == 0

    assert server.only("ListRepo").projects[0].name == "art"


def test_the_server_and_each_call_are_printed_on_request(run, server, monkeypatch):
    server.answers["InspectRepo"] = Refusal(StatusCode.NOT_FOUND, "none")

    before, after = run("-v", "list", "repo"), run("inspect", "repo", "a", "-v")
    monkeypatch.setenv("TRUNKLINE_LOG", "debug")
    by_variable = run("list", "repo")

    assert f"{server.address} (from TRUNKLINE_ADDRESS), project default\n/pfs_v2.API/ListRepo: " in before.err
    assert "/pfs_v2.API/InspectRepo: NOT_FOUND after " in after.err
    assert "/pfs_v2.API/ListRepo: " in by_variable.err
    assert before.out == by_variable.out


def test_every_command_is_in_the_module_of_the_table():
    for name in TABLE:
        assert pages.page(name, load(name)).startswith(f"usage: trunkline {name}")
        assert split([*name.split(), "x"]) == (name, ["x"])


def test_colours_are_printed_only_to_terminals_that_allow_them(spawn, server):
    server.answers["ListCommit"] = [pfs_pb2.CommitInfo(commit={"repo": {"name": "a"}, "id": "1"}, error="x")]

    def on_terminal(*words, **env):
        leader, follower = pty.openpty()
        process = spawn("list", "commit", "a", *words, stdout=follower, env={"TERM": "xterm", **env})
        process.wait(30)
        os.close(follower)
        output = os.read(leader, 4096).decode()
        os.close(leader)
        return output

    assert "\033[31mfailed\033[0m" in on_terminal()
    assert "\033[" not in on_terminal(NO_COLOR="1")
    assert "\033[" not in on_terminal("--color", "never", FORCE_COLOR="1")
    assert b"\033[" not in spawn("list", "commit", "a").communicate()[0]
    assert b"\033[31m" in spawn("list", "commit", "a", env={"FORCE_COLOR": "1"}).communicate()[0]
    assert b"\033[31m" in spawn("--color", "always", "list", "commit", "a").communicate()[0]


def test_the_pager_shows_diffs_and_topics_on_terminals(spawn, server):
    change = pfs_pb2.DiffFileResponse(new_file=pfs_pb2.FileInfo(file=pfs_pb2.File(path="/a")))
    server.answers["DiffFile"] = [change]
    env = {"TERM": "xterm", "TRUNKLINE_PAGER": "sed s/^/paged:/"}

    def on_terminal(*words):
        leader, follower = pty.openpty()
        process = spawn(*words, stdout=follower, env=env)
        assert process.wait(30) == 0
        os.close(follower)
        output = os.read(leader, 4096).decode()
        os.close(leader)
        return output

    assert on_terminal("diff", "file", "texts@master").startswith("paged:")
    assert "paged:" not in on_terminal("diff", "file", "texts@master", "--no-pager")
    assert on_terminal("help", "output").startswith("paged:")
    assert "paged:" not in on_terminal("help", "output", "--no-pager")
    assert b"paged:" not in spawn("help", "output", env=env).communicate()[0]


# Contexts ---------------------------------------------------------------------------------------------------


def test_a_context_names_server_and_project(run, home):
    assert (
        run("config", "set", "context", "prod", "--address", "grpc://prod:30650", "--project", "art").code
        == 0
    )
    assert run("config", "set", "context", "dev", "--address", "localhost:1").code == 0

    assert run("config", "list", "context").out.splitlines() == [
        "ACTIVE  NAME  ADDRESS            PROJECT",
        "*       dev   localhost:1",
        "        prod  grpc://prod:30650  art",
    ]
    assert config.target(context="prod", environ={"HOME": str(home)})[:2] == ("grpc://prod:30650", "art")
    assert config.target(environ={"HOME": str(home)})[:2] == ("localhost:1", "default")

    assert run("config", "delete", "context", "dev").code == 0
    assert run("config", "get", "context", "dev").code == 3


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, {}, ("ctx:1", "p")),
        ({"address": "opt:1"}, {"TRUNKLINE_ADDRESS": "env:1"}, ("opt:1", "default")),
        ({}, {"TRUNKLINE_ADDRESS": "env:1", "PACHD_ADDRESS": "pachd:1"}, ("env:1", "default")),
        ({}, {"PACHD_ADDRESS": "pachd:1", "TRUNKLINE_CONTEXT": "other"}, ("pachd:1", "default")),
        ({}, {"TRUNKLINE_CONTEXT": "other"}, ("other:1", "default")),
        ({"context": "other", "project": "q"}, {"TRUNKLINE_ADDRESS": "env:1"}, ("other:1", "q")),
    ],
)
def test_the_most_specific_setting_names_the_server(home, options, environment, expected):
    contexts = {"here": {"address": "ctx:1", "project": "p"}, "other": {"address": "other:1"}}
    write(home / ".config/trunkline/config.json", {"active_context": "here", "contexts": contexts})

    assert config.target(**options, environ={"HOME": str(home), **environment})[:2] == expected


def test_the_context_of_pachctl_is_used_without_a_context_of_ours(home):
    context = {"pachd_address": "grpc://pachd:30650", "project": "lab"}
    write(home / ".pachyderm/config.json", {"v2": {"active_context": "k", "contexts": {"k": context}}})

    assert config.target(environ={"HOME": str(home)})[:2] == ("grpc://pachd:30650", "lab")


def test_a_command_of_a_pipeline_uses_the_server_and_the_token_of_its_worker(tmp_path):
    own = tmp_path / ".config" / "trunkline" / "config.json"
    own.parent.mkdir(parents=True)
    own.write_text('{"active_context": "a", "contexts": {"a": {"address": "elsewhere:1"}}}')
    worker_file = tmp_path / "worker_file.json"
    context = {"pachd_address": "grpc://server:2", "session_token": "of the file", "project": "lab"}
    worker_file.write_text(json.dumps({"v2": {"active_context": "p", "contexts": {"p": context}}}))
    environment = {"HOME": str(tmp_path), "PACH_IN_WORKER": "true"}
    address = {"PACHD_PEER_SERVICE_HOST": "server", "PACHD_PEER_SERVICE_PORT": "3", "PPS_PROJECT_NAME": "art"}

    by_file = config.target(environ={**environment, "PACH_CONFIG": str(worker_file)})
    by_address = config.target(environ={**environment, **address, "PACH_TOKEN": "of the variable"})

    assert (by_file.address, by_file.project, by_file.token) == ("grpc://server:2", "lab", "of the file")
    assert (by_address.address, by_address.project) == ("server:3", "art")
    assert by_address.token == "of the variable"


def test_the_ca_comes_from_the_option_the_environment_or_the_context(home, tmp_path, run):
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n")
    run("config", "set", "context", "lab", "--address", "grpcs://lab:1", "--ca", str(file))
    home_alone = {"HOME": str(home)}

    of_context = config.target(environ=home_alone)
    of_environment = config.target(environ={**home_alone, "PACH_CA_CERTS": "a.pem,b.pem"})
    of_option = config.target(environ={**home_alone, "PACH_CA_CERTS": "a.pem"}, ca="c.pem")

    assert (of_context.address, of_context.ca) == ("grpcs://lab:1", file.read_text())
    assert (of_environment.ca_files, of_environment.ca) == (("a.pem", "b.pem"), "")
    assert of_option.ca_files == ("c.pem",)


def test_the_ca_of_pachctls_context_is_used(home):
    pem = "-----BEGIN CERTIFICATE-----\n"
    context = {"pachd_address": "grpcs://pachd:30650", "server_cas": config.encoded(pem.encode())}
    write(home / ".pachyderm/config.json", {"v2": {"active_context": "k", "contexts": {"k": context}}})

    assert config.target(environ={"HOME": str(home)}).ca == pem


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_context_with_a_ca_that_cannot_be_read_is_refused(tmp_path, run, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    outcome = run("config", "set", "context", "lab", "--address", "grpcs://lab:1", "--ca", str(file))

    assert outcome.code == 2
    assert "ca.pem" in outcome.err


def test_a_context_whose_ca_is_not_base64_is_named(home):
    contexts = {"lab": {"address": "grpcs://lab:1", "server_cas": "ä"}}
    write(home / ".config/trunkline/config.json", {"active_context": "lab", "contexts": contexts})

    with pytest.raises(FailedPrecondition, match="server_cas"):
        config.target(environ={"HOME": str(home)})


def test_without_settings_the_server_is_on_this_machine(home):
    assert config.target(environ={"HOME": str(home)})[:2] == ("localhost:30650", "default")


def test_a_broken_configuration_is_named(home):
    path = home / ".config/trunkline/config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")

    with pytest.raises(FailedPrecondition, match=r"config\.json is not valid JSON .* fix or remove it"):
        config.target(environ={"HOME": str(home)})


def test_urls_with_passwords_come_from_the_environment_and_an_option_wins(tmp_path):
    def message_of(*words, **variables):
        command = [sys.executable, "-m", "trunkline.cli", "serve", "--data", str(tmp_path), *words]
        environment = {**os.environ, **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True).stderr

    assert "mysql:… is not supported" in message_of(TRUNKLINE_DATABASE="mysql://a/b")
    assert "'ftp://a' is not supported" in message_of(TRUNKLINE_STORE="ftp://a")
    assert "'ftp://b' is not supported" in message_of("--store", "ftp://b", TRUNKLINE_STORE="ftp://a")
