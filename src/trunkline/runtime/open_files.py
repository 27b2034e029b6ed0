"""How many files this process may open: raised for its connections, and given back to the programs that it starts."""

from __future__ import annotations

import resource

#: Files beyond which the limit is not raised: some programs look at every number below it.
MOST = 1 << 16

# Of this process when it started: programs that use select() cannot use a larger one.
_inherited = resource.getrlimit(resource.RLIMIT_NOFILE)


def limit() -> int:
    """Return how many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Raise the limit to what the system allows, up to ``MOST``."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if limit() < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def restore_limit(process: int) -> None:
    """Give a running child the limit that this process was started with."""
    resource.prlimit(process, resource.RLIMIT_NOFILE, _inherited)
