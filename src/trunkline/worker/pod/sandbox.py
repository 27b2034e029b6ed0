"""The sandbox of a pod: /pfs is a volume that the worker's and the user's container share.

A datum's folders are prepared in a hidden folder of the volume and renamed into place, for there is no right to
mount anything.

Must not follow a link that a command has left out of /pfs: it would lead to the worker's own files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from trunkline.errors import FailedPrecondition
from trunkline.linux import file_trees
from trunkline.worker import environment
from trunkline.worker.command import ExecutorLost
from trunkline.worker.pod.launcher_client import LauncherClient
from trunkline.worker.pod.scratch import PodScratchPool
from trunkline.worker.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.scratch import DatumDir
    from trunkline.worker.settings import Settings

#: Seconds in which the launcher must first appear. The user's image may still be pulled, and whether that can
#: succeed is for whoever started the pod to judge.
_FIRST_PATIENCE = 3600.0


class PodSandbox(Sandbox):
    """Commands run in another container, which shares /pfs with the worker's."""

    def __init__(self, launcher: LauncherClient, pfs: str, hidden: str, fixed: Iterable[str]) -> None:
        """Commands get the environment of their container, which the launcher adds.

        Args:
            launcher: connected.
            pfs: the shared folder.
            hidden: the worker's own folder in it.
            fixed: entries of ``pfs`` that were there before: mounts, for instance.
        """
        super().__init__(launcher, PodScratchPool(hidden), environment.UNBUFFERED, [])
        self._launcher = launcher
        self._pfs = pfs
        self._fixed = {os.path.basename(hidden), *fixed}
        self._shown: DatumDir | None = None
        #: Whether something could not be moved out of /pfs.
        self._stuck = False
        self._cleared = 0
        self.links_within = os.path.realpath(pfs)

    @property
    def pfs(self) -> str:
        """Where commands find /pfs."""
        return self._pfs

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Rename the place's folders into /pfs."""
        if self._stuck:
            self._launcher.await_return(interrupts)
            self._clear_away()
        self._shown = datum_dir
        for name in os.listdir(datum_dir.root):
            os.rename(f"{datum_dir.root}/{name}", f"{self._pfs}/{name}")

    def hide(self) -> None:
        """Rename all that is in /pfs now, also what the command has added, into the place."""
        if self._shown is None:
            return
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                try:
                    os.rename(f"{self._pfs}/{name}", f"{self._shown.root}/{name}")
                except OSError:
                    self._stuck = True
        self._shown = None

    def _clear_away(self) -> None:
        """Move what resisted out of /pfs.

        It is a folder of the command's own, not made over because the launcher was killed before it could;
        the next launcher has done so.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{self.scratch.disk}/stuck")
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                self._cleared += 1
                os.rename(f"{self._pfs}/{name}", f"{self.scratch.disk}/stuck/{self._cleared}")
        self._stuck = False

    def working_dir(self, wanted: str) -> str:
        """Return the folder to start a command in; by default the one that the image names."""
        return super().working_dir(wanted) if wanted else ""

    def find_user(self, wanted: str) -> Owner:
        """Return the container's own user: it already runs as ``transform.user``."""
        del wanted
        own: Owner = None
        return own


def enter(settings: Settings) -> PodSandbox:
    """Wait for the launcher and make the shared folder ready.

    Raises:
        FailedPrecondition: there is no launcher, or not the right one.
    """
    # Until the worker has something to hand in, it goes at once. As the first process of its container it
    # would not go at all without a handler.
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
    return PodSandbox(launcher, pfs, hidden, fixed)


def _go(number: int, frame: object) -> None:
    del number, frame
    sys.exit(0)
