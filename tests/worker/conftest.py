from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fake_server import FakeServer
from worker_processes import NOBODY, ROOT, SETPRIV, Workers, find_go, worker_environment

#: The worlds a worker can find itself in. In a "pod" a launcher starts the commands, as another user.
WORLDS = ["own user", "ordinary user", "no namespaces", "pod", "pod of one user"]


@pytest.fixture
def server():
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def open_folder():
    """A folder that any user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ordinary_user() -> int:
    """A user that is not root and can import Trunkline."""
    if os.geteuid() != 0:
        return os.geteuid()
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv to drop root with")
    command = [*SETPRIV, sys.executable, "-c", "import trunkline.worker.loop"]
    if (
        subprocess.run(
            command, check=False, cwd="/", capture_output=True, env=worker_environment()
        ).returncode
        != 0
    ):
        pytest.skip("user nobody may not read this checkout or its interpreter")
    return NOBODY


@pytest.fixture(scope="session")
def launcher_binary(tmp_path_factory) -> Path:
    """The launcher, built, where any user may execute it."""
    go = find_go()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-launcher-"))
    folder.chmod(0o755)
    path = os.pathsep.join([os.path.dirname(go), os.environ["PATH"]])
    binary = folder / "launcher"
    subprocess.run(
        [ROOT / "scripts/launcher", binary], check=True, env=os.environ | {"PATH": path}, stdout=sys.stderr
    )
    yield binary
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_workers(server, open_folder, request):
    created: list[Workers] = []

    def make(world: str = "own user") -> Workers:
        pod = world.startswith("pod")
        if world == "pod":
            request.getfixturevalue("ordinary_user")
        user = request.getfixturevalue("ordinary_user") if world == "ordinary user" else os.geteuid()
        created.append(Workers(server, open_folder, world, user))
        created[-1].launcher = request.getfixturevalue("launcher_binary") if pod else None
        if world == "pod" and user == 0:
            created[-1].user = NOBODY
        return created[-1]

    yield make
    for workers in created:
        if workers.stderr.exists():
            print(workers.stderr.read_text())  # shown when the test fails
        workers.close()


@pytest.fixture
def workers(make_workers) -> Workers:
    return make_workers()


@pytest.fixture(params=["own user", "pod"])
def workers_both(make_workers, request) -> Workers:
    """Workers that start their commands themselves, and such that have a launcher do it."""
    return make_workers(request.param)


@pytest.fixture(params=WORLDS)
def workers_anywhere(make_workers, request) -> Workers:
    """Workers in each of the worlds, one after the other."""
    return make_workers(request.param)
