"""One trace from a command of the command line to the user's command, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from collector import Collector, Received
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, files_of, make_pipeline, make_repo, until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SCRIPT = 'for file in /pfs/texts/*; do echo "$TRACEPARENT $TRACESTATE" > /pfs/out/$(basename $file); done'
#: As the extra's absence looks to an import.
WITHOUT_EXTRA = (
    "import sys; sys.modules['opentelemetry'] = None; from trunkline.cli.main import main; sys.exit(main())"
)


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, collector):
    data = tmp_path_factory.mktemp("traces") / "data"
    running = Server(data, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    running.start()
    client = running.client()
    make_repo(client, "texts")
    make_pipeline(client, "upper", SCRIPT, "texts")
    yield running
    running.terminate()
    running.close()


def trunkline(server, *words, python=("-m", "trunkline.cli"), **variables):
    return subprocess.run(
        [sys.executable, *python, *words, "--address", server.address],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def the_span(collector, name, parent) -> Received:
    """Wait for the span of that name below another one."""

    def look() -> Received | None:
        spans = list(collector.spans.values())
        return next((span for span in spans if span.name == name and span.parent == parent), None)

    return until(look, f"span {name} below {parent}")


def put_traced(server, tmp_path, name, **variables):
    """Put a file; return what the user's command saw of the trace."""
    source = tmp_path / name
    source.write_text(name)
    done = trunkline(server, "put", "file", f"texts@master:/{name}", "-f", str(source), "-q", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    client = server.client()
    newest = next(iter(client.pfs.list_commit(repo=pfs.Repo.from_uri("texts"))))
    ended(client, pps.Pipeline(name="upper"), newest.commit.id)
    return files_of(client, "upper@master")[f"/{name}"].decode().split()


def test_a_trace_reaches_from_the_command_line_to_the_command_of_a_datum(server, collector, tmp_path):
    seen, state = put_traced(
        server,
        tmp_path,
        "one",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        TRACEPARENT=f"00-{TRACE}-{SPAN}-01",
        TRACESTATE="vendor=1",
    )

    command = the_span(collector, "trunkline put file", SPAN)
    call = the_span(collector, "pfs_v2.API/ModifyFile", command.id)
    job = the_span(collector, "job", call.id)
    datum = the_span(collector, "datum", job.id)
    phases = [the_span(collector, name, datum.id) for name in ("download", "run", "upload")]
    assert {span.trace for span in (command, call, job, datum, *phases)} == {TRACE}
    assert (seen, state) == (f"00-{TRACE}-{datum.id}-01", "vendor=1")
    assert call.attributes["rpc.grpc.status_code"] == 0
    assert job.attributes["trunkline.job.state"] == "SUCCESS"
    assert all(datum.start <= span.start <= span.end <= datum.end for span in phases)


def test_a_call_without_a_trace_begins_one_but_calls_of_workers_do_not(server, collector, tmp_path):
    put_traced(server, tmp_path, "three")

    the_span(collector, "pfs_v2.API/CreateRepo", "")
    assert not [span for span in collector.spans.values() if span.name.startswith("trunkline.worker")]


def test_a_collector_that_is_gone_changes_nothing_for_a_command(server, tmp_path):
    done = trunkline(server, "list", "repo", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert (done.returncode, done.stderr) == (0, "")
    assert "texts" in done.stdout


def test_without_the_extra_a_command_warns_once(server):
    done = trunkline(
        server,
        "list",
        "repo",
        python=("-c", WITHOUT_EXTRA),
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )

    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert "trunkline[otel]" in line


def test_a_trace_that_is_not_recorded_is_passed_on_as_it_came(server, tmp_path):
    seen, *_ = put_traced(server, tmp_path, "two", TRACEPARENT=f"00-{TRACE}-{SPAN}-00")

    assert seen == f"00-{TRACE}-{SPAN}-00"
