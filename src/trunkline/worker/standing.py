"""Runs a standing program: the command of a spout or a service (docs/design/work.md).

The main thread waits for the program's end, its output and interruptions. A second thread waits, on a connection of
its own, for the end of what the worker holds. A service's program goes on while the job that it serves changes: its
/pfs is one folder, in which links lead to the files of the newest job.

The program is not started again here: its worker exits, and the server decides when the next one starts.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument, TrunklineError, Unauthenticated
from trunkline.linux import file_trees
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import command, environment
from trunkline.worker.api import PATIENCE, patiently
from trunkline.worker.batch import ENV_FILE
from trunkline.worker.command import ExecutorLost, ProgramEnded
from trunkline.worker.inputs import Inputs, InputsUnavailable
from trunkline.worker.interrupts import Interrupted
from trunkline.worker.output_lines import OutputLines
from trunkline.worker.published_port import PortTaken, PublishedPort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.worker.api import ServerAPI
    from trunkline.worker.command import Process
    from trunkline.worker.files import Owner
    from trunkline.worker.heartbeat import Heartbeat
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.scratch import DatumDir

#: Seconds that one call waits for the end of what is held.
_HOLD_WAIT = 300.0
#: Seconds before the next try after the server did not answer.
_RETRY = 0.5
#: Folder in /pfs with the files of the newest jobs.
_VERSIONS = ".scratch"


class StandingProgram:
    """The standing program of one worker. Used by the main thread."""

    def __init__(
        self,
        api: ServerAPI,
        connect: Callable[[], ServerAPI],
        heartbeat: Heartbeat,
        interrupts: Interrupts,
        sandbox: Sandbox,
    ) -> None:
        """Start nothing yet.

        Args:
            api: the main thread's connection.
            connect: makes another connection.
            heartbeat: renews claims and sends the program's output.
            interrupts: flags that end the program.
            sandbox: where it runs.
        """
        self._api = api
        self._connect = connect
        self._heartbeat = heartbeat
        self._interrupts = interrupts
        self._sandbox = sandbox
        #: The claim.
        self._held = ""

    def run(self, assignment: pb.Assignment, notes: Sequence[str]) -> None:
        """Run the program until it must end; the flags of ``interrupts`` say what the worker does then.

        Args:
            assignment: the claimed work.
            notes: sentences for the log.

        Raises:
            ProgramEnded: it ended by itself.
        """
        self._interrupts.lower_for_new_claim()
        self._interrupts.is_standing = True
        _name_as_datums(assignment)
        self._hold(assignment)
        frame: Frame | None = None
        try:
            for note in notes:
                self._note(note)
            frame = self._frame(assignment.datum_run.command)
            self._run_in(frame, assignment)
        except Interrupted:
            pass
        except ProgramEnded as ending:
            reason = str(ending)
            self._note(f"the program ended: {reason}; it is started again")
            patiently(lambda: self._heartbeat.logs.ship(self._api), self._interrupts)
            patiently(lambda: self._api.end_program(self._held, reason), self._interrupts)
            raise
        finally:
            self._interrupts.is_standing = False
            self._heartbeat.let_go()
            if frame is not None:
                frame.close()

    def _frame(self, command: pb.Command) -> Frame:
        try:
            self._sandbox.place_secrets(command.secret_files)
            return Frame(self._sandbox, self._sandbox.find_user(command.user), self._interrupts)
        except InvalidArgument as error:
            raise ProgramEnded(error.message) from error
        except ExecutorLost as error:
            raise ProgramEnded(str(error)) from error

    def _run_in(self, frame: Frame, assignment: pb.Assignment) -> None:
        self._show(frame, assignment)
        with contextlib.ExitStack() as stack:
            if assignment.HasField("port") and self._sandbox.publishes_ports:
                try:
                    stack.enter_context(PublishedPort(assignment.port.internal, assignment.port.external))
                except PortTaken as error:
                    raise ProgramEnded(str(error)) from error
            program = self._sandbox.program(
                assignment.datum_run.command, frame.variables, frame.folder, frame.owner
            )
            try:
                running = self._sandbox.starter.start(program, self._interrupts)
            except command.CannotStart as error:
                raise ProgramEnded(command.why_not_started(program, error.obstacle)) from error
            except ExecutorLost as error:
                raise ProgramEnded(str(error)) from error
            self._watch(frame, running, program.memory_limit)

    def _watch(self, frame: Frame, running: Process, memory_limit: int) -> None:
        """Wait until the program has ended or must end; show it the inputs of newer jobs meanwhile."""
        logs = self._heartbeat.logs
        lines = OutputLines(lambda now, line: logs.add(0, now, line))
        try:
            while True:
                hold = HoldWatch(self._connect(), self._interrupts, self._held)
                watch = command.Watch(
                    running, 0.0, self._interrupts, lines, lambda: logs.overfull, memory_limit, hold.news
                )
                if watch.until_ended():
                    break
                answer = hold.answer()
                if not answer.HasField("assignment"):
                    self._interrupts.retire |= answer.retire
                    raise Interrupted
                patiently(lambda: logs.ship(self._api), self._interrupts)
                _name_as_datums(answer.assignment)
                self._hold(answer.assignment)
                self._show(frame, answer.assignment)
        except BaseException:
            running.finish()
            running.close()
            raise
        ending = command.conclude(running, watch, lambda now, line: logs.add(0, now, line, system=True))
        raise ProgramEnded(ending.reason)

    def _hold(self, assignment: pb.Assignment) -> None:
        self._held = assignment.claim_id
        self._heartbeat.hold(assignment.claim_id, assignment.lease_seconds, is_standing=True)

    def _show(self, frame: Frame, assignment: pb.Assignment) -> None:
        """Show the inputs of an assignment in /pfs."""
        run = assignment.datum_run
        datum = run.datums[0] if run.datums else pb.Datum()
        variables = environment.of_datum(
            self._sandbox.variables, self._sandbox.pfs, frame.tmp, assignment, datum
        )
        filled: DatumDir | None = None
        if run.datums:
            inputs = Inputs(self._api, self._interrupts, assignment, self._sandbox.scratch, frame.owner)
            inputs.avoid_memory()
            try:
                filled = inputs.prepare(0)
            except InputsUnavailable as error:
                raise ProgramEnded(str(error)) from error
            finally:
                inputs.close()
        frame.show(filled, variables)

    def _note(self, text: str) -> None:
        self._heartbeat.logs.add(0, time.time_ns(), text.encode("utf-8", "replace"), system=True)


def _name_as_datums(assignment: pb.Assignment) -> None:
    """Move the work to the field in which inputs and variables look for it."""
    run = pb.DatumRun()
    run.CopyFrom(assignment.program_run)
    assignment.datum_run.CopyFrom(run)


class Frame:
    """What a standing program sees as /pfs: one folder, with links to the files of the newest job."""

    def __init__(self, sandbox: Sandbox, owner: Owner, interrupts: Interrupts) -> None:
        """Show an empty folder.

        Args:
            sandbox: where the program runs.
            owner: its user; None for the sandbox's own.
            interrupts: flags that end the wait for the sandbox.
        """
        self._sandbox = sandbox
        self.owner = owner
        #: With which the program is started.
        self.variables: dict[str, str] = {}
        self.folder = sandbox.scratch.make((), owner, in_memory=False)
        os.mkdir(f"{self.folder.root}/{_VERSIONS}")
        sandbox.show(self.folder, interrupts)
        self._top = sandbox.top(self.folder)
        self._number = 0

    @property
    def tmp(self) -> str:
        """The folder for temporary files, as the program sees it."""
        return self.folder.tmp.replace(self.folder.root, self._sandbox.pfs, 1)

    def show(self, filled: DatumDir | None, variables: dict[str, str]) -> None:
        """Show the files of a datum, in one step for each input.

        Args:
            filled: folders with the datum's files, which are taken over; None for no inputs.
            variables: of the datum.
        """
        self.variables = self.variables or variables
        self._number += 1
        version = f"{_VERSIONS}/{self._number}"
        os.mkdir(f"{self._top}/{version}")
        names = []
        if filled is not None:
            reserved = {os.path.basename(filled.out), os.path.basename(filled.tmp)}
            names = [name for name in os.listdir(filled.root) if name not in reserved]
            for name in names:
                os.rename(f"{filled.root}/{name}", f"{self._top}/{version}/{name}")
            self._sandbox.scratch.take_back(filled)
        environment.write_file(f"{self._top}/{version}/{ENV_FILE}", variables)
        for name in (*names, ENV_FILE):
            link = f"{self._top}/{_VERSIONS}/link"
            os.symlink(f"{version}/{name}", link)
            os.rename(link, f"{self._top}/{name}")
        # A path into the version before may have been resolved already; nobody opens files of the one before it.
        if self._number > 2:
            file_trees.remove_tree(f"{self._top}/{_VERSIONS}/{self._number - 2}")

    def close(self) -> None:
        """Remove it."""
        self._sandbox.hide()
        with contextlib.suppress(OSError):  # what a command has made unremovable goes with the worker
            self._sandbox.scratch.take_back(self.folder)


class HoldWatch:
    """Waits, in a thread of its own, for the end of what a worker holds."""

    def __init__(self, api: ServerAPI, interrupts: Interrupts, claim_id: str) -> None:
        """Start the thread, which ends with the answer or with the process.

        Args:
            api: a connection for this thread alone.
            interrupts: receives ``abandon`` when the server does not know this worker, or does not answer.
            claim_id: what the worker holds.
        """
        self._api = api
        self._interrupts = interrupts
        self._claim_id = claim_id
        self._answer: pb.ClaimResponse | None = None
        #: Readable when there is an answer.
        self.news = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        threading.Thread(target=self._run, name="hold", daemon=True).start()

    def answer(self) -> pb.ClaimResponse:
        """Return the answer; called once, when ``news`` is readable."""
        os.close(self.news)
        assert self._answer is not None
        return self._answer

    def _run(self) -> None:
        silent_since: float | None = None
        while True:
            try:
                answer = self._api.claim(_HOLD_WAIT, self._claim_id)
            except TrunklineError as error:
                # Not ``patiently``: waiting for a flag would take it from the main thread.
                now = time.monotonic()
                silent_since = silent_since or now
                final = isinstance(error, Unauthenticated) or not error.retryable
                if final or now - silent_since > PATIENCE:
                    self._interrupts.raise_flag(abandon=True)
                    return
                time.sleep(_RETRY)
                continue
            silent_since = None
            if not answer.held:
                self._answer = answer
                os.eventfd_write(self.news, 1)
                return
