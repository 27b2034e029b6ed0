"""The worker's main loop: registers, then claims and executes work until it is retired."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument, TrunklineError, Unauthenticated
from trunkline.worker import assignment
from trunkline.worker.api import ServerAPI, patiently
from trunkline.worker.batch import BatchProgram
from trunkline.worker.command import ProgramEnded
from trunkline.worker.heartbeat import Heartbeat
from trunkline.worker.interrupts import Interrupts
from trunkline.worker.server_access import CONFIG, TOKEN, ServerAccess

if TYPE_CHECKING:
    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.settings import Settings

#: Seconds that one Claim call waits for work. A thousand idle workers make three calls a second.
_CLAIM_WAIT = 300.0
#: Seconds in which the server must answer a new worker. Longer than for a running one: on Kubernetes both may start
#: together, and a server that moves to a new node is down for minutes.
_REGISTER_PATIENCE = 600.0
#: Share of the grace period after SIGTERM that is reserved for reporting and releasing datums: a quarter, at most 5 s.
_REPORT_SHARE, _REPORT_LIMIT = 0.25, 5.0


class _Stop(BaseException):
    """SIGTERM while the worker waits for work; not an Exception, so that no handler treats it as a failure."""


class Worker:
    """One worker process after its sandbox is set up."""

    def __init__(self, settings: Settings, sandbox: Sandbox, pid: int) -> None:
        """Connect to the server.

        Args:
            settings: the worker's settings.
            sandbox: where its commands run.
            pid: the process that the fleet started: this one, or the one outside its PID namespace.
        """
        self._settings = settings
        self._pid = pid
        self._sandbox = sandbox
        self._interrupts = Interrupts()
        self._api = self._connect()
        self._heartbeat = Heartbeat(self._connect(), self._interrupts)
        self._batch = BatchProgram(sandbox.starter, self._interrupts, settings.worker_id)
        self._access = ServerAccess(settings.server, settings.trust)
        self._waiting = False
        self._told_to_go = False
        self._notes = sandbox.notes
        for note in self._notes:
            say(note)

    def run(self) -> int:
        """Run until retired; return the exit code: 0 when retired, 1 after an error of the server."""
        signal.signal(signal.SIGALRM, self._on_time_up)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            self._register()
            self._heartbeat.start()
            self._claim_until_retired()
        except _Stop:
            return 0
        except ProgramEnded as ending:
            say(f"the program ended: {ending}")
            return 1
        except Unauthenticated:
            say("the server does not know this worker any more")
            return 1
        except TrunklineError as error:
            say(f"gave up: {error.message}")
            return 1
        finally:
            self._batch.close()
            self._heartbeat.stop()
        return 1 if self._interrupts.abandon else 0

    def _register(self) -> None:
        deadline = time.monotonic() + _REGISTER_PATIENCE
        self._waiting = True
        try:
            while True:
                try:
                    return patiently(lambda: self._api.register(self._pid), self._interrupts)
                except TrunklineError as error:
                    if not error.retryable or time.monotonic() > deadline:
                        raise
        finally:
            self._waiting = False

    def _claim_until_retired(self) -> None:
        following: pb.Assignment | None = None
        while not (self._interrupts.retire or self._interrupts.abandon):
            if following is not None:
                following = self._run_datums(following)
                continue
            answer = patiently(self._claim, self._interrupts)
            if answer.HasField("assignment"):
                self._introduce(answer.assignment)
            if answer.assignment.HasField("program_run"):
                self._run_program(answer.assignment)
            elif answer.HasField("assignment"):
                following = self._run_datums(answer.assignment)
            self._interrupts.retire |= answer.retire

    def _run_datums(self, work: pb.Assignment) -> pb.Assignment | None:
        """Run the datums of an assignment; return the next one, if the server has sent it."""
        notes, self._notes = self._notes, []
        return assignment.work(
            self._api,
            self._heartbeat,
            self._interrupts,
            self._sandbox,
            self._sandbox.scratch,
            work,
            notes,
            self._batch,
        )

    def _run_program(self, work: pb.Assignment) -> None:
        from trunkline.worker.standing import (
            StandingProgram,
        )  # its imports take 40 ms, which few workers need

        program = StandingProgram(self._api, self._connect, self._heartbeat, self._interrupts, self._sandbox)
        program.run(work, self._notes)
        self._notes = []

    def _introduce(self, work: pb.Assignment) -> None:
        """Let commands reach the server on behalf of their pipeline: those that do so find a configuration too."""
        if not work.pipeline_token or TOKEN in self._sandbox.variables:
            return
        variables = self._access.variables(work.pipeline_token)
        if not work.HasField("datum_run"):
            command = work.program_run.command if work.HasField("program_run") else work.batch_run.command
            try:
                text = self._access.config(work.pipeline_token, work.project)
                owner = self._sandbox.find_user(command.user)
                variables[CONFIG] = self._sandbox.write_config(text, owner)
            except (OSError, InvalidArgument) as error:
                say(f"commands find no configuration: {error}")
        self._sandbox.variables |= variables

    def _claim(self) -> pb.ClaimResponse:
        # An assignment that arrives together with SIGTERM is dropped; its lease expires, or the server
        # releases it when it learns that the worker has ended.
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
        # In a PID namespace the process outside checks that.
        orphaned = bool(parent) and os.getpid() == self._pid and os.getppid() != parent
        self._interrupts.raise_flag(retire=True, abandon=orphaned)
        if not self._told_to_go:
            self._told_to_go = True
            grace = self._settings.grace
            # A kernel timer rather than a thread, because it is needed only here.
            remaining = grace - min(grace * _REPORT_SHARE, _REPORT_LIMIT)
            signal.setitimer(signal.ITIMER_REAL, max(remaining, 0.001))
        if self._waiting:
            self._waiting = False
            raise _Stop

    def _on_time_up(self, number: int, frame: object) -> None:
        del number, frame
        self._interrupts.raise_flag(give_back=True)

    def _connect(self) -> ServerAPI:
        settings = self._settings
        return ServerAPI(
            settings.server, settings.worker_id, settings.token, settings.token_file, settings.trust
        )


def say(text: str) -> None:
    """Print a line to the worker's own log."""
    sys.stderr.write(f"worker: {text}\n")
    sys.stderr.flush()
