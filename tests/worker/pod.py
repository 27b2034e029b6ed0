"""Plays a pod without containers: ``python pod.py CONFIG``.

A private root with ``/pfs`` and the image's files stands for the image; in it the launcher runs as one user, as
root also as the first process of a PID namespace of its own, and the worker as another. SIGTERM goes to both,
as at the end of a pod; SIGUSR1 kills the launcher's container, SIGUSR2 the worker's, SIGQUIT is SIGTERM and
then SIGUSR1. A launcher's container that did not end well is started again as often as the configuration
says. Ends with the worker's exit code, or with 70 when the launcher then ends with another one than 0.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from trunkline.worker import root


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    root.enter(config["staging"], [root.LaidFile(*entry) for entry in config["files"]], 512 << 20)
    os.chmod("/pfs", 0o777)
    if config["disk"]:
        subprocess.run(["mount", "--bind", config["disk"], "/pfs"], check=True)
        os.chmod("/pfs", 0o777)
    worker = subprocess.Popen(config["worker"], env=config["worker_env"])
    while config["pull"] and not os.path.exists(config["pull"]) and worker.poll() is None:
        time.sleep(0.02)

    def start_launcher() -> subprocess.Popen[bytes]:
        return subprocess.Popen(config["launcher"], env=config["image_env"], cwd=config["cwd"])

    launchers = [start_launcher()]
    killed = []

    def on_signal(number: int, frame: object) -> None:
        if number == signal.SIGUSR2:
            worker.kill()
        if number in (signal.SIGTERM, signal.SIGQUIT):
            worker.terminate()
            os.kill(behind_unshare(launchers[-1]), signal.SIGTERM)
        if number in (signal.SIGUSR1, signal.SIGQUIT):
            killed.append(launchers[-1])
            os.kill(behind_unshare(launchers[-1]), signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, on_signal)
    while worker.poll() is None:
        if launchers[-1].poll() not in (None, 0) and len(launchers) <= config["restarts"]:
            launchers.append(start_launcher())
        time.sleep(0.02)
    code = launchers[-1].wait(60)
    if code and launchers[-1] not in killed:
        sys.stderr.write(f"the launcher ended with {code}\n")
        return 70
    return worker.returncode


def behind_unshare(launcher: subprocess.Popen[bytes]) -> int:
    """Return the launcher's process id; ``unshare``, which starts it, takes no signals for it."""
    with open(f"/proc/{launcher.pid}/task/{launcher.pid}/children", encoding="ascii") as file:
        behind = file.read().split()
    return int(behind[0]) if behind else launcher.pid


sys.exit(main())
