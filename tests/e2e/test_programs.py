"""Programs of clients: jq filters and jsonnet templates, with the published SDK and one server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from processes import command_of
from servers import Server, make_pipeline, make_repo, refusal, until

if TYPE_CHECKING:
    from pathlib import Path

    import psutil
    from pachyderm_sdk import Client

ENDLESS = "last(range(1e15))"


def helpers(server: Server) -> list[psutil.Process]:
    """The processes that run programs."""
    return [process for process in server.descendants() if "helper.py" in " ".join(command_of(process))]


@pytest.fixture
def two(client: Client) -> Client:
    make_repo(client, "in")
    for name in ("one", "two"):
        make_pipeline(client, name, "true", "in")
    return client


def test_a_filter_selects_pipelines_jobs_and_job_sets(two: Client) -> None:
    pipelines = two.pps.list_pipeline(jq_filter='.pipeline.name == "two"')
    jobs = list(two.pps.list_job(jq_filter='select(.job.pipeline.name == "one")'))
    pages = [
        [info.pipeline.name for info in two.pps.list_pipeline(jq_filter='.pipeline.name != ""', page=page)]
        for page in (pps.PipelinePage(page_size=1, page_index=index) for index in range(3))
    ]
    passing = list(
        two.pps.list_pipeline(jq_filter='.pipeline.name == "two"', page=pps.PipelinePage(page_size=1))
    )
    sets = list(two.pps.list_job_set(jq_filter='.jobs[0].job.pipeline.name | test("^t")'))

    assert [info.pipeline.name for info in pipelines] == ["two"]
    assert [info.job.pipeline.name for info in jobs] == ["one"]
    assert [info.jobs[0].job.pipeline.name for info in sets] == ["two"]
    assert pages == [["two"], ["one"], []]
    assert [info.pipeline.name for info in passing] == ["two"]


def test_the_number_of_jobs_is_of_those_that_pass(two: Client) -> None:
    jobs = list(two.pps.list_job(number=1, jq_filter='.job.pipeline.name == "one"'))

    assert [info.job.pipeline.name for info in jobs] == ["one"]


@pytest.mark.parametrize(
    ("filter_", "code"),
    [
        (".job |", grpc.StatusCode.INVALID_ARGUMENT),
        ('error("x")', grpc.StatusCode.INVALID_ARGUMENT),
        ('import "a" as $a {search: "/etc"}; $a', grpc.StatusCode.INVALID_ARGUMENT),
        (ENDLESS, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("[range(1e12)]", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ('"a" * 1000000000', grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_filter_that_fails_or_takes_too_much_is_an_error(
    shared: Server, two: Client, filter_: str, code: grpc.StatusCode
) -> None:
    error = refusal(lambda: list(two.pps.list_job(jq_filter=filter_)))

    assert error.code() is code
    until(lambda: not helpers(shared) or None, "the process of the filter ended")


def test_other_calls_are_answered_while_filters_run(shared: Server, two: Client) -> None:
    errors: list[grpc.RpcError] = []

    def run() -> None:
        other = shared.client()
        errors.append(refusal(lambda: list(other.pps.list_job(jq_filter=ENDLESS))))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: helpers(shared) or None, "a filter runs")
    answered = 0
    while any(thread.is_alive() for thread in threads):
        two.pfs.inspect_repo(repo=pfs.Repo(name="in", type="user"))
        answered += 1
    for thread in threads:
        thread.join()

    assert answered > 1
    assert {error.code() for error in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_template_makes_specs_of_its_arguments(client: Client) -> None:
    template = """function(name, src="in") {
      pipeline: {name: name}, input: {pfs: {repo: src, glob: "/*"}}, transform: {cmd: ["true"]}
    }"""

    rendered = client.pps.render_template(template=template, args={"name": "made"})

    assert json.loads(rendered.json)["pipeline"] == {"name": "made"}
    assert [spec.input.pfs.repo for spec in rendered.specs] == ["in"]


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("function(name) {pipeline: {name: name}}", grpc.StatusCode.INVALID_ARGUMENT),
        ("function(", grpc.StatusCode.INVALID_ARGUMENT),
        ('import "http://127.0.0.1/x"', grpc.StatusCode.PERMISSION_DENIED),
        ('importstr "/etc/passwd"', grpc.StatusCode.INVALID_ARGUMENT),
        ("{colour: 1}", grpc.StatusCode.INVALID_ARGUMENT),
        ("local f(x) = f(x + 1) tailstrict; f(1)", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_template_that_fails_or_takes_too_much_is_an_error(
    shared: Server, client: Client, template: str, code: grpc.StatusCode
) -> None:
    error = refusal(lambda: client.pps.render_template(template=template))

    assert error.code() is code
    assert not helpers(shared)


def test_a_template_without_an_argument_names_it(client: Client) -> None:
    template = "function(name, source) {pipeline: {name: name}}"

    error = refusal(lambda: client.pps.render_template(template=template, args={"name": "made"}))

    assert '"source"' in error.details()


def test_the_command_line_creates_pipelines_from_a_template(
    shared: Server, client: Client, tmp_path: Path
) -> None:
    make_repo(client, "in")
    template = tmp_path / "copy.jsonnet"
    template.write_text(
        'function(a, b) [{pipeline: {name: n}, input: {pfs: {repo: "in", glob: "/"}}, transform: {cmd: ["true"]}}'
        " for n in [a, b]]"
    )

    words = ["create", "pipeline", "--jsonnet", str(template), "--arg", "a=x", "--arg", "b=y"]
    done = subprocess.run(
        [sys.executable, "-m", "trunkline.cli", *words, "--address", shared.address],
        capture_output=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert {info.pipeline.name for info in client.pps.list_pipeline()} == {"x", "y"}
