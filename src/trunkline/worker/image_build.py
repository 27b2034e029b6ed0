"""Builds the virtual environment of an image: ``python -m trunkline.worker.image_build FOLDER [--sources]``.

Neither the packages nor the user who named them are trusted. So pip runs in a private root in which the server's
folders are hidden, without other processes, and as an unprivileged user when the server is root. Its environment is
built anew: from the server's it gets only the locations of packages and certificates. Only wheels are installed,
which runs no code of the packages, unless the server's administrator allows source packages.

Where the machine allows no private root, pip runs as the server's user.

The folder contains ``requirements.txt``; the environment is created as ``venv`` in it. The output is the build log.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from trunkline.linux import libc
from trunkline.worker import capabilities, root, supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The unprivileged user: nobody, on all Linux systems.
_NOBODY = 65534
#: Variables that pip and its HTTP library read.
_PASSED_ON = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "LANG"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
#: Where pip looks for the settings of a user, below the home folder.
_PIP_SETTINGS = (".config/pip/pip.conf", ".pip/pip.conf")


def main(arguments: Sequence[str]) -> int:
    """Build the environment; return the exit code of the step that failed, or 0."""
    folder = os.path.realpath(arguments[0])
    sources = "--sources" in arguments
    hidden = [
        path for path in os.environ.get("TRUNKLINE_HIDDEN", "").split(os.pathsep) if os.path.isdir(path)
    ]
    software = [path for path in os.environ.get("TRUNKLINE_READABLE", "").split(os.pathsep) if path]
    guest = os.geteuid() == 0
    home, temporary, staging = (f"{folder}/{name}" for name in ("home", "tmp", "root"))
    for path in (home, temporary, staging, f"{folder}/venv"):
        os.mkdir(path)
    _copy_settings(home)
    parent = os.getppid()
    # Read now: they are hidden afterwards.
    environment = _environment(home, temporary)
    steps = _steps(f"{folder}/venv", f"{folder}/requirements.txt", sources)
    try:
        cover = _cover([os.path.realpath(path) for path in hidden], folder, software, guest)
        root.enter(staging, [], name="trunkline-image", cover=cover)
    except root.RootUnavailable as error:
        sys.stderr.write(f"built without a private root: {error.reason}\n")
        libc.die_with_parent(signal.SIGKILL)
        guest = False
    else:
        if supervisor.enter(parent):
            root.show_own_processes()
    capabilities.restrict_commands()
    if guest:
        _become_nobody(folder)
    os.chdir("/")
    for step in steps:
        code = subprocess.run(step, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        if code:
            return code if code > 0 else 1
    return 0


def _environment(home: str, temporary: str) -> dict[str, str]:
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name.upper() in _PASSED_ON
    }
    return passed_on | {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": temporary}


def _copy_settings(home: str) -> None:
    """Copy the pip settings of the server's user, which name the package index."""
    for name in _PIP_SETTINGS:
        try:
            with open(f"{os.environ.get('HOME', '/')}/{name}", "rb") as file:
                content = file.read()
        except OSError:
            continue
        os.makedirs(os.path.dirname(f"{home}/{name}"), exist_ok=True)
        with open(f"{home}/{name}", "wb") as file:
            file.write(content)


def _cover(hidden: list[str], folder: str, software: Sequence[str], guest: bool) -> root.Cover:
    readable = [os.path.realpath(path) for path in software]
    if guest:
        # The interpreter may be in a folder that only root may enter: then only the interpreter is visible in it.
        hidden = hidden + [closed for path in (*readable, folder) if (closed := _closed_above(path))]
    outermost = {path for path in hidden if not any(path.startswith(other + "/") for other in hidden)}
    return root.Cover(sorted(outermost), [folder], readable)


def _closed_above(path: str) -> str:
    """Return the topmost folder above the path that other users may not enter; empty when there is none."""
    parts = path.split("/")
    for count in range(2, len(parts)):
        above = "/".join(parts[:count])
        if not os.stat(above).st_mode & 0o001:
            return above
    return ""


def _become_nobody(folder: str) -> None:
    for name in ("home", "tmp", "venv", "requirements.txt"):
        os.chown(f"{folder}/{name}", _NOBODY, _NOBODY)
    for above, names, files in os.walk(f"{folder}/home"):
        for name in (*names, *files):
            os.chown(f"{above}/{name}", _NOBODY, _NOBODY)
    os.chmod(folder, 0o711)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _steps(venv: str, requirements: str, sources: bool) -> Sequence[Sequence[str]]:
    """Return the commands that create the environment."""
    install = ["install", "--disable-pip-version-check", "--no-input", "-r", requirements]
    if not sources:
        install += ["--only-binary", ":all:"]
    python = f"{venv}/bin/python"
    if importlib.util.find_spec("pip") is None:  # as in environments that uv makes
        return [sys.executable, "-m", "venv", venv], [python, "-m", "pip", *install]
    # pip of this interpreter installs into the new environment: copying pip into it takes seconds.
    return (
        [sys.executable, "-m", "venv", "--without-pip", venv],
        [sys.executable, "-m", "pip", "--python", python, *install],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
