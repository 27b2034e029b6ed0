"""Reports which isolation of commands this machine does not allow: ``python -m trunkline.worker.isolation_check``.

A server starts it once, with an empty folder as the argument, and logs its output. It creates a worker's sandbox
and exits.
"""

from __future__ import annotations

import os
import sys

from trunkline.worker import root, supervisor


def main(folder: str) -> None:
    """Print a line for each kind of isolation that is not allowed."""
    try:
        if os.environ.get("TRUNKLINE_NO_NAMESPACES", "") not in ("", "0"):
            raise root.RootUnavailable("TRUNKLINE_NO_NAMESPACES is set")
        root.enter(folder, [])
    except root.RootUnavailable as error:
        sys.stdout.write(
            f"commands have no private root ({error.reason}): they can read what this server's user can read, "
            f"the data folder included\n"
        )
        return
    if not supervisor.enter(os.getppid()):
        sys.stdout.write(
            "commands have no PID namespace: they see and can signal other processes of their user\n"
        )
    elif not root.show_own_processes():
        sys.stdout.write("commands have no /proc of their own: they see the processes of this machine\n")


if __name__ == "__main__":
    main(sys.argv[1])
