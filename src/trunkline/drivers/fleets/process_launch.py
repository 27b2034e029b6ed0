"""What a worker process is given when it starts, and what its end means; for the process fleet."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from trunkline.drivers.fleets.images import software_folders
from trunkline.model import secret_mounts
from trunkline.model.quantities import parse_bytes
from trunkline.model.spec import DEFAULT_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trunkline.drivers.fleets.images import ImageEnvironment
    from trunkline.model.workers import WorkerSpec
    from trunkline.ports import ServerAddress

#: Variables that workers, and through them commands, inherit from the server; not its credentials.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH"),
    *("TRUNKLINE_NO_NAMESPACES", "COVERAGE_PROCESS_START"),
)


def open_private(path: str, flags: int) -> int:
    """Open a file that only this user may read; an ``opener`` of ``open``."""
    return os.open(path, flags, 0o600)


def environment(
    server: ServerAddress,
    spec: WorkerSpec,
    image: ImageEnvironment | None,
    scratch: Path,
    hidden: Sequence[str],
) -> Mapping[str, str]:
    """Return the worker's settings, which ``worker/settings.py`` reads; not its token and what limits its commands.

    Args:
        server: how the worker reaches the server.
        spec: the worker.
        image: the environment of its image; None without one.
        scratch: the worker's own folder.
        hidden: folders that commands must not see.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    if "PYTHONPATH" in os.environ:
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
        inherited["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts if part)
    # Most specs name no image: then there is nothing to say about the one that Pachyderm takes.
    image_name = "" if image is None and spec.image == DEFAULT_IMAGE else spec.image
    readable = [*software_folders(), *([os.path.dirname(server.ca)] if server.ca else [])]
    return inherited | {
        "TRUNKLINE_SERVER": server.address,
        "TRUNKLINE_SERVER_CA_FILE": server.ca,
        "TRUNKLINE_SERVER_NAME": server.name,
        "TRUNKLINE_WORKER_ID": spec.worker_id,
        "TRUNKLINE_SCRATCH": str(scratch),
        "TRUNKLINE_OPEN_SCRATCH": open_scratch(spec.worker_id),
        "TRUNKLINE_HIDDEN": os.pathsep.join(hidden),
        "TRUNKLINE_READABLE": os.pathsep.join(readable),
        "TRUNKLINE_IMAGE": image_name,
        "TRUNKLINE_IMAGE_DESCRIPTION": "" if image is None else image.description,
        "TRUNKLINE_PARENT": str(os.getpid()),
        "TRUNKLINE_MEMORY": str(spec.memory),
        "TRUNKLINE_SECRET_FOLDERS": os.pathsep.join(secret_mounts.folders(spec.pipeline_spec)),
        "TRUNKLINE_GRACE": f"{spec.grace:g}",
    }


def memory_limit(spec: WorkerSpec) -> int:
    """Return the bytes of memory that commands may use; 0 for no limit."""
    limits = spec.pipeline_spec.resource_limits
    return parse_bytes(limits.memory, "resource_limits.memory") if limits and limits.memory else 0


def open_scratch(worker_id: str) -> str:
    """Return the folder for commands that run as another user without a private root."""
    return f"/var/tmp/trunkline-{worker_id}"


def how_it_ended(code: int, log: Path) -> str:
    """Return how a worker ended.

    Args:
        code: its exit code, or the negative number of a signal.
        log: file with its output.

    Raises:
        OSError: the file cannot be read.
    """
    if code == 0:
        return "ended as asked"
    lines = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code > 0:
        how = f"ended with exit code {code}"
    else:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        how = f"was killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
    return how + (f"; the last line of its output: {last}" if last else "")
