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


def test_a_server_of_processes_keeps_no_secrets_and_refuses_pipelines_that_want_them(client: Client) -> None:
    transform = pps.Transform(
        cmd=["true"], secrets=[pps.SecretMount(name="db", key="password", env_var="PW")]
    )

    secret = refusal(lambda: client.pps.create_secret(name="db", data={"password": "hunter2"}))
    pipeline = refusal(lambda: create(client, "p", transform))

    assert secret.code() == pipeline.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert secret.details() == pipeline.details()
    assert secret.details().endswith("or serve with --fleet kubernetes")


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
