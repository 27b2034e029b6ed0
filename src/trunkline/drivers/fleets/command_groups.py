"""Control groups for the commands of workers: the kernel enforces memory limits where it can.

Each worker whose pipeline has a memory limit gets a group for its commands, below the server's own. The worker puts
each command into it. Where the server has no delegated group, the worker polls instead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trunkline.linux import cgroups
from trunkline.runtime.supervision import describe

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("trunkline.fleet")

_PREFIX = "trunkline-command-"


class CommandGroups:
    """The groups of a fleet's commands; without a delegation there are none."""

    def __init__(self, delegation: cgroups.Delegation | None = None) -> None:
        """Remove what an earlier server has left in the delegation."""
        self._delegation = delegation
        if delegation is not None:
            for name in delegation.names():
                if name.startswith(_PREFIX):
                    self._remove(delegation, name)

    def create(self, worker_id: str, memory_limit: int) -> str:
        """Create a group for the commands of a worker.

        Args:
            worker_id: names the group.
            memory_limit: bytes of memory for a command and all that it starts; 0 for no limit.

        Returns:
            Its folder; empty when the worker must enforce the limit itself, or there is none.
        """
        if self._delegation is None or not memory_limit:
            return ""
        try:
            folder = self._delegation.create(_PREFIX + worker_id)
            cgroups.limit_memory(folder, memory_limit)
        except OSError as error:
            log.warning(
                "worker %s enforces its memory limit by polling: no control group can be created (%s)",
                worker_id,
                describe(error),
            )
            return ""
        return folder

    def remove(self, worker_id: str) -> None:
        """Kill the commands of a worker that are left and remove its group, if it has one."""
        if self._delegation is not None:
            self._remove(self._delegation, _PREFIX + worker_id)

    @staticmethod
    def _remove(delegation: cgroups.Delegation, name: str) -> None:
        try:
            cgroups.remove(f"{delegation.folder}/{name}")
        except OSError as error:
            log.warning(
                "the control group %s/%s cannot be removed (%s); the next start tries again",
                delegation.folder,
                name,
                describe(error),
            )


def use_own(own_group: Callable[[], str] = cgroups.own_group) -> CommandGroups:
    """Use the server's own control group if it is delegated; log which enforcement is in force.

    Moves the server's processes into a group below it.

    Args:
        own_group: returns the folder of the server's group.
    """
    try:
        delegation = cgroups.Delegation(own_group(), "memory")
    except cgroups.NotDelegated as error:
        log.info(
            "memory limits of commands are enforced by polling: %s; see docs/operate/security.md",
            error,
            extra={"action": "memory_limits", "enforced_by": "polling"},
        )
        return CommandGroups()
    log.info(
        "memory limits of commands are enforced by the kernel, in control groups below %s",
        delegation.folder,
        extra={"action": "memory_limits", "enforced_by": "cgroup"},
    )
    return CommandGroups(delegation)
