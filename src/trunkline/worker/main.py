"""The worker process, in the order that its privileges and its start-up time dictate.

First the world its commands will see: a private root must be made before a second thread exists and before
anything heavy is imported. Only then the client, the messages and the loop. The process ends with the one
that started it.
"""

from __future__ import annotations

import os
import signal
import sys

from trunkline.errors import TrunklineError
from trunkline.worker import libc, sandbox, settings


def main() -> int:
    """Be a worker; return the exit code."""
    try:
        given = settings.take(os.environ)
        here = sandbox.enter(given)
    except TrunklineError as error:
        sys.stderr.write(f"worker: {error.message}\n")
        return 2
    # After the namespaces are made, because new credentials clear what follows.
    libc.hide_memory()
    libc.adopt_orphans()
    if given.parent:
        libc.die_with_parent(signal.SIGTERM)
        if os.getppid() != given.parent:
            return 1  # it died before it could be watched
    os.chdir("/")

    from trunkline.worker.loop import Worker

    return Worker(given, here).run()
