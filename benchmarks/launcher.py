"""What a datum costs through the launcher: `true`, one worker as a process and one as a pod, beside ``xargs -n1 true``.

The same literal server of the worker API for both, so that only the worker's side is measured. The pod is played
without containers: a private root with /pfs on a disk, two users and a PID namespace when this runs as root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import common

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/worker"))
from fake_server import FakeServer, assignment
from worker_processes import Workers

DATUMS = 1000
TURNS = 5
WORLDS = {"process": "own user", "pod": "pod" if os.geteuid() == 0 else "pod of one user"}


def xargs() -> float:
    names = "\n".join(f"/pfs/in/{number:06d}" for number in range(DATUMS)).encode()
    return common.timed(lambda: subprocess.run(["xargs", "-n1", "true"], input=names, check=True))


def worker(world: str, launcher: Path) -> float:
    """Return the seconds from the second claim's answer to its hand-in; the first warms up."""
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
            made = assignment(server, {"in": {f"/{number:06d}": b"x" for number in range(count)}}, ["true"])
            made.claim_id = f"claim-{count}"
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


def main() -> None:
    root = Path(__file__).resolve().parents[1]
    home = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    home.chmod(0o755)
    launcher = home / "launcher"
    subprocess.run([root / "scripts/launcher", launcher], check=True)
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in WORLDS}
    for _ in range(TURNS):
        bare.append(xargs())
        for name, world in WORLDS.items():
            ours[name].append(worker(world, launcher))
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


if __name__ == "__main__":
    main()
