"""Fargate simulated: real pipelines and workers, simulated machines; what people see while they wait, and the bill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pachyderm_sdk.api import pps
from servers import Server, ended, make_repo, put, refusal, until

from trunkline.cli.main import main
from trunkline.rpc.gen import control_pb2
from trunkline.scaling.prices import billed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Slow enough that a look at waiting workers surely comes before their machines: these take about 3 to 8 s.
SPEED = 10
WORKERS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    options = ("--simulate", "fargate", "--speed", str(SPEED))
    server = Server(tmp_path / "data", options=options).start()
    yield server
    server.close()


@pytest.fixture
def trunkline(server: Server, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line in this process, which is soon enough to see workers wait; return what it printed."""

    def run(*words: str) -> str:
        capfd.readouterr()
        code = main([*words, "--address", server.address])
        printed = capfd.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


def rows(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def edges(gate: Path) -> dict[str, Any]:
    """The article's pipeline, with a command that waits until a file exists."""
    return {
        "pipeline": {"name": "edges"},
        "metadata": {"labels": {"node": "fargate"}},
        "resource_requests": {"memory": "4Gi", "cpu": 1},
        "parallelism_spec": {"constant": WORKERS},
        "autoscaling": True,
        "input": {"pfs": {"repo": "images", "glob": "/*"}},
        "transform": {
            "cmd": ["sh", "-e", "-c", f"until [ -e {gate} ]; do sleep 0.05; done; cp /pfs/images/* /pfs/out/"]
        },
    }


@pytest.mark.slow  # ten seconds
def test_pods_wait_for_machines_which_come_work_go_and_are_paid(
    server: Server, tmp_path: Path, trunkline: Callable[..., str]
) -> None:
    client, control, gate = server.client(), server.control(), tmp_path / "gate"
    (tmp_path / "edges.json").write_text(json.dumps(edges(gate)))
    images = make_repo(client, "images")
    trunkline("create", "pipeline", "-f", str(tmp_path / "edges.json"))
    pipeline = pps.Pipeline(name="edges")
    # What the plan said beforehand.
    plan = json.loads(trunkline("fargate", "plan", "-f", str(tmp_path / "edges.json"), "-o", "json"))
    hour = plan["price"]["worker_hour"]

    def machines() -> list[control_pb2.MachineInfo]:
        response = control.ListMachine(control_pb2.ListMachineRequest())
        return [machine for machine in response if machine.kind == "fargate"]

    def waiting() -> pps.PipelineInfo | None:
        info = client.pps.inspect_pipeline(pipeline=pipeline, details=True)
        return info if info.reason.startswith(f"{WORKERS} workers wait: ") else None

    assert machines() == []
    commit = put(client, images, {f"/{number}": b"%d" % number for number in range(2 * WORKERS)})
    # Pending, with a sentence: in the pipeline and at each worker.
    info = until(waiting, "all workers waiting")
    workers = rows(trunkline("list", "worker", "-o", "jsonl"))
    asked = rows(trunkline("list", "node", "-o", "jsonl"))
    assert (info.details.workers_available, info.state) == (0, pps.PipelineState.PIPELINE_RUNNING)
    assert [worker["state"] for worker in workers] == ["pending"] * WORKERS
    assert all("machine" in worker["reason"] for worker in workers)
    # Five machines were requested in one step, and are marked as pretended.
    assert [(row["kind"], row["pretended"]) for row in asked] == [("fargate", True)] * WORKERS
    assert "start 5 at once" in " ".join(trunkline("explain", "pipeline", "edges").split())
    # They start, and the list shows what runs on each.
    at_work = until(lambda: [row for row in machines() if row.ready and row.pipelines], "a machine at work")
    assert at_work[0].pipelines == ["default/edges"]
    assert at_work[0].dollars_per_hour == pytest.approx(hour)
    gate.touch()
    job = ended(client, pipeline, commit)
    assert (job.state, job.data_processed) == (pps.JobState.JOB_SUCCESS, 2 * WORKERS)
    # They go, and nothing is left.
    until(lambda: not machines(), "no machine")
    assert trunkline("list", "node", "-o", "name") == ""
    assert trunkline("list", "worker", "-o", "name") == ""
    # What they have cost: by the second of the act, for a minute at least.
    (cost,) = (
        row
        for row in rows(trunkline("list", "cost", "-p", "edges", "-o", "jsonl"))
        if row["job_id"] == commit
    )
    assert cost["pretended"] is True
    assert cost["dollars"] >= billed(0, hour) * 0.99


def test_what_fargate_has_no_machine_for_is_refused_with_the_reason(server: Server) -> None:
    client = server.client()
    make_repo(client, "images")
    spec = edges(server.data) | {"resource_requests": {"cpu": 32, "memory": "1Gi"}}

    refused = refusal(lambda: client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec)))

    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "16 vCPU and 120 GB" in refused.details()
