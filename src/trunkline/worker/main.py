"""The start of the worker process, in the order that privileges and start-up time require.

First it sets up the sandbox of its commands: namespaces must be created before a second thread exists and before
large imports. Then it loads the client, the messages and the loop. The process ends when its parent ends.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.linux import cgroups, libc
from trunkline.runtime import loading
from trunkline.worker import capabilities, files, root, sandbox, settings, supervisor

if TYPE_CHECKING:
    from trunkline.worker.sandbox import Sandbox
    from trunkline.worker.settings import Settings


def main() -> int:
    """Run a worker; return the exit code."""
    pid = os.getpid()
    try:
        config = settings.load(os.environ)
        sandbox_ = enter(config)
    except TrunklineError as error:
        sys.stderr.write(f"worker: {error.message}\n")
        return 2
    capabilities.restrict_commands()
    # After the namespaces are created, because new credentials reset these settings.
    libc.hide_memory()
    libc.adopt_orphans()
    if os.getpid() == pid and config.parent:
        libc.die_with_parent(signal.SIGTERM)
        if os.getppid() != config.parent:
            return 1  # it ended before this process could follow it
    os.chdir(sandbox_.home)

    with loading.without_collections():
        from trunkline.worker.loop import Worker

    return Worker(config, sandbox_, pid).run()


def enter(config: Settings) -> Sandbox:
    """Create the sandbox of the commands and move this process into it."""
    if config.launcher:
        from trunkline.worker.pod import sandbox as pod_sandbox  # a process worker starts without it

        if config.shared:
            scratch, config = config.scratch, pod_sandbox.share(config)
            _write_namespace(scratch)
        return pod_sandbox.enter(config)
    group = _open_group(config)
    lack = "TRUNKLINE_NO_NAMESPACES is set"
    if config.namespaces:
        staging = os.path.join(config.scratch, "root")
        os.makedirs(staging, mode=0o700, exist_ok=True)
        try:
            root.enter(
                staging,
                config.image.files,
                config.memory,
                config.worker_id,
                _cover(config),
                config.secret_folders,
            )
        except root.RootUnavailable as error:
            lack = error.reason
        else:
            return _enter_processes(config, group)
    if config.open_scratch and os.geteuid() == 0:
        os.mkdir(config.open_scratch, 0o711)
    else:
        config = config._replace(open_scratch="")
    folder = os.path.join(config.open_scratch or config.scratch, "image")
    os.makedirs(folder, exist_ok=True)
    real_paths = {}
    for laid in config.image.files:
        path = os.path.join(
            files.make_folders(folder, os.path.dirname(laid.path)), os.path.basename(laid.path)
        )
        files.copy_file(laid.source, path)
        os.chmod(path, laid.mode)
        real_paths[laid.path] = path
    _write_namespace(config.scratch)
    return sandbox.HostSandbox(config, lack, real_paths, group)


def _open_group(config: Settings) -> cgroups.MemoryGroup | None:
    """Open the group of the commands, before its folder becomes read-only."""
    try:
        return cgroups.MemoryGroup(config.command_group) if config.command_group else None
    except OSError:
        return None  # it was removed, or the kernel does not allow it: the worker polls


def _enter_processes(config: Settings, group: cgroups.MemoryGroup | None) -> Sandbox:
    """Add a PID namespace to the private root, if the kernel allows it."""
    _write_namespace(config.scratch)
    if not supervisor.enter(config.parent):
        lack = "this machine does not let workers have a PID namespace; commands see its processes"
        return sandbox.NamespaceSandbox(config, own_processes=False, lack=lack, group=group)
    if not root.show_own_processes():
        lack = "this machine does not let workers have a /proc of their own; commands see its processes"
        return sandbox.NamespaceSandbox(config, own_processes=True, lack=lack, group=group)
    return sandbox.NamespaceSandbox(config, own_processes=True, lack="", group=group)


def _cover(config: Settings) -> root.Cover:
    folders = [os.path.realpath(folder) for folder in config.hidden if os.path.isdir(folder)]
    outermost = [folder for folder in folders if not any(folder.startswith(other + "/") for other in folders)]
    readable = [os.path.realpath(path) for path in config.readable]
    if config.image.venv:
        readable.append(os.path.realpath(config.image.venv))
    # Otherwise a command could leave its group.
    locked = [_mount_of(config.command_group)] if config.command_group else []
    return root.Cover(outermost, [os.path.realpath(config.scratch)], readable, locked)


def _mount_of(path: str) -> str:
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def _write_namespace(scratch: str) -> None:
    """Store the id of the mount namespace, so that the fleet can find processes that outlive a killed worker."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = os.open(os.path.join(scratch, "namespace"), flags, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(os.readlink("/proc/self/ns/mnt"))
