"""What a datum costs through the launcher: `true`, one worker as a process and one as a pod, beside ``xargs -n1 true``.

Both use the same fake server of the worker API, so that only the worker's side is measured. The pod is simulated
without containers: a private root with /pfs on a disk, two users and a PID namespace when this runs as root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/worker"))
from fake_server import FakeServer, assignment
from worker_processes import Workers

from trunkline.worker import command
from trunkline.worker.interrupts import Interrupts
from trunkline.worker.pod.launcher_client import LauncherClient
from trunkline.worker.subprocesses import SpawnExecutor

DATUMS = 1000
TURNS = 5
WORLDS = {"process": "own user", "pod": "pod" if os.geteuid() == 0 else "pod of one user"}


def xargs() -> float:
    names = "\n".join(f"/pfs/in/{number:06d}" for number in range(DATUMS)).encode()
    return common.timed(lambda: subprocess.run(["xargs", "-n1", "true"], input=names, check=True))


def worker(world: str, launcher: Path) -> float:
    """Return the seconds from the second claim's answer to its completion; the first warms up."""
    server = FakeServer()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-bench-", dir=common.SCRATCH))
    folder.chmod(0o755)
    workers = Workers(server, folder, world, os.geteuid())
    if world.startswith("pod"):
        workers.launcher = launcher
        (folder / "disk").mkdir()
        workers.disk = str(folder / "disk")
    try:
        for count in (64, DATUMS):
            assignment(server, {"in": {f"/{number:06d}": b"x" for number in range(count)}}, ["true"])
        server.retire_when_empty = False
        process = workers.start()
        server.wait_until(lambda: server.claims == 2)
        seconds = common.timed(lambda: server.wait_until(lambda: len(server.results()) == 64 + DATUMS))
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        return seconds
    finally:
        workers.close()
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


def starts(socket: str) -> float:
    """Return the seconds from the start to the end of `true`, started by the launcher at the socket if there is one."""
    interrupts = Interrupts()
    starter: command.Executor = SpawnExecutor(lambda: 0)
    if socket:
        launcher = LauncherClient(socket, str(Path(socket).parent), ".trunkline")
        launcher.connect(10, time.sleep)
        starter = launcher
    program = command.Program(["true"], b"", {"PATH": os.environ["PATH"]}, "/", "/tmp")

    def once() -> None:
        ending = command.run(starter, program, timeout=0, interrupts=interrupts, add_line=print, note=print)
        assert ending.code == 0, ending.reason

    return common.median([common.timed(once) for _ in range(DATUMS)])


def starts_elsewhere(launcher: Path | None) -> float:
    """Return the same, measured in a process whose only children are those commands."""
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/run.sock" if launcher else ""
        process = subprocess.Popen([launcher, "serve", socket]) if launcher else None
        done = subprocess.run([sys.executable, __file__, "starts", socket], check=True, capture_output=True)
        if process:
            process.wait(30)
    return float(done.stdout)


def main() -> None:
    if sys.argv[1:2] == ["starts"]:
        print(starts(sys.argv[2]))
        return
    root = Path(__file__).resolve().parents[1]
    home = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    home.chmod(0o755)
    launcher = home / "launcher"
    subprocess.run([root / "scripts/launcher", launcher], check=True)
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in WORLDS}
    single: dict[str, list[float]] = {"spawned": [], "launched": []}
    for _ in range(TURNS):
        bare.append(xargs())
        for name, world in WORLDS.items():
            ours[name].append(worker(world, launcher))
        single["spawned"].append(starts_elsewhere(None))
        single["launched"].append(starts_elsewhere(launcher))
    shutil.rmtree(home)
    rows = [["xargs -n1 true", common.spread([each / DATUMS for each in bare], 1000, 3), "1", ""]]
    for name in WORLDS:
        spread = common.spread([each / DATUMS for each in ours[name]], 1000, 3)
        rows.append(
            [
                f"worker as a {name}",
                spread,
                f"{common.median(ours[name]) / common.median(bare):.2f}",
                f"{common.median(ours[name]) / common.median(ours['process']):.2f}",
            ]
        )
    common.table(
        f"{DATUMS} datums of `true`, one worker",
        ["what", "ms per datum, median (min - max)", "of xargs", "of the process fleet's (to reach: 1.3)"],
        rows,
    )
    more = common.median(single["launched"]) - common.median(single["spawned"])
    common.table(
        "Start and end of one `true`",
        ["what", "ms, median of medians (min - max)", "more, ms (to reach: below 1)"],
        [
            ["by the worker itself", common.spread(single["spawned"], 1000, 3), ""],
            ["by the launcher", common.spread(single["launched"], 1000, 3), f"{1000 * more:.3f}"],
        ],
    )


if __name__ == "__main__":
    main()
