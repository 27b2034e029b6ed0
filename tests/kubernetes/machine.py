"""A simulated machine in this one: namespaces for processes, mounts and the network, and a virtual link to it.

A cluster starts dozens of processes that start others, mounts hundreds of folders and changes the network and the
kernel's settings. A run that was killed cannot undo all that itself, so the kernel does:
the first process of the namespaces ends, and with it every process, mount, link and address in them.
The first process ends with the process that created the machine, however that ends. A folder and empty cgroups
remain; the next machine removes those of machines that have ended.

Nothing outside is changed: settings that the kubelet insists on are covered by files that already say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PREFIX = "trunkline-kubernetes-"
#: Seconds for a process to get ready; minutes when the machine is busy.
START_UP = 180.0
#: Where the kubelet looks for the kernel's settings, and what it wants to read there.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
MACHINE_TOOLS = ("unshare", "nsenter", "setpriv", "ip")
CGROUPS = Path("/sys/fs/cgroup")


def missing_tools(names: Sequence[str]) -> list[str]:
    """Return those of the commands that are not installed."""
    return [name for name in names if shutil.which(name) is None]


class Process:
    """One process in the machine, with its log. ``pid`` is as seen from outside."""

    def __init__(self, name: str, log: Path, command: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self.log = log
        with open(log, "a") as output:
            self._entered = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )

    @property
    def pid(self) -> int:
        """The command itself: a process has to be born in a namespace, so ``nsenter`` stays its parent."""
        deadline = time.monotonic() + START_UP
        while time.monotonic() < deadline:
            children = children_of(self._entered.pid)
            if children:
                return children[0]
            self.check()
            time.sleep(0.01)
        raise AssertionError(f"{self.name} was not started within {START_UP:.0f} s")

    def check(self) -> None:
        """Fail with the end of the log when the process has ended."""
        code = self._entered.poll()
        if code is not None:
            raise AssertionError(f"{self.name} ended with {code}:\n{self.tail()}")

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def end(self, sent: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> None:
        """Send a signal and wait; SIGKILL when the process does not end by it."""
        for number in (sent, signal.SIGKILL):
            if self._entered.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError, AssertionError):
                os.kill(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._entered.wait(seconds)

    def reap(self) -> None:
        """Collect what is left of it when the machine is off."""
        self._entered.kill()
        self._entered.wait()


class Machine:
    """The namespaces, a folder, and the network: ``host`` is this side of the cable, ``address`` the other."""

    def __init__(self) -> None:
        remove_leftovers()
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.root.chmod(0o755)
        self._lock = open(self.root / "lock", "w")  # noqa: SIM115 held while the machine is there
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.name = self.root.name
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.processes: list[Process] = []
        self._first = self._power_on()
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _power_on(self) -> subprocess.Popen[bytes]:
        spaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        # The first process inherits orphans; with this signal ignored the kernel buries them.
        first = ["sh", "-c", "trap '' CHLD; exec sleep infinity"]
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", *spaces, *first])

    @property
    def pid(self) -> int:
        """The first process of the machine."""
        deadline = time.monotonic() + START_UP
        while time.monotonic() < deadline:
            children = children_of(self._first.pid)
            if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "sleep":
                return children[0]
            if self._first.poll() is not None:
                raise AssertionError("the kernel refuses namespaces here (unshare failed)")
            time.sleep(0.01)
        raise AssertionError("the namespaces did not come")

    def _connect(self) -> None:
        network = free_network()
        links, pods, services, _ = network.subnets(new_prefix=24)
        self.pods, self.services = pods, services
        self.host, self.address = str(links[1]), str(links[2])
        self.nodes = [str(links[number]) for number in range(10, 20)]
        link = "tlk" + self.name[-8:]
        inside = str(self.pid)
        outer = [
            ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", inside],
            ["ip", "address", "add", f"{self.host}/24", "dev", link],
            ["ip", "link", "set", link, "up"],
        ]
        inner = [
            ["ip", "link", "set", "lo", "up"],
            ["ip", "address", "add", f"{self.address}/24", "dev", "eth0"],
            *(["ip", "address", "add", f"{node}/24", "dev", "eth0"] for node in self.nodes),
            ["ip", "link", "set", "eth0", "up"],
            ["ip", "route", "add", "default", "via", self.host],
            # Every address of the range is this machine's: who serves a service binds its address.
            ["ip", "route", "add", "local", str(services), "dev", "lo"],
            ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"],
        ]
        routes = [["ip", "route", "add", str(net), "via", self.address] for net in (pods, services)]
        for command in outer:
            _run(command)
        for command in inner:
            self.run(*command)
        for command in routes:
            _run(command)

    def enter(self, target: int | None = None) -> list[str]:
        """Return what makes a command run in the machine, or in the namespaces of one of its processes."""
        spaces = ["--mount", "--pid", "--net", "--uts", "--ipc"]
        return ["nsenter", "--target", str(target or self.pid), *spaces, "--"]

    def run(self, *command: str | Path, target: int | None = None, check: bool = True) -> str:
        """Run a command in the machine; return what it prints."""
        return _run([*self.enter(target), *map(str, command)], check=check)

    def start(
        self,
        name: str,
        *command: str | Path,
        target: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> Process:
        """Start a process in the machine."""
        process = Process(
            name,
            self.logs / f"{name}.log",
            [*self.enter(target), *map(str, command)],
            environment or {},
        )
        self.processes.append(process)
        return process

    def wait_for(self, ready: Callable[[], bool], process: Process, seconds: float = START_UP) -> None:
        """Wait until something is ready; fail with the end of the log when its process ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            process.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"{process.name} was not ready in {seconds:.0f} s:\n{process.tail()}")
            time.sleep(0.05)

    def close(self) -> None:
        """Cut the power: all processes end at once, and the kernel takes back the rest."""
        self._first.kill()
        self._first.wait()
        for process in self.processes:
            process.reap()
        self._lock.close()
        remove_cgroup(self.name)
        shutil.rmtree(self.root, ignore_errors=True)


