"""Runs one datum: its attempts, its error command, and the capture of its outputs.

Every attempt starts with fresh inputs and an empty /pfs/out. The error command runs after a failed attempt and sees
its files; if it succeeds and all attempts fail, the datum counts as recovered. Outputs are captured while /pfs is
still mounted, because links are resolved there.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import command, environment, outputs
from trunkline.worker.batch import ENV_FILE, Datum, Log
from trunkline.worker.command import ExecutorLost
from trunkline.worker.inputs import InputsUnavailable
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.worker.batch import BatchProgram
    from trunkline.worker.command import Program
    from trunkline.worker.files import Owner
    from trunkline.worker.heartbeat import Heartbeat
    from trunkline.worker.inputs import Inputs
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.scratch import DatumDir, ScratchPool

#: Bytes of a datum's outputs up to which they are held in memory until they are reported, which frees the datum's
#: folder at once; larger ones stay in files.
MAX_IN_MEMORY = 4 << 20
#: Bytes that are copied between two checks for an interruption.
_COPIED = 64 << 20
#: Bytes. A disk with less free space is reported as full when a command has failed.
_FULL_DISK = 1 << 20
_NO_COMMAND = "nothing to run: no transform.cmd"


class Captured(NamedTuple):
    """One output file: in memory, as a file, or a file of an item whose bytes only the server has."""

    path: str
    data: bytes | None
    file: str = ""
    #: Position of the item in the assignment, and path in the repo.
    source: tuple[int, str] | None = None


class Finished(NamedTuple):
    """A datum that has run and is not reported yet."""

    result: pb.DatumResult
    outputs: Sequence[Captured] = ()
    #: Holds outputs; removed after they are reported.
    datum_dir: DatumDir | None = None


class _AttemptFailed(Exception):
    """An attempt failed; the message says why."""

    def __init__(self, message: str, recovered: bool = False, out_of_memory: bool = False) -> None:
        super().__init__(message)
        self.recovered = recovered
        self.out_of_memory = out_of_memory


class _MemoryFull(Exception):
    """An attempt failed, possibly because its inputs were in memory; it does not count."""


class DatumRunner:
    """Runs the datums of one assignment, one at a time."""

    def __init__(
        self,
        sandbox: Sandbox,
        scratch: ScratchPool,
        heartbeat: Heartbeat,
        interrupts: Interrupts,
        assignment: pb.Assignment,
        inputs: Inputs,
        owner: Owner,
        fault: str,
        batch: BatchProgram | None,
    ) -> None:
        """Prepare to run them.

        Args:
            sandbox: where commands run.
            scratch: folders for the files of datums.
            heartbeat: takes log lines and the running datum.
            interrupts: flags that end a datum early.
            assignment: the claimed work.
            inputs: of the assignment.
            owner: the user of commands; None for the worker's.
            fault: why no command can run here; empty when commands can.
            batch: the program that asks for each datum; None when each datum has a command of its own.
        """
        self._sandbox = sandbox
        self._scratch = scratch
        self._heartbeat = heartbeat
        self._interrupts = interrupts
        self._assignment = assignment
        self._run = assignment.datum_run
        self._inputs = inputs
        self._owner = owner
        self._fault = fault
        self._batch = batch
        #: Folders of datums that have run, with their positions, to be removed later.
        self._doomed: list[tuple[int, DatumDir]] = []
        #: Bytes that the next attempt may use; 0 for no limit.
        self._memory_limit = sandbox.memory_limit
        self._batch_key = (
            assignment.project,
            assignment.pipeline,
            # Another job has other commits, and the program may have loaded files of its first datum.
            self._run.job_id,
            self._run.command.SerializeToString(deterministic=True),
            owner,
        )

    def run(self, position: int) -> Finished:
        """Run the datum to its result.

        Raises:
            Interrupted: a flag ended it; its files are removed.
        """
        tries = max(1, self._run.datum_tries)
        result = pb.DatumResult(datum=position, started=time.time())
        result.download_bytes = self._inputs.download_bytes(position)
        self._heartbeat.report(position, result.started)
        recovered = False
        self._memory_limit = self._sandbox.memory_limit
        attempt = 1
        while attempt <= tries:
            try:
                return self._attempt(position, result)
            except _MemoryFull:
                self._inputs.avoid_memory()
                self.clean()
                continue
            except ExecutorLost as failure:
                self._interrupts.raise_flag(give_back=True)
                if attempt == 1:
                    raise Interrupted from failure  # another worker will run it
                # An attempt ended the launcher's container; the next attempt might end another worker's.
                result.reason += f"; {failure}"
                break
            except _AttemptFailed as failure:
                recovered = recovered or failure.recovered
                if failure.out_of_memory and self._raise_memory_limit(position, str(failure)):
                    continue
                result.reason = str(failure) + (f" (attempt {attempt} of {tries})" if tries > 1 else "")
                self._note(position, f"failed: {result.reason}")
            if self._fault:
                break
            attempt += 1
        result.state = pb.DatumResult.RECOVERED if recovered else pb.DatumResult.FAILED
        result.finished = time.time()
        return Finished(result)

    def _raise_memory_limit(self, position: int, reason: str) -> bool:
        """Give the next attempt twice the memory, as far as the spec allows more; return whether it does.

        Such an attempt does not count, since the datum itself did not fail.
        """
        limit = min(2 * self._memory_limit, self._run.memory_retry_bytes)
        if not self._memory_limit or limit <= self._memory_limit:
            return False
        self._memory_limit = limit
        self._note(position, f"failed: {reason}; tried again with {limit >> 20:,} MiB")
        return True

    def _attempt(self, position: int, result: pb.DatumResult) -> Finished:
        try:
            datum_dir = self._inputs.prepare(position)
        except InputsUnavailable as failure:
            raise _AttemptFailed(str(failure)) from failure
        finally:
            result.download_ns = self._inputs.download_ns(position)
        keep = False
        try:
            variables = self._batch_variables(position, datum_dir)
            self._sandbox.show(datum_dir, self._interrupts)
            begun = time.monotonic_ns()
            lazy = self._inputs.open_lazily(
                self._inputs.pipes(position, self._sandbox.pfs), self._scratch.disk
            )
            try:
                with lazy:
                    begun = self._process(position, datum_dir, variables, result)
            finally:
                result.process_ns += time.monotonic_ns() - begun
                result.download_bytes += lazy.fetched
            if lazy.failure:
                raise _AttemptFailed(lazy.failure)
            captured = self._capture(position, datum_dir, result, begun)
            keep = any(output.data is None for output in captured)
            if keep:
                self._scratch.seal(datum_dir, self._owner)
            result.state, result.reason = pb.DatumResult.SUCCESS, ""
            return Finished(result, captured, datum_dir if keep else None)
        finally:
            self._sandbox.hide()
            if not keep and datum_dir.in_memory:
                self._remove_later(position, datum_dir)
            elif not keep:
                self.take_back(position, datum_dir)

    def _remove_later(self, position: int, datum_dir: DatumDir) -> None:
        """Remove a datum's folders in memory while the next datum runs."""
        self._doomed.append((position, datum_dir))
        try:
            self._scratch.release(datum_dir)
        except OSError as error:
            self._note_remains(position, error)

    def clean(self) -> None:
        """Remove the folders that are to be removed later."""
        doomed, self._doomed = self._doomed, []
        for position, datum_dir in doomed:
            self.take_back(position, datum_dir)

    def take_back(self, position: int, datum_dir: DatumDir) -> None:
        """Remove a datum's folders, or log why that is impossible."""
        try:
            self._scratch.take_back(datum_dir)
        except OSError as error:
            self._note_remains(position, error)

    def _note_remains(self, position: int, error: OSError) -> None:
        self._note(
            position,
            f"the worker could not remove {error.filename}: {error.strerror}; it is removed with the worker",
        )

    def _note(self, position: int, text: str) -> None:
        """Add a line of the worker's own to the datum's log."""
        self._heartbeat.logs.add(position, time.time_ns(), text.encode("utf-8", "replace"), system=True)

    def _tmp(self, datum_dir: DatumDir) -> str:
        """Return the path of the folder for temporary files, as commands see it."""
        if datum_dir.in_memory:
            return datum_dir.tmp
        return datum_dir.tmp.replace(datum_dir.root, self._sandbox.pfs, 1)

    def _batch_variables(self, position: int, datum_dir: DatumDir) -> dict[str, str]:
        """Return the variables that a batch program gets with a datum, and write them into its folder."""
        if self._batch is None or self._fault:
            return {}
        datum = self._run.datums[position]
        variables = environment.of_next(self._sandbox.pfs, self._assignment, datum)
        if "TMPDIR" not in self._run.command.env:
            variables["TMPDIR"] = self._tmp(datum_dir)
        variables = self._batch.variables(variables)
        try:
            environment.write_file(f"{datum_dir.root}/{ENV_FILE}", variables)
            datum_dir.entries.append(ENV_FILE)
        except OSError as error:
            if datum_dir.in_memory and error.errno == errno.ENOSPC:
                raise _MemoryFull from error
            raise _AttemptFailed(
                f"the file {ENV_FILE} of the datum could not be written: {error}{self._disk_note()}"
            ) from error
        return variables

    def _process(
        self, position: int, datum_dir: DatumDir, variables: dict[str, str], result: pb.DatumResult
    ) -> int:
        """Run the command, and the error command when it fails.

        Args:
            position: of the datum in the assignment.
            datum_dir: the datum's folders.
            variables: for a batch program.
            result: receives the processor time and the memory.

        Returns:
            The monotonic nanoseconds from which the datum's time counts.
        """
        if self._fault:
            raise _AttemptFailed(self._fault)
        spec = self._run.command
        begun = time.monotonic_ns()
        if self._batch is None:
            ending = self._execute(position, datum_dir)
        else:
            ending = self._execute_in_batch(position, datum_dir, variables)
            begun = self._batch.begun
        result.cpu_ns += round(ending.cpu_seconds * 1e9)
        result.peak_memory_bytes = max(result.peak_memory_bytes, ending.peak_memory)
        if ending.succeeded(spec.accept_return_code):
            return begun
        if datum_dir.in_memory and self._sandbox.memory_is_full():
            raise _MemoryFull
        reason = ending.reason + self._disk_note()
        recovered = bool(spec.err_cmd) and self._execute(position, datum_dir, on_error=True).succeeded()
        raise _AttemptFailed(reason, recovered, ending.out_of_memory)

    def _program(self, position: int, datum_dir: DatumDir, *, on_error: bool = False) -> Program:
        """Return the command, or the error command, with its variables and its limit."""
        env = environment.of_datum(
            self._sandbox.variables,
            self._sandbox.pfs,
            self._tmp(datum_dir),
            self._assignment,
            self._run.datums[position],
        )
        program = self._sandbox.program(self._run.command, env, datum_dir, self._owner, on_error=on_error)
        if program.memory_limit == self._memory_limit:
            return program
        return program._replace(memory_limit=self._memory_limit)

    def _execute(self, position: int, datum_dir: DatumDir, *, on_error: bool = False) -> command.Ending:
        program = self._program(position, datum_dir, on_error=on_error)
        if not program.argv:
            return command.Ending(None, _NO_COMMAND)
        logs = self._heartbeat.logs
        return command.run(
            self._sandbox.starter,
            program,
            timeout=self._run.datum_timeout_seconds,
            interrupts=self._interrupts,
            add_line=lambda now, line: logs.add(position, now, line),
            note=lambda now, line: logs.add(position, now, line, system=True),
            log_is_full=lambda: logs.overfull,
            meanwhile=self.clean,
        )

    def _execute_in_batch(
        self, position: int, datum_dir: DatumDir, variables: dict[str, str]
    ) -> command.Ending:
        assert self._batch is not None
        spec, logs = self._run.command, self._heartbeat.logs
        if not spec.cmd:
            return command.Ending(None, _NO_COMMAND)
        items = [self._run.items[number] for number in self._run.datums[position].items]
        return self._batch.run(
            self._batch_key,
            lambda: self._program(position, datum_dir),
            Datum(self._run.job_id, [(item.path, item.hash) for item in items]),
            variables,
            self._run.datum_timeout_seconds,
            Log(
                add_line=lambda now, line: logs.add(position, now, line),
                note=lambda now, line: logs.add(position, now, line, system=True),
                is_full=lambda: logs.overfull,
            ),
            tmp=datum_dir.tmp,
            meanwhile=self.clean,
        )

    def _capture(
        self, position: int, datum_dir: DatumDir, result: pb.DatumResult, command_begun: int
    ) -> list[Captured]:
        """Collect the outputs; those of small datums in memory.

        Args:
            position: of the datum in the assignment.
            datum_dir: the datum's folders.
            result: receives the size and the time.
            command_begun: monotonic nanoseconds; the datum's timeout includes this step.
        """
        begun = time.monotonic_ns()
        pfs = self._sandbox.pfs
        timeout = self._run.datum_timeout_seconds

        def check() -> None:
            if self._interrupts.end_command:
                raise Interrupted
            if timeout and time.monotonic_ns() - command_begun > timeout * 1e9:
                raise _AttemptFailed(
                    f"its outputs were not collected within datum_timeout, {timeout:g} s; "
                    f"write fewer files and links, or raise it"
                )

        try:
            with outputs.access(self._owner):
                written = outputs.find(f"{pfs}/out", self._sandbox.links_within, check)
                datum_dir.wrote_nothing = written is None
                files = list(written or ())
                copies = self._copies(position, files)
                files = [output for output in files if output.path not in copies and not output.is_pipe]
                size = sum(output.size_bytes for output in files)
                if size <= MAX_IN_MEMORY:
                    captured = [Captured(output.path, _read(output.file)) for output in files]
                else:
                    captured = [
                        Captured(output.path, None, _lasting(output.file, pfs, datum_dir, number, check))
                        for number, output in enumerate(files)
                    ]
        except InvalidArgument as error:
            raise _AttemptFailed(error.message) from error
        except OSError as error:
            raise _AttemptFailed(f"the outputs could not be read: {error}{self._disk_note()}") from error
        captured += (Captured(path, None, source=source) for path, source in copies.items())
        result.upload_bytes = size
        result.upload_ns = time.monotonic_ns() - begun
        result.finished = time.time()
        return captured

    def _copies(self, position: int, files: list[outputs.OutputFile]) -> dict[str, tuple[int, str]]:
        """Return the outputs that are links to files of empty or lazy inputs, with item and path in the repo."""
        copies: dict[str, tuple[int, str]] = {}
        if not files:
            return copies
        items = [
            (item, self._run.items[item])
            for item in self._run.datums[position].items
            if self._run.items[item].empty_files or self._run.items[item].lazy
        ]
        for output in files if items else ():
            for number, item in items:
                folder = f"{self._sandbox.pfs}/{item.input}"
                below = output.file.removeprefix(folder)
                is_of_item = below.startswith(item.path) if item.path.endswith("/") else below == item.path
                if is_of_item and below != output.file and output.size_bytes == 0:
                    copies[output.path] = number, below
        return copies

    def _disk_note(self) -> str:
        status = os.statvfs(self._scratch.disk)
        if status.f_bavail * status.f_frsize >= _FULL_DISK:
            return ""
        return "; the disk that holds /pfs/out is full: make room there, or run fewer workers at a time"


def _read(path: str) -> bytes:
    with open(outputs.open_file(path), "rb", buffering=0) as file:
        return file.read(MAX_IN_MEMORY + 1)


def _lasting(path: str, pfs: str, datum_dir: DatumDir, number: int, check: Callable[[], None]) -> str:
    """Return a path of the file that stays valid when /pfs shows another datum.

    Args:
        path: of the file, as commands see it.
        pfs: where commands see the datum.
        datum_dir: the datum's folders.
        number: number of the output, which names a copy.
        check: called regularly; an exception of it ends the copying.
    """
    if real := datum_dir.real(path, pfs):
        return real
    # A link out of /pfs: the next datum may write another file there.
    copy = f"{datum_dir.tmp}/trunkline-output-{number}"
    with open(outputs.open_file(path), "rb", buffering=0) as reader, open(copy, "wb", buffering=0) as writer:
        while os.sendfile(writer.fileno(), reader.fileno(), None, _COPIED):
            check()
    return copy
