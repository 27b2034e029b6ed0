"""The sandbox of a pod: /pfs is a volume that the worker's and the user's container share.

The process fleet uses it for commands in containers, with a folder in place of the volume.

A datum's folders are prepared in a hidden folder of the volume and renamed into place, because pods may not mount.

Links that a command has left and that lead out of /pfs must not be followed: they would lead to the worker's files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from trunkline.errors import FailedPrecondition, InvalidArgument
from trunkline.linux import file_trees, libc
from trunkline.worker import environment, root
from trunkline.worker.command import ExecutorLost
from trunkline.worker.pod.launcher_client import LauncherClient
from trunkline.worker.pod.scratch import PodScratchPool
from trunkline.worker.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.scratch import DatumDir
    from trunkline.worker.settings import Settings

#: Seconds in which the launcher must first appear. The user's image may still be pulled; the fleet decides whether
#: that can succeed.
_FIRST_PATIENCE = 3600.0


class PodSandbox(Sandbox):
    """Commands run in another container, which shares /pfs with the worker's."""

    publishes_ports = False  # a Service of Kubernetes does

    def __init__(
        self,
        launcher: LauncherClient,
        pfs: str,
        hidden: str,
        fixed: Iterable[str],
        secret_folders: Mapping[str, str],
    ) -> None:
        """Use the shared folder; the launcher adds the environment of the container.

        Args:
            launcher: a connected client.
            pfs: the shared folder.
            hidden: the worker's own folder in it.
            fixed: entries of ``pfs`` that existed before, for instance mounts.
            secret_folders: by the folders of secrets in the container, where this process writes their files.
        """
        super().__init__(launcher, PodScratchPool(hidden), environment.UNBUFFERED, [])
        self._launcher = launcher
        self._pfs = pfs
        self._fixed = {os.path.basename(hidden), *fixed}
        self._secret_folders = secret_folders
        #: Files of secrets by folder, as they were written.
        self._secrets: dict[str, dict[str, bytes]] = {}
        self._current: DatumDir | None = None
        #: Whether something could not be moved out of /pfs.
        self._stuck = False
        self._cleared = 0
        self.links_within = os.path.realpath(pfs)

    @property
    def pfs(self) -> str:
        """The path of /pfs for commands."""
        return self._pfs

    def top(self, datum_dir: DatumDir) -> str:
        """Return the shared folder, into which the datum's folders were renamed."""
        del datum_dir
        return self._pfs

    def write_config(self, text: str, owner: Owner) -> str:
        """Store it where the other container, whose user may be another, can read it; see ``Sandbox``."""
        path = super().write_config(text, owner)
        os.chmod(path, 0o644)
        return path

    def place_secrets(self, files: Sequence[pb.SecretFile]) -> None:
        """Write the files of secrets where the container shows them; see ``Sandbox``."""
        folders: dict[str, dict[str, bytes]] = {folder: {} for folder in self._secret_folders}
        for file in files:
            if file.folder not in folders:
                raise InvalidArgument(
                    f"the container has no folder {file.folder} for a secret; update the pipeline"
                )
            folders[file.folder][file.name] = file.content
        if folders == self._secrets:
            return
        for folder, contents in folders.items():
            self._write_secrets(self._secret_folders[folder], contents)
        self._secrets = folders

    @staticmethod
    def _write_secrets(place: str, contents: Mapping[str, bytes]) -> None:
        """Write the files of one folder; each replaces its former one whole."""
        for name in set(os.listdir(place)) - contents.keys():
            os.unlink(f"{place}/{name}")
        for name, content in contents.items():
            descriptor = os.open(
                f"{place}/..new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o444
            )
            with open(descriptor, "wb") as file:
                file.write(content)
            os.rename(f"{place}/..new", f"{place}/{name}")

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Rename the datum's folders into /pfs."""
        if self._stuck:
            self._launcher.await_return(interrupts)
            self._clear_away()
        self._current = datum_dir
        for name in os.listdir(datum_dir.root):
            os.rename(f"{datum_dir.root}/{name}", f"{self._pfs}/{name}")

    def hide(self) -> None:
        """Rename all entries of /pfs, also those that the command has added, into the datum's folder."""
        if self._current is None:
            return
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                try:
                    os.rename(f"{self._pfs}/{name}", f"{self._current.root}/{name}")
                except OSError:
                    self._stuck = True
        self._current = None

    def _clear_away(self) -> None:
        """Move entries that could not be moved before out of /pfs.

        Such an entry is a folder of the command's user whose permissions the launcher could not open because it was
        killed; the next launcher has done so.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{self.scratch.disk}/stuck")
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                self._cleared += 1
                os.rename(f"{self._pfs}/{name}", f"{self.scratch.disk}/stuck/{self._cleared}")
        self._stuck = False

    def working_dir(self, folder: str) -> str:
        """Return the folder to start a command in; by default that of the image."""
        return super().working_dir(folder) if folder else ""

    def find_user(self, user: str) -> Owner:
        """Return the container's own user: it already runs as ``transform.user``."""
        del user
        own: Owner = None
        return own