def _run(command: Sequence[str], *, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}"
        )
    return done.stdout


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def free_network() -> ipaddress.IPv4Network:
    """Return a network of four times 250 addresses that nothing here uses."""
    used = []
    for route in json.loads(_run(["ip", "-json", "-4", "route", "show", "table", "all"])):
        with contextlib.suppress(ValueError, KeyError):
            used.append(ipaddress.IPv4Network(route["dst"], strict=False))
    for candidate in ipaddress.IPv4Network("10.213.0.0/16").subnets(new_prefix=22):
        if not any(candidate.overlaps(net) for net in used if net.prefixlen > 0):
            return candidate
    raise AssertionError("every network in 10.213.0.0/16 is in use")


def cgroup_hierarchies() -> list[Path]:
    """Return the roots of all cgroup hierarchies: one for version 2, one per controller for version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [folder for folder in CGROUPS.iterdir() if folder.is_dir() and not folder.is_symlink()]


def make_cgroup(path: str) -> None:
    """Make a cgroup below the root of every hierarchy, such as ``machine/node-1``."""
    for hierarchy in cgroup_hierarchies():
        folder = hierarchy
        for part in path.split("/"):
            if hierarchy == CGROUPS:  # version 2: children have those controllers that the parent hands on
                available = (folder / "cgroup.controllers").read_text().split()
                enable = " ".join("+" + controller for controller in available)
                (folder / "cgroup.subtree_control").write_text(enable)
            folder /= part
            folder.mkdir(exist_ok=True)


def remove_cgroup(name: str) -> None:
    """Remove a cgroup and those below it; all processes in them are gone, the kernel may need a moment."""
    deadline = time.monotonic() + 10.0
    for hierarchy in cgroup_hierarchies():
        folders = [Path(entry[0]) for entry in os.walk(hierarchy / name, topdown=False)]
        for folder in folders:
            while folder.exists() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.02)


def remove_leftovers() -> None:
    """Remove what machines left behind whose processes are gone: their folders and cgroups."""
    for root in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError), open(root / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_cgroup(root.name)
            shutil.rmtree(root, ignore_errors=True)
