"""The worker's life: register, claim, work, claim again, until there is nothing more to expect."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError, Unauthenticated
from trunkline.worker import assignment
from trunkline.worker.api import ServerAPI, patiently
from trunkline.worker.interrupts import Interrupts
from trunkline.worker.keeper import Keeper
from trunkline.worker.places import Places

if TYPE_CHECKING:
    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.settings import Settings
    from trunkline.worker.world import World

#: Seconds that one claim waits at the server for work.
_CLAIM_WAIT = 30.0


class _Stop(BaseException):
    """SIGTERM while the worker waits for work; not an Exception, so that nobody takes it for a failure."""


class Worker:
    """One worker process after it has entered its world."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._interrupts = Interrupts()
        self._api = self._connect()
        self._keeper = Keeper(self._connect(), self._interrupts)
        self._places = Places(settings.scratch, has_memory=not world.lack)
        self._waiting = False
        self._notes = list(_notes(settings, world))

    def run(self) -> int:
        """Live; return the exit code: 0 when the work is done, 1 when the server is gone or strange."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            patiently(lambda: self._api.register(os.getpid()), self._interrupts)
            self._keeper.start()
            self._claim_until_retired()
        except _Stop:
            return 0
        except Unauthenticated:
            say("the server does not know this worker any more")
            return 1
        except TrunklineError as error:
            say(f"gave up: {error.message}")
            return 1
        finally:
            self._keeper.stop()
        return 1 if self._interrupts.abandon else 0

    def _claim_until_retired(self) -> None:
        while not (self._interrupts.retire or self._interrupts.abandon):
            answer = patiently(self._claim, self._interrupts)
            if answer.HasField("assignment"):
                assignment.work(
                    self._api,
                    self._keeper,
                    self._interrupts,
                    self._world,
                    self._places,
                    answer.assignment,
                    self._notes,
                )
                self._notes = []
            self._interrupts.retire |= answer.retire

    def _claim(self) -> pb.ClaimResponse:
        # An assignment that arrives together with SIGTERM is dropped; its lease runs out, or the server
        # frees it when it learns that the worker is gone.
        self._waiting = True
        try:
            if self._interrupts.retire:
                raise _Stop
            return self._api.claim(_CLAIM_WAIT)
        finally:
            self._waiting = False

    def _on_sigterm(self, number: int, frame: object) -> None:
        del number, frame
        parent = self._settings.parent
        orphaned = bool(parent) and os.getppid() != parent
        self._interrupts.raise_flag(retire=True, abandon=orphaned)
        if self._waiting:
            self._waiting = False
            raise _Stop

    def _connect(self) -> ServerAPI:
        return ServerAPI(self._settings.server, self._settings.worker_id, self._settings.token)


def _notes(settings: Settings, world: World) -> list[str]:
    """Return what whoever reads the log should know about this worker's world."""
    notes = []
    if settings.image.name and not settings.image.known:
        notes.append(
            f'image "{settings.image.name}" is not known here; commands run on this machine\'s own tools'
        )
    if world.lack:
        notes.append(
            f"this machine does not let workers have a private root ({world.lack}); "
            f"commands find /pfs in the folder that $PFS_ROOT names"
        )
    for note in notes:
        say(note)
    return notes


def say(text: str) -> None:
    """Write a line to the worker's own log."""
    sys.stderr.write(f"worker: {text}\n")
    sys.stderr.flush()
