"""The template of workers: a process that has imported a worker's modules and is copied for each new worker.

Starting the interpreter and importing are most of a worker's start. The process fleet (``drivers.fleets.templates``)
starts this process as ``python -m trunkline.worker.template`` with a socket as its standard input. Each message holds
a worker's environment, with its standard input and its log as descriptors; the answer is the new process's id. The new
process is a child of the fleet, as if the fleet had started it, so it does not depend on this one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from trunkline.linux import libc
from trunkline.runtime import loading
from trunkline.worker import main as worker_main

#: Bytes of a message at most.
MESSAGE_BYTES = 1 << 18
#: The first message, once everything is imported.
READY = b"ready"
#: Names in lists of processes.
TEMPLATE_NAME, WORKER_NAME = "worker-template", "worker"


def main() -> int:
    """Make workers until the other end of the socket is closed; in a new process, run that worker."""
    libc.die_with_parent(signal.SIGKILL)
    _rename(TEMPLATE_NAME)
    with loading.without_collections():
        from trunkline.worker import loop

        del loop
    with socket.socket(fileno=os.dup(0)) as requests:
        requests.send(READY)
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 2)
            if not message:
                return 0
            pid = libc.fork_sibling()
            if pid == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            requests.send(b"%d" % pid)
    _become_worker(json.loads(message), descriptors)
    return worker_main.main()


def _become_worker(environment: dict[str, str], descriptors: list[int]) -> None:
    """Give a new process what a started one has: its own session, environment and standard files."""
    _rename(WORKER_NAME)
    # That of the template was for its own parent; the worker's is set by ``worker.main``.
    libc.die_with_parent(0)
    os.setsid()
    os.umask(0o022)  # files of commands are as commands expect; the server's own are not readable
    stdin, output = descriptors
    os.dup2(stdin, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)


def _rename(name: str) -> None:
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


if __name__ == "__main__":
    sys.exit(main())
