"""The worker process, in the order that its privileges and its start-up time dictate.

First the sandbox of its commands: namespaces must be made before a second thread exists and before anything
heavy is imported. Only then the client, the messages and the loop. The process ends with the one that started
it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.linux import libc
from trunkline.worker import capabilities, files, root, sandbox, settings, supervisor

if TYPE_CHECKING:
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.settings import Settings


def main() -> int:
    """Be a worker; return the exit code."""
    pid = os.getpid()
    try:
        given = settings.take(os.environ)
        here = _enter(given)
    except TrunklineError as error:
        sys.stderr.write(f"worker: {error.message}\n")
        return 2
    capabilities.restrict_commands()
    # After the namespaces are made, because new credentials clear what follows.
    libc.hide_memory()
    libc.adopt_orphans()
    if os.getpid() == pid and given.parent:
        libc.die_with_parent(signal.SIGTERM)
        if os.getppid() != given.parent:
            return 1  # it died before it could be watched
    os.chdir("/")

    from trunkline.worker.loop import Worker

    return Worker(given, here, pid).run()


def _enter(given: Settings) -> Sandbox:
    """Make the sandbox of the commands and move this process into it."""
    if given.launcher:
        from trunkline.worker.pod import sandbox as pod_sandbox  # a process worker starts without it

        return pod_sandbox.enter(given)
    lack = "TRUNKLINE_NO_NAMESPACES is set"
    if given.namespaces:
        staging = os.path.join(given.scratch, "root")
        os.makedirs(staging, mode=0o700, exist_ok=True)
        try:
            root.enter(staging, given.image.files, given.memory, given.worker_id, _cover(given))
        except root.RootUnavailable as error:
            lack = error.reason
        else:
            return _enter_processes(given)
    if given.open_scratch and os.geteuid() == 0:
        os.mkdir(given.open_scratch, 0o711)
    else:
        given = given._replace(open_scratch="")
    folder = os.path.join(given.open_scratch or given.scratch, "image")
    os.makedirs(folder, exist_ok=True)
    real_paths = {}
    for laid in given.image.files:
        path = os.path.join(
            files.make_folders(folder, os.path.dirname(laid.path)), os.path.basename(laid.path)
        )
        files.copy_file(laid.source, path)
        os.chmod(path, laid.mode)
        real_paths[laid.path] = path
    _write_namespace(given.scratch)
    return sandbox.HostSandbox(given, lack, real_paths)


def _enter_processes(given: Settings) -> Sandbox:
    """Add a PID namespace to the private root, if the kernel allows it."""
    _write_namespace(given.scratch)
    if not supervisor.enter(given.parent):
        lack = "this machine does not let workers have a PID namespace; commands see its processes"
        return sandbox.NamespaceSandbox(given, own_processes=False, lack=lack)
    if not root.show_own_processes():
        lack = "this machine does not let workers have a /proc of their own; commands see its processes"
        return sandbox.NamespaceSandbox(given, own_processes=True, lack=lack)
    return sandbox.NamespaceSandbox(given, own_processes=True, lack="")


def _cover(given: Settings) -> root.Cover:
    folders = [os.path.realpath(folder) for folder in given.hidden if os.path.isdir(folder)]
    outermost = [folder for folder in folders if not any(folder.startswith(other + "/") for other in folders)]
    readable = [os.path.realpath(path) for path in given.readable]
    if given.image.venv:
        readable.append(os.path.realpath(given.image.venv))
    return root.Cover(outermost, [os.path.realpath(given.scratch)], readable)


def _write_namespace(scratch: str) -> None:
    """Write down which mount namespace this is, so that the fleet can find what outlives a killed worker."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = os.open(os.path.join(scratch, "namespace"), flags, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(os.readlink("/proc/self/ns/mnt"))
