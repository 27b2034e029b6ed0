"""Defaults of the cluster and of projects, and alerts, with the published SDK and the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import Server, ended, make_repo, put, refusal, until

if TYPE_CHECKING:
    from pachyderm_sdk import Client


def defaults(**fields: object) -> str:
    return json.dumps({"createPipelineRequest": fields})


def create(client: Client, name: str, repo: str = "in", **fields: object) -> pps.Pipeline:
    pipeline = pps.Pipeline(name=name, project=pfs.Project(name="default"))
    spec = {
        "pipeline": {"name": name},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "transform": {"cmd": ["sh"], "stdin": [f"cp /pfs/{repo}/* /pfs/out"]},
        "autoscaling": True,
        **fields,
    }
    client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    return pipeline


def effective(client: Client, pipeline: pps.Pipeline) -> dict[str, object]:
    read: dict[str, object] = json.loads(
        client.pps.inspect_pipeline(pipeline=pipeline, details=True).effective_spec_json
    )
    return read


def names(pipelines: list[pps.Pipeline]) -> set[str]:
    return {pipeline.name for pipeline in pipelines}


def command(server: Server, *words: str, text: str = "", code: int = 0) -> str:
    """Run the command line and return what it prints."""
    line = [sys.executable, "-m", "trunkline.cli", *words, "--address", server.address]
    done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


def test_specs_are_merged_over_the_defaults_of_the_project_and_those_over_the_clusters(
    client: Client,
) -> None:
    make_repo(client, "in")
    client.pps.set_cluster_defaults(cluster_defaults_json=defaults(datumTries=5, datumTimeout="60s"))
    project = pfs.Project(name="default")
    client.pps.set_project_defaults(project=project, project_defaults_json=defaults(datum_tries=6))

    merged = effective(client, create(client, "merged"))
    own = effective(client, create(client, "own", datum_tries=7))

    assert (merged["datum_tries"], merged["datum_timeout"], own["datum_tries"]) == (6, "60s", 7)
    assert json.loads(client.pps.get_cluster_defaults().cluster_defaults_json) == json.loads(
        defaults(datumTries=5, datumTimeout="60s")
    )
    stored = client.pps.get_project_defaults(project=project)
    assert stored.project_defaults_json == defaults(datum_tries=6)
    assert stored.created_at.year > 1970
    assert client.pfs.inspect_project_v2(project=project).defaults_json == defaults(datum_tries=6)


def test_pipelines_keep_their_effective_spec_until_they_are_regenerated(client: Client) -> None:
    put(client, make_repo(client, "in"), {"/a": b"1"})
    first = create(client, "first", datumTries=2)
    second = create(client, "second", "first")
    fixed = create(client, "fixed", datum_tries=9, datum_timeout="1s")

    client.pps.set_cluster_defaults(cluster_defaults_json=defaults(datumTries=4))
    assert effective(client, second)["datum_tries"] == 3
    client.pps.rerun_pipeline(pipeline=second)
    assert effective(client, second)["datum_tries"] == 3

    changed = defaults(datumTries=4, datumTimeout="90s")
    listed = client.pps.set_cluster_defaults(cluster_defaults_json=changed, regenerate=True, dry_run=True)
    assert names(listed.affected_pipelines) == {"first", "second"}
    assert client.pps.get_cluster_defaults().cluster_defaults_json == defaults(datumTries=4)
    assert effective(client, second)["datum_tries"] == 3

    done = client.pps.set_cluster_defaults(cluster_defaults_json=changed, regenerate=True, reprocess=True)
    assert names(done.affected_pipelines) == {"first", "second"}
    assert effective(client, first)["datum_tries"] == 2
    assert effective(client, second) | {"datum_tries": 4, "datum_timeout": "90s"} == effective(client, second)
    assert client.pps.inspect_pipeline(pipeline=fixed).version == 1
    job = next(iter(client.pps.list_job(pipeline=second)))
    info = ended(client, second, job.job.id)
    assert (info.state, info.data_processed) == (pps.JobState.JOB_SUCCESS, 1)
    again = client.pps.set_cluster_defaults(cluster_defaults_json=changed, regenerate=True)
    assert again.affected_pipelines == []


def test_a_stopped_pipeline_stays_stopped_when_it_is_regenerated(client: Client) -> None:
    make_repo(client, "in")
    pipeline = create(client, "idle")
    client.pps.stop_pipeline(pipeline=pipeline)

    client.pps.set_cluster_defaults(cluster_defaults_json=defaults(datumTries=4), regenerate=True)

    assert client.pps.inspect_pipeline(pipeline=pipeline).stopped
    assert effective(client, pipeline)["datum_tries"] == 4


def test_defaults_that_a_pipeline_cannot_have_change_nothing(client: Client) -> None:
    make_repo(client, "in")
    two = create(client, "two")
    bad = defaults(transform={"secrets": [{"name": "nowhere", "mountPath": "/x"}]})

    error = refusal(lambda: client.pps.set_cluster_defaults(cluster_defaults_json=bad, regenerate=True))

    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
    assert "default/two" in error.details()
    assert client.pps.get_cluster_defaults().cluster_defaults_json == "{}"
    assert client.pps.inspect_pipeline(pipeline=two).version == 1


@pytest.mark.parametrize("text", ["", "[]", '{"createPipelineRequest": {"datumTries": -1}}', '{"x": 1}'])
def test_defaults_that_are_not_valid_are_refused(client: Client, text: str) -> None:
    error = refusal(lambda: client.pps.set_cluster_defaults(cluster_defaults_json=text))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_defaults_of_a_project_need_the_project_and_reprocess_needs_regenerate(client: Client) -> None:
    nowhere = pfs.Project(name="nowhere")
    set_defaults = client.pps.set_project_defaults

    missing = refusal(lambda: set_defaults(project=nowhere, project_defaults_json="{}"))
    alone = refusal(lambda: client.pps.set_cluster_defaults(cluster_defaults_json="{}", reprocess=True))

    assert missing.code() is grpc.StatusCode.NOT_FOUND
    assert alone.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_command_line_sets_lists_and_removes_defaults(shared: Server, client: Client) -> None:
    make_repo(client, "in")
    create(client, "old")

    def run(*words: str, text: str = "") -> str:
        return command(shared, *words, text=text)

    text = "createPipelineRequest:\n  datumTries: 4\n"
    assert run("create", "defaults", "--cluster", "--regenerate", "--dry-run", text=text) == "default/old"
    assert run("inspect", "defaults", "--cluster") == "{}"
    assert run("update", "defaults", "--project", "default", "--regenerate", text=text) == "default/old"
    assert json.loads(run("inspect", "defaults")) == {"createPipelineRequest": {"datumTries": 4}}
    run("delete", "defaults")
    assert run("inspect", "defaults") == "{}"


def test_specs_are_validated_without_being_created(shared: Server, client: Client) -> None:
    spec = {
        "pipeline": {"name": "p"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "in", "glob": "/"}},
    }

    command(shared, "validate", "pipeline", "-f", "-", text=json.dumps(spec))
    command(shared, "validate", "pipeline", "-f", "-", text=json.dumps({**spec, "datum_tries": -1}), code=2)

    assert list(client.pps.list_pipeline()) == []


def test_check_status_reports_workers_that_run_longer_than_expected(shared: Server, client: Client) -> None:
    put(client, make_repo(client, "in"), {"/a": b"1"})
    long = create(client, "long", maximum_expected_uptime="0.001s", transform={"cmd": ["sleep", "1000"]})
    create(client, "calm", maximum_expected_uptime="1h")

    [status] = until(lambda: list(client.pps.check_status(all=True)), "an alert")

    assert (status.pipeline, status.project.name, len(status.alerts)) == (long, "default", 1)
    of_project = client.pps.check_status(project=pfs.Project(name="default"))
    assert [status.pipeline for status in of_project] == [long]
    assert command(shared, "check", "status", "-o", "name") == "default/long"
    assert "long" in command(shared, "check", "status", "-A")
    assert refusal(lambda: list(client.pps.check_status(project=pfs.Project(name="nowhere")))).code() is (
        grpc.StatusCode.NOT_FOUND
    )
    client.pps.delete_pipeline(pipeline=long, force=True)
