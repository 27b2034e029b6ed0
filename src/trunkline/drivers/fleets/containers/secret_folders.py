"""Folders in memory with which containers get secrets as files.

The machine's ``/dev/shm`` is in memory and needs no right to mount. Each worker has a folder there that only the
server's user may enter, with a folder for each ``mount_path`` of its spec, which is bound into the container. The
worker writes the files when it gets them with an assignment. Folders go with their containers; those of a server that
was killed are removed by the next one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline.model import secret_mounts

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec

_MEMORY = Path("/dev/shm")


class SecretFolders:
    """The folders of one installation.

    Args:
        cluster: identity of the installation.
    """

    def __init__(self, cluster: str) -> None:
        self._prefix = f"trunkline-secrets-{cluster}-"

    def create(self, worker_id: str, spec: PipelineSpec) -> tuple[str, list[str]]:
        """Create the folder of a worker; return it and the binds of its container, empty for a spec without secrets.

        Args:
            worker_id: of the worker.
            spec: of its pipeline.

        Raises:
            OSError: the machine has no folder in memory.
        """
        places = secret_mounts.folders(spec)
        if not places:
            return "", []
        if not _is_in_memory():
            raise OSError(
                f"secrets as files need {_MEMORY} in memory, which this machine does not have; use env_var"
            )
        folder = self._folder(worker_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        for number, _ in enumerate(places):
            below = folder / str(number)
            below.mkdir(exist_ok=True)
            below.chmod(0o755)  # the command may be another user
        return str(folder), [f"{folder / str(number)}:{place}:ro" for number, place in enumerate(places)]

    def remove(self, worker_id: str) -> None:
        """Remove the folder of a worker if there is one."""
        shutil.rmtree(self._folder(worker_id), ignore_errors=True)

    def remove_all(self) -> None:
        """Remove the folders that an earlier server has left."""
        for folder in _MEMORY.glob(f"{self._prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, worker_id: str) -> Path:
        return _MEMORY / f"{self._prefix}{worker_id}"


def _is_in_memory() -> bool:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    return any(mount[1:3] == [str(_MEMORY), "tmpfs"] for mount in mounts)
