"""Machines that join a server: real processes with folders of their own, on one host."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from pachyderm_sdk.api import pps
from servers import PATIENCE, Server, job_of, make_pipeline, make_repo, put, until

from trunkline.client.channel import Channel
from trunkline.client.stubs import Client as OwnClient
from trunkline.rpc.gen import control_pb2, machines_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pachyderm_sdk import Client


class Joined:
    """``trunkline worker``."""

    def __init__(self, address: str, token: str, folder: Path, slots: int = 2) -> None:
        command = [
            sys.executable,
            "-m",
            "trunkline.cli",
            "worker",
            "--server",
            address,
            "--slots",
            str(slots),
        ]
        self.process = subprocess.Popen(
            [*command, "--memory", "64Gi", "--data", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TRUNKLINE_WORKER_TOKEN": token},
        )

    def wait_ready(self) -> Joined:
        """Wait until it has joined."""
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        assert self.process.stdout is not None
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        assert json.loads(lines.get(timeout=PATIENCE))["ready"]
        return self

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it wrote to standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    # Nothing fits on the server itself, so that all workers are on joined machines.
    server = Server(tmp_path / "data", options=("--capacity-memory", "1Mi")).start()
    yield server
    server.close()


@pytest.fixture
def join(server: Server, tmp_path: Path) -> Iterator[Callable[..., Joined]]:
    joined: list[Joined] = []

    def join(token: str | None = None, slots: int = 2) -> Joined:
        joined.append(Joined(server.address, token or make_token(server), tmp_path, slots).wait_ready())
        return joined[-1]

    yield join
    for each in joined:
        each.close()


def make_token(server: Server, valid: float = 0.0) -> str:
    with Channel(server.address) as channel:
        answer = OwnClient(channel).machines.CreateWorkerToken(
            machines_pb2.CreateWorkerTokenRequest(valid_seconds=valid)
        )
    return str(answer.token)


def machines_of(server: Server) -> list[control_pb2.MachineInfo]:
    return list(server.control().ListMachine(control_pb2.ListMachineRequest()))


def sleeping(
    client: Client, name: str, script: str, datums: int, workers: int = 2
) -> tuple[pps.Pipeline, str]:
    branch = make_repo(client, "texts")
    pipeline = make_pipeline(
        client, name, script, "texts", parallelism_spec=pps.ParallelismSpec(constant=workers), datum_tries=1
    )
    return pipeline, put(client, branch, {f"/{number}": b"%d" % number for number in range(datums)})


def result(client: Client, pipeline: pps.Pipeline, commit: str) -> pps.JobInfo:
    return until(
        lambda: (info := job_of_state(client, pipeline, commit)) and info, "the end of the job", 2 * PATIENCE
    )


def job_of_state(client: Client, pipeline: pps.Pipeline, commit: str) -> pps.JobInfo | None:
    info = client.pps.inspect_job(job=job_of(pipeline, commit), details=True)
    return info if info.state in (pps.JobState.JOB_SUCCESS, pps.JobState.JOB_FAILURE) else None


def test_a_machine_that_has_joined_runs_the_workers_and_is_listed(server, join):
    join()
    client = server.client()

    pipeline, commit = sleeping(client, "copies", "cp /pfs/texts/* /pfs/out/", 4)
    info = result(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS
    assert info.data_processed == 4
    assert sorted(each.kind for each in machines_of(server)) == ["joined", "local"]


@pytest.mark.slow
def test_a_machine_that_is_killed_loses_its_workers_and_another_runs_what_they_ran(server, join):
    first = join(slots=1)
    client = server.client()
    pipeline, commit = sleeping(client, "again", "sleep 3; cp /pfs/texts/* /pfs/out/", 1, workers=1)
    until(lambda: [each for each in machines_of(server) if each.workers], "the worker")

    first.process.kill()
    join(slots=1)
    info = result(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS
    assert info.data_processed == 1


@pytest.mark.slow
def test_what_a_frozen_machine_ran_runs_elsewhere_and_is_recorded_once(server, join):
    first = join(slots=1)
    client = server.client()
    pipeline, commit = sleeping(client, "frozen", "sleep 1; cp /pfs/texts/* /pfs/out/", 3, workers=1)
    until(lambda: [each for each in machines_of(server) if each.workers], "the worker")

    first.process.send_signal(signal.SIGSTOP)
    join(slots=1)
    info = result(client, pipeline, commit)
    first.process.send_signal(signal.SIGCONT)

    assert info.state == pps.JobState.JOB_SUCCESS
    assert info.data_processed == 3


@pytest.mark.slow
def test_a_machine_outlives_its_server_and_its_workers_go_on(server, join):
    join(slots=1)
    client = server.client()
    pipeline, commit = sleeping(client, "goes-on", "sleep 4; cp /pfs/texts/* /pfs/out/", 1, workers=1)
    before = until(lambda: [list(each.workers) for each in machines_of(server) if each.workers], "the worker")

    server.kill()
    server.start()
    client = server.client()
    info = result(client, pipeline, commit)

    assert info.state == pps.JobState.JOB_SUCCESS
    assert info.data_processed == 1
    assert before


def test_a_revoked_token_ends_the_machine(shared, tmp_path):
    token = make_token(shared)
    joined = Joined(shared.address, token, tmp_path).wait_ready()

    with Channel(shared.address) as channel:
        request = machines_pb2.RevokeWorkerTokenRequest(id=token.partition(".")[0])
        OwnClient(channel).machines.RevokeWorkerToken(request)
    code, errors = joined.wait()

    assert code != 0
    assert token not in errors


def test_a_forged_token_is_refused(shared, tmp_path):
    joined = Joined(shared.address, "0123456789ab." + "0" * 64, tmp_path)

    code, _ = joined.wait()

    assert code != 0


def test_a_server_on_another_machine_needs_tls(tmp_path):
    joined = Joined("192.0.2.1:30650", "token", tmp_path)

    code, errors = joined.wait()

    assert code != 0
    assert "grpcs://" in errors


def test_tokens_are_listed_without_their_secrets(shared):
    token = make_token(shared)

    with Channel(shared.address) as channel:
        listed = list(OwnClient(channel).machines.ListWorkerToken(machines_pb2.ListWorkerTokenRequest()))

    assert token.partition(".")[0] in {each.id for each in listed}
    assert {each.token for each in listed} == {""}


def test_an_expired_token_lets_nobody_join(shared, tmp_path):
    token = make_token(shared, 1e-6)

    code, _ = Joined(shared.address, token, tmp_path).wait()

    assert code != 0
