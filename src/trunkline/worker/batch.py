"""Runs a batch program: one process that asks its worker for each datum (docs/design/work.md).

The program is started for the first datum and serves the next ones of its job, those of later claims included, until it
fails. A datum begins when the program's call of ``NextDatum`` is answered, and has succeeded when the
program calls again without an error. After a failure the program is ended, so that the next datum meets a new one.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.worker import command
from trunkline.worker.output_lines import OutputLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.worker.command import Ending, Executor, Process, Program
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.next_datum import NextDatumServer
    from trunkline.worker.output_lines import LineTaker

#: Variable with the port of the worker's gRPC server, as the published SDK reads it.
PORT_VARIABLE = "PPS_WORKER_GRPC_PORT"
#: File below /pfs with the variables of the datum, which the published SDK reads after each call.
ENV_FILE = ".env"
#: Seconds in which a new program must ask for its first datum; a longer datum_timeout extends it. Loading a model over
#: a network takes minutes.
START_LIMIT = 600.0

_NEVER_ASKED = (
    "the batch program did not ask for its first datum; call NextDatum (batch_all_datums of the SDK) in a loop without "
    "end, or remove transform.datum_batching"
)
_ASKED_NO_MORE = (
    "the batch program ended before it asked for the next datum; call NextDatum in a loop without end"
)


class Datum(NamedTuple):
    """The datum that a program processes, as its worker describes it to those who ask."""

    job_id: str
    #: Path and hash of each file.
    files: Sequence[tuple[str, bytes]] = ()


class Log(NamedTuple):
    """Where the lines of a datum go."""

    add_line: LineTaker
    #: Takes lines of the worker itself.
    note: LineTaker
    #: Whether the program's output must wait.
    is_full: Callable[[], bool]


class BatchProgram:
    """The batch program of one worker, while it runs. Used by the main thread."""

    def __init__(
        self, starter: Executor, interrupts: Interrupts, worker_id: str, start_limit: float = START_LIMIT
    ) -> None:
        """Start nothing yet.

        Args:
            starter: starts the program.
            interrupts: flags that end it.
            worker_id: of this worker.
            start_limit: seconds in which it must ask for its first datum.
        """
        self._starter = starter
        self._interrupts = interrupts
        self._worker_id = worker_id
        self._start_limit = start_limit
        self._server: NextDatumServer | None = None
        self._running: Process | None = None
        #: What the running program was started for.
        self._key: object = None
        #: Bytes that it may use; 0 for no limit.
        self._memory_limit = 0
        self._asks = False
        #: Names of all variables that the program was given.
        self._names: set[str] = set()
        #: Monotonic nanoseconds at which the program got its last datum.
        self.begun = 0

    def variables(self, of_datum: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a datum, and those of earlier datums that it lacks, empty."""
        self._names |= of_datum.keys()
        return dict.fromkeys(self._names, "") | dict(of_datum)

    def run(
        self,
        key: object,
        program: Callable[[], Program],
        datum: Datum,
        variables: Mapping[str, str],
        timeout: float,
        log: Log,
        *,
        tmp: str,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Ending:
        """Give the program one datum and wait until it has processed it.

        Args:
            key: identifies job and command; a program with another key is ended.
            program: returns what to start if none runs.
            datum: the datum.
            variables: of the datum.
            timeout: seconds for the datum; 0 for no limit.
            log: takes the lines that are written meanwhile.
            tmp: the datum's folder for temporary files.
            meanwhile: called once the program has the datum; the program is not watched until it returns.

        Raises:
            Interrupted: a flag ended the program.
            ExecutorLost: the launcher has ended and did not come back.
        """
        self._end_unusable(key)
        lines = OutputLines(log.add_line)
        if self._running is None:
            begun = program()
            try:
                self._start(key, begun)
            except command.CannotStart as error:
                return command.Ending(None, command.why_not_started(begun, error.obstacle))
        if not self._asks:
            limit = max(self._start_limit, timeout)
            ending = self._watch(limit, lines, log, _NEVER_ASKED)
            if ending is not None:
                return ending
            self._take_error()  # a new program has no datum that it could be about
        server = self._serve()
        self._asks = False
        self.begun = time.monotonic_ns()
        env = [f"{name}={value}" for name, value in variables.items()]
        server.answer(env, datum.job_id, datum.files, meanwhile)
        try:
            ending = self._watch(timeout, lines, log, _ASKED_NO_MORE)
        finally:
            server.end_datum()
        if ending is not None:
            return ending
        lines.finish()
        reported = self._take_error()
        assert self._running is not None
        if reported or not self._running.hand_over(tmp):
            self.end()
        if reported:
            return command.Ending(None, f"the batch program reported an error: {reported}")
        return command.Ending(0, "exit code 0")

    def end(self) -> None:
        """End the program, if one runs."""
        running, self._running = self._running, None
        self._asks = False
        if running is not None:
            server = self._serve()
            server.poller.clear()
            try:
                running.finish()
            finally:
                running.close()
            server.forget()

    def rest(self) -> None:
        """Let calls of the program be answered while there is no datum for it."""
        if self._server is not None:
            self._server.rest()

    def close(self) -> None:
        """End the program and its server."""
        self.end()
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _end_unusable(self, key: object) -> None:
        if self._running is None:
            return
        has_ended = bool(select.select([self._running.ended], [], [], 0)[0])
        if has_ended or key != self._key:
            self.end()

    def _serve(self) -> NextDatumServer:
        if self._server is None:
            from trunkline.worker.next_datum import NextDatumServer  # its imports take 200 ms

            self._server = NextDatumServer(
                self._worker_id, lambda: self._interrupts.raise_flag(restart_datum=True)
            )
        return self._server

    def _start(self, key: object, program: Program) -> None:
        env = {**program.env, PORT_VARIABLE: str(self._serve().port)}
        self._running = self._starter.start(program._replace(env=env), self._interrupts)
        self._key, self._memory_limit = key, program.memory_limit

    def _take_error(self) -> str:
        self._asks = True
        return self._serve().take_error()

    def _watch(self, timeout: float, lines: OutputLines, log: Log, advice: str) -> Ending | None:
        """Wait until the program asks, and return None, or until it has ended, and return why that is a failure.

        Args:
            timeout: seconds after which it is killed; 0 for none.
            lines: take its output.
            log: takes the worker's own lines.
            advice: what a program that ends by itself has left out, and how to fix it.
        """
        assert self._running is not None
        watch = command.Watch(
            self._running,
            timeout,
            self._interrupts,
            lines,
            log.is_full,
            self._memory_limit,
            command.ASKED,
            self._serve().poller,
        )
        try:
            has_ended = watch.until_ended()
        except BaseException:
            self.end()
            raise
        if not has_ended:
            return None
        running, self._running = self._running, None
        server = self._serve()
        server.poller.clear()
        try:
            ending = command.conclude(running, watch, log.note)
        finally:
            server.forget()
        if watch.timed_out and advice is _NEVER_ASKED:
            return command.Ending(None, f"killed after {timeout:g} s: {advice}")
        # No exit code is accepted: a program that processes datums well does not end.
        return command.Ending(None, ending.reason if ending.code is None else f"{ending.reason}: {advice}")
