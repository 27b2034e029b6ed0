"""Secrets, and what Kubernetes and Loki would be asked for, through the published SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from servers import put, refusal

if TYPE_CHECKING:
    from pachyderm_sdk import Client
    from servers import Server


@pytest.fixture
def client(shared: Server) -> Client:
    return shared.client()


def create(client: Client, name: str, transform: pps.Transform) -> None:
    client.pfs.create_repo(repo=pfs.Repo(name="images"), update=True)
    client.pps.create_pipeline(
        pipeline=pps.Pipeline(name=name),
        transform=transform,
        input=pps.Input(pfs=pps.PfsInput(repo="images", glob="/*")),
        parallelism_spec=pps.ParallelismSpec(constant=1),
    )


def test_commands_get_secrets_as_variables_and_as_files_in_memory(client: Client, shared: Server) -> None:
    client.pps.create_secret(name="db", data={"password": "hunter2", "user": "me"})
    script = (
        "printf %s $PW > /pfs/out/variable; cat /secrets/db/* > /pfs/out/files; stat -f -c %T /secrets/db >"
        " /pfs/out/kind; echo x > /secrets/db/new || echo read-only > /pfs/out/mode"
    )
    mounts = [
        pps.SecretMount(name="db", key="password", env_var="PW"),
        pps.SecretMount(name="db", mount_path="/secrets/db"),
    ]
    create(client, "keep", pps.Transform(cmd=["sh", "-c", script], secrets=mounts))

    commit = put(client, pfs.Branch.from_uri("images@master"), {"/a": b"1"})
    client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="keep"), id=commit), wait=True)

    outputs = {
        name: client.pfs.pfs_file(pfs.File.from_uri(f"keep@master:/{name}")).read()
        for name in ("variable", "files", "kind", "mode")
    }
    assert outputs == {
        "variable": b"hunter2",
        "files": b"hunter2me",
        "kind": b"tmpfs\n",
        "mode": b"read-only\n",
    }
    readable = [path for path in shared.data.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert [
        path for path in readable if "objects" not in path.parts and "trunkline.db" not in path.name
    ] == []


def test_a_pipeline_that_needs_a_missing_secret_is_refused(client: Client) -> None:
    def refused(mount: pps.SecretMount) -> grpc.RpcError:
        return refusal(lambda: create(client, "p", pps.Transform(cmd=["true"], secrets=[mount])))

    client.pps.create_secret(name="one", data={"key": "value"})

    assert refused(pps.SecretMount(name="no", mount_path="/x")).code() == grpc.StatusCode.NOT_FOUND
    assert refused(pps.SecretMount(name="one", key="no", env_var="X")).code() == grpc.StatusCode.NOT_FOUND
    path = pps.SecretMount(name="one", mount_path="/pfs/secret")
    assert refused(path).code() == grpc.StatusCode.INVALID_ARGUMENT
    client.pps.delete_secret(secret=pps.Secret(name="one"))


def test_a_secret_that_was_deleted_fails_the_job_with_its_name(client: Client) -> None:
    client.pps.create_secret(name="soon", data={"key": "value"})
    mount = pps.SecretMount(name="soon", key="key", env_var="X")
    create(client, "late", pps.Transform(cmd=["true"], secrets=[mount]))
    client.pps.delete_secret(secret=pps.Secret(name="soon"))

    commit = put(client, pfs.Branch.from_uri("images@master"), {"/a": b"1"})
    job = client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="late"), id=commit), wait=True)

    assert job.state == pps.JobState.JOB_FAILURE
    assert '"soon"' in job.reason


def test_what_happened_to_workers_and_what_they_print_is_told_as_by_kubernetes_and_loki(
    client: Client,
) -> None:
    create(client, "talk", pps.Transform(cmd=["sh"], stdin=["echo hello", "echo goodbye"]))
    commit = put(client, pfs.Branch.from_uri("images@master"), {"/a": b"1"})
    client.pps.inspect_job(job=pps.Job(pipeline=pps.Pipeline(name="talk"), id=commit), wait=True)

    events = [json.loads(json.loads(message.message)["log"]) for message in client.pps.get_kube_events()]
    query = '{pipelineName="talk",container="user"} |= "good"'
    lines = [message.message for message in client.pps.query_loki(query=query)]
    others = list(client.pps.query_loki(query='{pipelineName="other"}'))

    assert (
        next(message["message"] for message in events if message["pipelineName"] == "talk") == "was requested"
    )
    assert [line.rstrip() for line in lines] == ["goodbye"]
    assert others == []
