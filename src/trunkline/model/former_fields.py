"""Fields of Pachyderm 1 that Pachyderm 2 has no longer, and what to write instead.

Specs with them are still published. Loaded only for a spec that has an unknown field.
"""

from __future__ import annotations

import re

_LEAVE_OUT = "leave it out"

#: Names as they are written in a spec, with what to do, as the end of a sentence.
_ADVICE = {
    "annotations": "write metadata.annotations",
    "atom": 'write "pfs"',
    "build": "build an image and name it in transform.image",
    "cache_size": _LEAVE_OUT,
    "chunk_spec": 'write "datum_set_spec"',
    "chunks_per_worker": 'write "per_worker"',
    "coefficient": 'write "constant" with the number of workers',
    "enable_stats": f"{_LEAVE_OUT}: statistics are always there",
    "git": 'use a "cron" input whose command fetches the repository',
    "hashtree_spec": _LEAVE_OUT,
    "marker": f"{_LEAVE_OUT}: the program reads its last commit instead",
    "max_queue_size": _LEAVE_OUT,
    "overwrite": f"{_LEAVE_OUT}: the program chooses what it overwrites",
    "standby": 'write "autoscaling"',
    "strategy": _LEAVE_OUT,
}


def advice(name: str) -> str:
    """Return what to do about an unknown field, as the end of a sentence; empty when Pachyderm 1 had none such."""
    snake = re.sub("(?<=[a-z])([A-Z])", lambda match: f"_{match[1].lower()}", name)
    text = _ADVICE.get(snake, "")
    return f"it is a field of Pachyderm 1: {text}" if text else ""
