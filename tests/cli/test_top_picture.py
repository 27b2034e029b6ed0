"""The picture of ``top`` on a terminal of 80 columns."""

from __future__ import annotations

import io
from collections import Counter
from importlib import import_module
from pathlib import Path

from rich.console import Console

from trunkline.cli.commands.top import JobStatus, MachineStatus, PipelineStatus, Snapshot, picture, read_state


def drawn(snapshot: Snapshot, width: int = 80) -> list[str]:
    paper = io.StringIO()
    Console(file=paper, width=width).print(picture(snapshot))
    return [line.rstrip() for line in paper.getvalue().splitlines()]


def machine(number: int, type: str, *, ready: bool) -> MachineStatus:
    name = f"fargate-ip-10-0-0-{number}.us-east-1.compute.internal"
    return MachineStatus(name, "fargate", type, 83.0, ready, int(ready), 0.0627, pretended=True)


def test_machines_and_jobs_fit_80_columns_and_can_be_told_apart():
    lines = drawn(
        Snapshot(
            [PipelineStatus("montage", "running", "", True, 5, 1)],
            [JobStatus("montage", "0" * 32, "success", "", "12 + 0 / 12", 12, 12)],
            Counter({("montage", "busy"): 1}),
            {},
            [machine(100, "0.25vCPU 1GB", ready=False), machine(101, "1vCPU 5GB", ready=True)],
        )
    )

    assert "…" not in "".join(lines)
    assert [line.split()[0] for line in lines if line.startswith("fargate")] == [
        "fargate-ip-10-0-0-100",
        "fargate-ip-10-0-0-101",
    ]
    assert lines[-1] == "2 machines (1 ready), 0.125 USD per hour, pretended"


def test_the_demo_reads_the_state_of_a_server(server, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples" / "opencv")
    stage = import_module("stage")

    with stage.connected(server.address) as connection:
        snapshot = read_state(connection)

    assert list(snapshot.pipelines) == []
    assert snapshot.idle
