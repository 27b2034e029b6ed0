"""A container engine for the tests: Podman's service with a storage of its own, and images made from local files.

Its settings suit containers in containers too: no overlay file systems, no network, no higher limits of processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "kubernetes"))
import images

from trunkline.drivers.fleets.containers.engine import Engine

#: The image of a small shell.
BUSYBOX = "localhost/busybox:1"
#: The same as another user.
OTHER_USER = "localhost/busybox-as-1234:1"
PROGRAMS = ("podman", "runc", "conmon", "busybox", "go")
#: Seconds.
PATIENCE = 60.0


def missing() -> str:
    """Return what is missing for these tests; empty when nothing is."""
    if os.geteuid() != 0:
        return "the tests of containers run as root"
    lacks = [each for each in PROGRAMS if shutil.which(each) is None]
    return f"no {', '.join(lacks)} on this machine (Debian: podman runc busybox-static)" if lacks else ""


class Podman:
    """The service, on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/engine.sock"
        self.launcher = folder / "launcher"
        settings = folder / "containers.conf"
        settings.write_text(
            '[containers]\nnetns = "none"\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        self._environment = os.environ | {"CONTAINERS_CONF": str(settings)}
        self._command = [
            "podman",
            "--root",
            f"{folder}/root",
            "--runroot",
            f"{folder}/run",
            "--storage-driver",
            "vfs",
        ]
        self.process = self._start()
        scripts = Path(__file__).parents[2] / "scripts"
        subprocess.run([scripts / "launcher", self.launcher], check=True)
        self.run("load", "-q", "-i", images.busybox(folder, BUSYBOX))
        self.run("load", "-q", "-i", images.busybox(folder, OTHER_USER, User="1234"))

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "service.log", "ab") as log:
            process = subprocess.Popen(
                [*self._command, "system", "service", "--time", "0", self.url],
                cwd=self.folder,  # conmon leaves a file there
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while not Path(self.url.removeprefix("unix://")).is_socket():
            assert process.poll() is None, (self.folder / "service.log").read_text()
            assert time.monotonic() < end, "the service of Podman does not listen"
            time.sleep(0.02)
        return process

    def run(self, *arguments: str | Path) -> str:
        """Run a podman command; return its output."""
        done = subprocess.run(
            [*self._command, *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def engine(self) -> Engine:
        """Return a new connection to it."""
        return Engine(self.url, 2)

    def containers(self) -> list[str]:
        """Return the names of all containers, those that have ended included."""
        return self.run("ps", "--all", "--format", "{{.Names}}").split()

    def close(self) -> None:
        """Remove all containers and end the service."""
        self.run("rm", "--all", "--force")
        self.process.terminate()
        self.process.wait(PATIENCE)
