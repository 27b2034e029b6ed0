"""Services on a whole server: programs that show the newest commits of their input on a port."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from pachyderm_sdk.api import pps
from ports import reserved_port
from servers import ended, files_of, make_repo, put, until

if TYPE_CHECKING:
    from pachyderm_sdk import Client

# Answers with a file of the input and the number of its process; /end ends it.
PROGRAM = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(3)
        text = open("/pfs/words/word").read() + " " + str(os.getpid())
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        print("answered", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


def make_service(client: Client, name: str, internal: int, external: int, **spec: Any) -> pps.Pipeline:
    pipeline = pps.Pipeline(name=name)
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=pps.Input(pps.PfsInput(repo="words", glob="/")),
        transform=pps.Transform(cmd=[sys.executable, "-c", PROGRAM.replace("PORT", str(internal))]),
        service=pps.Service(internal_port=internal, external_port=external),
        **spec,
    )
    return pipeline


def ask(port: int, path: str = "/") -> list[str]:
    """Return the word and the process that answers; nothing when nobody does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode()).split()
    except (OSError, http.client.HTTPException):  # refused, or ended in the middle of its answer
        return []


def jobs_of(client: Client, pipeline: pps.Pipeline) -> list[tuple[str, pps.JobState]]:
    return [(info.job.id, info.state) for info in client.pps.list_job(pipeline=pipeline)]


def test_a_service_shows_each_new_commit_without_a_restart(client: Client) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/word": b"one"})
    with reserved_port() as internal, reserved_port() as external:
        pipeline = make_service(client, "serve", internal, external)
        before = until(lambda: ask(external), "an answer")
        assert before[0] == "one"
        info = client.pps.inspect_pipeline(pipeline=pipeline)
        assert info.type == pps.PipelineInfoPipelineType.PIPELINE_TYPE_SERVICE

        second = put(client, branch, {"/word": b"two", "/more": b""})

        after = until(
            lambda: answer if (answer := ask(external))[:1] == ["two"] else None, "the newer commit"
        )
        assert after[1] == before[1], "the program was started again"
        assert [state for _, state in jobs_of(client, pipeline)] == [
            pps.JobState.JOB_RUNNING,
            pps.JobState.JOB_SUCCESS,
        ]
        until(lambda: list(client.pps.get_logs(pipeline=pipeline)), "its output")

        client.pps.stop_job(job=pps.Job(pipeline=pipeline, id=second))
        until(lambda: not ask(external), "the end of the stopped program")

        put(client, branch, {"/word": b"three"})
        assert until(lambda: ask(external), "the next commit's program")[0] == "three"


def test_a_service_whose_program_ends_is_crashing_and_serves_again(client: Client) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/word": b"one"})
    with reserved_port() as port:
        pipeline = make_service(client, "fragile", port, port)
        until(lambda: ask(port), "an answer")

        ask(port, "/end")

        reason = until(
            lambda: next(
                (
                    info.reason
                    for info in [client.pps.inspect_pipeline(pipeline=pipeline)]
                    if info.state == pps.PipelineState.PIPELINE_CRASHING
                ),
                "",
            ),
            "the crash",
        )
        assert "exit code 3" in reason
        until(lambda: ask(port), "the second program")
        [(_, state)] = jobs_of(client, pipeline)
        assert state == pps.JobState.JOB_RUNNING


def test_a_port_that_is_taken_is_the_reason_of_the_pipeline(client: Client) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/word": b"one"})
    with socket.socket() as other, reserved_port() as internal:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy_port = other.getsockname()[1]

        pipeline = make_service(client, "blocked", internal, busy_port)

        until(
            lambda: f"external_port {busy_port}" in client.pps.inspect_pipeline(pipeline=pipeline).reason,
            "the reason",
        )


def test_a_service_with_two_datums_fails_its_job_with_their_number(client: Client) -> None:
    branch = make_repo(client, "words")
    put(client, branch, {"/a": b"", "/b": b""})
    spec = {
        "pipeline": {"name": "several"},
        "input": {"pfs": {"repo": "words", "glob": "/*"}},
        "transform": {"cmd": ["true"]},
        "service": {"internalPort": 1, "externalPort": 2},
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    pipeline = pps.Pipeline(name="several")

    info = ended(client, pipeline, jobs_of(client, pipeline)[0][0])

    assert info.state == pps.JobState.JOB_FAILURE
    assert "2" in info.reason


def test_a_spout_with_a_service_receives_what_it_commits(client: Client) -> None:
    program = """
import http.server, sys
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
client = Client.new_in_cluster()
branch = pfs.Branch(repo=pfs.Repo(name="inbox", type="user", project=pfs.Project(name="default")), name="master")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        with client.pfs.commit(branch=branch) as commit:
            commit.put_file_from_bytes(path=self.path, data=data)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""
    with reserved_port() as internal, reserved_port() as external:
        client.pps.create_pipeline(
            pipeline=pps.Pipeline(name="inbox"),
            transform=pps.Transform(cmd=[sys.executable, "-c", program.replace("PORT", str(internal))]),
            spout=pps.Spout(service=pps.Service(internal_port=internal, external_port=external)),
        )

        def post() -> bool:
            request = urllib.request.Request(f"http://127.0.0.1:{external}/a", b"letter")
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                urllib.request.urlopen(request, timeout=20) as answer,
            ):
                return bool(answer.status == 204)
            return False

        until(post, "the letter's receipt")

    assert files_of(client, "inbox@master") == {"/a": b"letter"}
