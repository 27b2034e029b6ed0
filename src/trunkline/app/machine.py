"""A machine that has joined a server: ``trunkline worker`` (docs/design/fleets.md).

It is a fleet of processes that the server commands: about once a second it reports the workers that it has, and
starts and stops workers until it has those of the answer. While the server does not answer its workers go on; each
ends by itself when it cannot reach the server for a minute.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import uuid
from typing import TYPE_CHECKING, NamedTuple

from trunkline.client.channel import Channel
from trunkline.client.stubs import Client
from trunkline.client.trust import Trust
from trunkline.drivers.fleets import command_groups
from trunkline.drivers.fleets.images import ImageEnvironments
from trunkline.drivers.fleets.process import ProcessFleet
from trunkline.errors import TrunklineError, Unauthenticated
from trunkline.linux import libc
from trunkline.model.spec import from_json
from trunkline.model.workers import WorkerSpec
from trunkline.ports import ServerAddress
from trunkline.rpc.gen import machines_pb2 as pb
from trunkline.runtime import open_files
from trunkline.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trunkline.ports import Fleet

log = logging.getLogger("trunkline.machine")

#: Seconds between two reports; a change on the server is answered at once.
REPORT_SECONDS = 1.0
#: Seconds for an answer.
CALL_SECONDS = 15.0
#: Seconds between reports while the server does not answer.
FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0
#: Seconds in which workers finish when the machine leaves.
LEAVE_GRACE = 10.0


class MachineSettings(NamedTuple):
    """The settings of a machine that joins."""

    #: As for other clients: ``HOST:PORT`` or ``grpcs://HOST:PORT``.
    server: str
    token: str
    slots: int
    #: For scratch folders and logs; of this program alone.
    folder: Path
    #: Bytes of memory to give to workers; None for the machine's.
    memory: int | None
    #: File with the certificates of CAs by which the server is verified; empty for the system's.
    ca: str
    log_level: str


class Agent:
    """Makes a fleet have the workers that the server wants on this machine."""

    def __init__(self, fleet: Fleet, client: Client, slots: int, machine_id: str) -> None:
        """Join nothing yet.

        Args:
            fleet: runs the workers.
            client: calls the server, with the worker token.
            slots: how many workers the machine takes.
            machine_id: new at each start.
        """
        self._fleet = fleet
        self._client = client
        self._slots = slots
        self._machine_id = machine_id

    def exchange(self) -> None:
        """Report once, and do what the answer says.

        Raises:
            Unauthenticated: the token is not valid any more.
            TrunklineError: the server did not answer, or refused.
        """
        machine = self._fleet.machines()[0]
        report = pb.ReportRequest(
            machine_id=self._machine_id,
            name=machine.name,
            slots=self._slots,
            cpu=machine.cpu,
            memory_bytes=machine.memory,
            wait_seconds=REPORT_SECONDS,
        )
        sightings = self._fleet.observe()
        for each in sightings:
            report.workers.add(
                id=each.worker_id,
                phase=each.phase,
                reason=each.reason,
                queued=each.queued,
                ending=each.ending,
            )
        answer = self._client.machines.Report(report, CALL_SECONDS)
        self._apply(answer.workers, {each.worker_id for each in sightings})

    def _apply(self, workers: Iterable[pb.MachineWorker], present: set[str]) -> None:
        for worker in workers:
            if worker.stop:
                self._fleet.stop(worker.id, worker.stop_seconds)
            elif worker.id not in present and worker.token:
                self._fleet.start(_spec(worker))
        for worker_id in present - {worker.id for worker in workers}:
            self._fleet.stop(worker_id, 0.0)

    def leave(self) -> None:
        """End all workers, and tell the server."""
        self._fleet.close(LEAVE_GRACE)
        self._client.machines.Report(
            pb.ReportRequest(machine_id=self._machine_id, leaving=True), CALL_SECONDS
        )


def _spec(worker: pb.MachineWorker) -> WorkerSpec:
    return WorkerSpec(
        worker_id=worker.id,
        token=worker.token,
        project=worker.project,
        pipeline=worker.pipeline,
        version=worker.version,
        pipeline_spec=from_json(json.loads(worker.spec_json)),
        memory=worker.memory_bytes,
        grace=worker.grace_seconds,
    )


def main(settings: MachineSettings) -> None:
    """Run workers for a server until SIGTERM or Ctrl-C.

    Raises:
        Unauthenticated: the token is not valid, or not any more.
        TrunklineError: the server refuses this machine.
    """
    logs.set_up(settings.log_level, "text", access=False, stream=sys.stderr)
    os.umask(0o077)
    open_files.raise_limit()
    libc.hide_memory()
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    trust = Trust((settings.ca,) if settings.ca else ())
    channel = Channel(settings.server, [("worker-token", settings.token)], trust)
    images = ImageEnvironments(settings.folder / "images")
    fleet = ProcessFleet(
        ServerAddress(settings.server, settings.ca),
        settings.folder / "fleet",
        images,
        settings.memory,
        command_groups=command_groups.use_own(),
    )
    agent = Agent(fleet, Client(channel), settings.slots, uuid.uuid4().hex)
    try:
        _follow(agent, ending)
    finally:
        try:
            agent.leave()
        except Unauthenticated:
            pass  # the reason for which it leaves
        except TrunklineError as error:
            log.warning("the server does not know that this machine has left: %s", error.message)
        images.close()
        channel.close()


def _follow(agent: Agent, ending: threading.Event) -> None:
    """Report until the end; when the server does not answer, wait and report again."""
    joined, pause = False, FIRST_PAUSE
    while not ending.is_set():
        try:
            agent.exchange()
        except Unauthenticated:
            raise
        except TrunklineError as error:
            if not joined and not error.retryable:
                raise
            log.warning("the server does not answer: %s", error.message)
            ending.wait(pause)
            pause = min(2 * pause, LAST_PAUSE)
            continue
        if not joined:
            log.info("joined", extra={"action": "machine_joined"})
            sys.stdout.write(json.dumps({"ready": True, "pid": os.getpid()}) + "\n")
            sys.stdout.flush()
        joined, pause = True, FIRST_PAUSE
