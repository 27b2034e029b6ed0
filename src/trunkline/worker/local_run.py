"""Runs the command of one datum whose files are in a folder, without a server: ``trunkline run datum``.

A process of its own, because it enters a private root as a worker does. It reads the assignment from standard input,
prints what the command prints, and writes how the command ended to a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.linux import libc
from trunkline.rpc.gen import worker_api_pb2 as pb
from trunkline.worker import capabilities, command, environment
from trunkline.worker import main as worker_main
from trunkline.worker.interrupts import Interrupts
from trunkline.worker.scratch import DatumDir
from trunkline.worker.settings import Image, Settings


def run_apart(assignment: pb.Assignment, folder: str, result: str) -> None:
    """Run a datum in a process of its own; its output goes to this process's.

    Args:
        assignment: one datum.
        folder: what the command shall see as /pfs.
        result: file for the facts about its end, as JSON.

    Raises:
        FailedPrecondition: the process could not enter its sandbox; it has printed why.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    words = [sys.executable, "-m", __name__, folder, result]
    ended = subprocess.run(words, input=assignment.SerializeToString(), env=environ, check=False)
    if ended.returncode:
        raise FailedPrecondition(
            f"the process for the datum ended with {ended.returncode} before its command did"
        )


def main() -> int:
    """Run the datum; the arguments are the folder of its files and the file for the result."""
    folder, result = sys.argv[1:]
    assignment = pb.Assignment.FromString(sys.stdin.buffer.read())
    config = Settings(
        server="",
        worker_id="local",
        token="",
        scratch=os.path.dirname(folder),
        image=Image(""),
        parent=os.getppid(),
    )
    # Opened before the private root is entered, which need not show the file.
    with open(result, "w", encoding="utf-8") as report:
        sandbox = worker_main.enter(config)
        capabilities.restrict_commands()
        libc.adopt_orphans()
        os.chdir(sandbox.home)
        run = assignment.datum_run
        datum_dir = DatumDir(folder, f"{folder}/out", f"{folder}/.tmp", in_memory=False)
        interrupts = Interrupts()
        sandbox.show(datum_dir, interrupts)
        begun = time.monotonic()
        try:
            owner = sandbox.find_user(run.command.user)
            tmp = datum_dir.tmp.replace(folder, sandbox.pfs, 1)
            env = environment.of_datum(sandbox.variables, sandbox.pfs, tmp, assignment, run.datums[0])
            ending = command.run(
                sandbox.starter,
                sandbox.program(run.command, env, datum_dir, owner),
                timeout=run.datum_timeout_seconds,
                interrupts=interrupts,
                add_line=_print,
                note=_print,
            )
        except InvalidArgument as error:
            ending = command.Ending(None, error.message)
        finally:
            sandbox.hide()
        facts = {
            "succeeded": ending.succeeded(run.command.accept_return_code),
            "reason": ending.reason,
            "seconds": time.monotonic() - begun,
            "cpu_seconds": ending.cpu_seconds,
            "peak_memory": ending.peak_memory,
            "notes": sandbox.notes,
        }
        json.dump(facts, report)
    return 0


def _print(_now: int, line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