def share(settings: Settings) -> Settings:
    """Enter a private root in which the folder that the launcher's container has as /pfs is at the same path.

    Links that commands write then mean the same here. Returns the settings as they are in this root.

    Raises:
        FailedPrecondition: the machine does not allow it.
    """
    staging = os.path.join(settings.scratch, "root")
    os.makedirs(staging, mode=0o700, exist_ok=True)
    secrets = ""
    if settings.secrets:  # the private root has a memory of its own in place of the folder's
        secrets = f"/proc/self/fd/{os.open(settings.secrets, os.O_PATH | os.O_CLOEXEC)}"
    try:
        root.enter(staging, [], settings.memory, settings.worker_id)
        libc.mount(settings.shared, root.PFS, None, libc.MS_BIND)
    except (root.RootUnavailable, OSError) as error:
        reason = error.reason if isinstance(error, root.RootUnavailable) else error.strerror
        raise FailedPrecondition(
            f"this machine does not let workers have a private root ({reason}), which they need beside containers; "
            "allow user namespaces, or serve with --fleet processes"
        ) from error
    folder, socket = os.path.split(settings.launcher)
    descriptor = os.open(
        folder, os.O_PATH | os.O_CLOEXEC
    )  # stays open: the path to a socket has 107 bytes at most
    return settings._replace(
        launcher=f"/proc/self/fd/{descriptor}/{socket}",
        scratch=os.path.join(root.PFS, ".trunkline"),
        secrets=secrets,
    )


def enter(settings: Settings) -> PodSandbox:
    """Wait for the launcher and prepare the shared folder.

    Raises:
        FailedPrecondition: there is no launcher, or it has another version.
    """
    # Until the worker has results to report, SIGTERM ends it at once. As the first process of its container it
    # would ignore the signal without a handler.
    signal.signal(signal.SIGTERM, _go)
    os.umask(0)  # commands may be another user, and must be able to change their inputs
    hidden = settings.scratch
    pfs = os.path.dirname(hidden)
    launcher = LauncherClient(settings.launcher, pfs, os.path.basename(hidden))
    try:
        launcher.connect(_FIRST_PATIENCE, time.sleep)
    except ExecutorLost as error:
        raise FailedPrecondition(str(error)) from None
    os.makedirs(hidden, mode=0o711, exist_ok=True)
    file_trees.empty(hidden)
    fixed = [name for name in os.listdir(pfs) if name != os.path.basename(hidden)]
    places = {folder: f"{settings.secrets}/{number}" for number, folder in enumerate(settings.secret_folders)}
    return PodSandbox(launcher, pfs, hidden, fixed, places if settings.secrets else {})


def _go(number: int, frame: object) -> None:
    del number, frame
    sys.exit(0)
