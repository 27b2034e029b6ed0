"""``--watch``: what changes on a real server is printed as it happens, once, and nothing is asked in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from queue import Queue

import pytest
from cli_messages import Refusal, repo
from grpc import StatusCode

from trunkline.cli.main import main
from trunkline.rpc.gen import control_pb2, pfs_pb2

PATIENCE = 60  # seconds


class Watching:
    """A command line in a process of its own, whose lines are read as they come."""

    def __init__(self, address, *words):
        environment = {**os.environ, "TRUNKLINE_ADDRESS": address}
        command = [sys.executable, "-m", "trunkline.cli", *words]
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines = Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)

    def line_with(self, *words):
        """Wait for a line that has all of these words."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if all(word in line for word in words):
                return line

    def stop(self):
        """End it as Ctrl-C does; return the exit code and what it wrote to standard error."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        return code, self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self._thread.join()
        self.process.communicate()


@pytest.fixture
def served(serve_folder, tmp_path, monkeypatch):
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    with serve_folder(tmp_path / "store") as server:
        monkeypatch.setenv("TRUNKLINE_ADDRESS", server.address)
        yield server
    signal.signal(signal.SIGINT, ignored)


def do(*words):
    assert main([*words, "-q"]) == 0


@pytest.mark.slow
def test_commits_jobs_and_pipelines_are_printed_as_they_change(served, tmp_path):
    spec = tmp_path / "count.yaml"
    spec.write_text(
        "pipeline: {name: count}\ninput: {pfs: {repo: texts, glob: /*}}\ntransform: {cmd: [sh], stdin: ['true']}\n"
    )
    do("create", "repo", "texts")
    with (
        Watching(served.address, "list", "commit", "texts", "-w", "-o", "name") as commits,
        Watching(served.address, "list", "pipeline", "-w") as pipelines,
        Watching(served.address, "list", "job", "-w") as jobs,
    ):
        pipelines.line_with("NAME", "STATE")
        jobs.line_with("PIPELINE", "STATE")

        do("create", "pipeline", "-f", str(spec))
        do("put", "file", "texts@master:/a", "-f", str(spec))

        assert commits.line_with("default/texts@")
        assert pipelines.line_with("count", "running")
        assert jobs.line_with("count")
        do("stop", "job", "count@")
        assert jobs.line_with("count", "killed")
        with Watching(served.address, "inspect", "job", "count@", "-w") as ended:
            assert ended.line_with("State:", "killed")
            assert ended.process.wait(PATIENCE) == 0  # a job that has ended changes no more
        assert commits.stop() == (130, "")


def stream(*bodies):
    """Return an answer of WatchEvents: a stream of these events that ends, and then ones without any."""
    streams = [
        [
            control_pb2.Event(id=f"5f0c29a1-{number}", kind="commit", json=body)
            for number, body in enumerate(bodies, 1)
        ]
    ]
    return lambda _: streams.pop() if streams else []


def test_a_change_is_read_again_once_for_each_batch_and_printed_once(run, server):
    body = '{"kind": "commit", "project": "default", "repo": "texts", "type": "user", "commit": "%s"}'
    server.answers["InspectEventLog"] = control_pb2.EventLog(position="5f0c29a1-0")
    server.answers["WatchEvents"] = stream(body % ("a" * 32), body % ("a" * 32), body % ("b" * 32))
    server.answers["InspectCommit"] = lambda request: pfs_pb2.CommitInfo(commit=request.commit)

    outcome = run("list", "commit", "texts", "-w", "-o", "name")

    assert outcome.out.split() == [f"default/texts@{'a' * 32}", f"default/texts@{'b' * 32}"]
    assert outcome.code == 6  # the stream has ended twice without an event
    assert server.asked["WatchEvents"][0].after == "5f0c29a1-0"


def test_missed_events_end_the_watch(run, server):
    server.answers["WatchEvents"] = [control_pb2.Event(id="5f0c29a1-9", kind="reset", json="{}")]

    outcome = run("list", "commit", "texts", "-w")

    assert outcome.code == 4
    assert "run the command again" in outcome.err


def test_a_deleted_thing_is_noted(run, server):
    body = '{"kind": "commit", "project": "default", "repo": "texts", "type": "user", "commit": "%s"}'
    server.answers["WatchEvents"] = stream(body % ("a" * 32))
    server.answers["InspectCommit"] = Refusal(StatusCode.NOT_FOUND, "commit does not exist")
    server.answers["ListCommit"] = [
        pfs_pb2.CommitInfo(commit=pfs_pb2.Commit(repo=repo("texts"), id="c" * 32))
    ]

    outcome = run("list", "commit", "texts", "-w", "-o", "name")

    assert outcome.out.split() == [f"default/texts@{'c' * 32}"]
    assert f"{'a' * 32} was deleted" in outcome.err
