"""Plays a pod without containers: ``python pod.py CONFIG``.

A private root with ``/pfs`` and the image's files stands for the image; in it the launcher runs as one user, as
root also as the first process of a PID namespace of its own, and the worker as another. A signal goes to both,
as at the end of a pod. Ends with the worker's exit code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from trunkline.worker import root


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    root.enter(config["staging"], [root.LaidFile(*entry) for entry in config["files"]], 512 << 20)
    os.chmod("/pfs", 0o777)
    if config["disk"]:
        subprocess.run(["mount", "--bind", config["disk"], "/pfs"], check=True)
        os.chmod("/pfs", 0o777)
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    launcher = subprocess.Popen(config["launcher"], env=config["image_env"])
    with open(config["launcher_pid"], "w", encoding="ascii") as file:
        file.write(str(launcher.pid))
    worker = subprocess.Popen(config["worker"], env=config["worker_env"])
    processes += [launcher, worker]
    code = worker.wait()
    launcher_code = launcher.wait(20)
    with open(config["launcher_pid"] + ".code", "w", encoding="ascii") as file:
        file.write(str(launcher_code))
    return code


sys.exit(main())
