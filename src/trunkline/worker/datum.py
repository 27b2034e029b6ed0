"""Runs one datum: its attempts, its error command, and the capture of its outputs.

Every attempt begins with fresh inputs and an empty /pfs/out. The error command runs after a failed
attempt and sees what the attempt left; when it succeeds the datum counts as recovered should all attempts
fail. Outputs are captured while /pfs is still shown, because links mean what they mean there.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import command, environment, files, outputs
from trunkline.worker.inputs import InputsUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.worker.files import Owner
    from trunkline.worker.inputs import Inputs
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.keeper import Keeper
    from trunkline.worker.world import World

#: Bytes of a datum's outputs up to which they are held in memory until they are handed in, which frees
#: the folder at once; larger ones stay in files.
MAX_IN_MEMORY = 4 << 20
#: Bytes. A disk with less is called full when a command has failed.
_FULL_DISK = 1 << 20


@dataclass(frozen=True, slots=True)
class Captured:
    """One output file, in memory or as a file."""

    path: str
    data: bytes | None
    file: str = ""


@dataclass(slots=True)
class Finished:
    """A datum that has been run and waits to be handed in."""

    result: pb.DatumResult
    outputs: list[Captured] = field(default_factory=list)
    #: Folder that holds outputs, to be removed after they are handed in; or empty.
    folder: str = ""


class _AttemptFailed(Exception):
    """An attempt failed; the message says why."""

    def __init__(self, message: str, recovered: bool = False) -> None:
        super().__init__(message)
        self.recovered = recovered


@dataclass(slots=True)
class DatumRunner:
    """Runs the datums of one assignment, one at a time."""

    world: World
    keeper: Keeper
    interrupts: Interrupts
    assignment: pb.Assignment
    inputs: Inputs
    #: None with ``user_fault`` set when transform.user cannot be honoured.
    owner: Owner
    user_fault: str
    fixed_env: dict[str, str]

    def run(self, position: int) -> Finished:
        """Run the datum to its result.

        Raises:
            Interrupted: a flag ended it; nothing is left of it.
        """
        tries = max(1, self.assignment.datum_tries)
        result = pb.DatumResult(datum=position, started=time.time())
        result.download_bytes = self.inputs.download_bytes(position)
        self.keeper.report(position, result.started)
        recovered = False
        for attempt in range(1, tries + 1):
            try:
                return self._attempt(position, result)
            except _AttemptFailed as failure:
                recovered = recovered or failure.recovered
                result.reason = str(failure) + (f" (attempt {attempt} of {tries})" if tries > 1 else "")
            if self.user_fault:
                break
        result.state = pb.DatumResult.RECOVERED if recovered else pb.DatumResult.FAILED
        return Finished(result)

    def _attempt(self, position: int, result: pb.DatumResult) -> Finished:
        try:
            folder = self.inputs.take(position)
        except InputsUnavailable as failure:
            raise _AttemptFailed(str(failure)) from failure
        finally:
            result.download_ns = self.inputs.download_ns(position)
        keep = False
        try:
            self.world.show(folder)
            begun = time.monotonic_ns()
            try:
                self._process(position, folder)
            finally:
                result.process_ns += time.monotonic_ns() - begun
            captured = self._capture(folder, result)
            keep = any(output.data is None for output in captured)
            result.state, result.reason = pb.DatumResult.SUCCESS, ""
            return Finished(result, captured, folder if keep else "")
        finally:
            self.world.hide()
            if not keep:
                self._remove(position, folder)

    def _process(self, position: int, folder: str) -> None:
        """Run the command, and the error command when it fails."""
        if self.user_fault:
            raise _AttemptFailed(self.user_fault)
        given = self.assignment.command
        env = environment.of_datum(
            self.fixed_env, self.world, self.assignment, self.assignment.datums[position]
        )
        ending = self._execute(position, given.cmd, given.stdin, env)
        if ending.succeeded(given.accept_return_code):
            return
        reason = ending.reason + _disk_note(folder)
        recovered = (
            bool(given.err_cmd) and self._execute(position, given.err_cmd, given.err_stdin, env).succeeded()
        )
        raise _AttemptFailed(reason, recovered)

    def _execute(
        self, position: int, argv: Sequence[str], stdin: Sequence[str], env: dict[str, str]
    ) -> command.Ending:
        if not argv:
            return command.Ending(None, "nothing to run: no transform.cmd")
        real = self.world.real
        program = command.Program(
            argv=[real(argument) for argument in argv],
            stdin=("\n".join(stdin) + "\n").encode() if stdin else b"",
            env=env,
            working_dir=real("/" + self.assignment.command.working_dir.lstrip("/")),
            owner=self.owner,
        )
        logs = self.keeper.logs
        return command.run(
            program,
            timeout=self.assignment.datum_timeout_seconds,
            interrupts=self.interrupts,
            take=lambda now, line: logs.add(position, now, line),
            note=lambda now, line: logs.add(position, now, line, system=True),
        )

    def _capture(self, folder: str, result: pb.DatumResult) -> list[Captured]:
        """Take the outputs; those of small datums into memory."""
        begun = time.monotonic_ns()
        pfs = self.world.pfs
        try:
            found = list(outputs.find(f"{pfs}/out"))
            size = sum(output.size_bytes for output in found)
            if size <= MAX_IN_MEMORY:
                captured = [Captured(output.path, _read(output.file)) for output in found]
            else:
                captured = [
                    Captured(output.path, None, _kept(output.file, pfs, folder, number))
                    for number, output in enumerate(found)
                ]
        except InvalidArgument as error:
            raise _AttemptFailed(error.message) from error
        except OSError as error:
            raise _AttemptFailed(
                f"the outputs could not be read: {error.strerror} ({error.filename}){_disk_note(folder)}"
            ) from error
        result.upload_bytes = size
        result.upload_ns = time.monotonic_ns() - begun
        return captured

    def _remove(self, position: int, folder: str) -> None:
        try:
            files.remove_tree(folder)
        except OSError as error:
            text = f"the worker could not remove {folder}: {error.strerror}; it goes with the worker"
            self.keeper.logs.add(position, time.time_ns(), text.encode(), system=True)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _kept(path: str, pfs: str, folder: str, number: int) -> str:
    """Return where the bytes at ``path`` will still be when /pfs shows another datum."""
    if path.startswith(pfs + "/"):
        return folder + path[len(pfs) :]
    # A link out of /pfs: the next datum may write another file there.
    copy = f"{folder}/{environment.TMP}/trunkline-output-{number}"
    files.copy_file(path, copy)
    return copy


def _disk_note(folder: str) -> str:
    status = os.statvfs(folder)
    if status.f_bavail * status.f_frsize >= _FULL_DISK:
        return ""
    return "; the disk that holds /pfs is full: make room, or ask for fewer workers at a time"
