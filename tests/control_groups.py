"""A real control group for tests, where this machine has one to give."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.linux import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def new_group(controller: str = "") -> Iterator[Path]:
    """Yield a new group below the top one, removed at the end; skip where that is not possible.

    Args:
        controller: what the group must have; any when empty.
    """
    try:
        own = cgroups.own_group()
    except cgroups.NotDelegated as error:
        pytest.skip(str(error))
    top = Path(own)
    while not top.is_mount():
        top = top.parent
    available = (top / "cgroup.controllers").read_text().split()
    if not available or (controller and controller not in available):
        pytest.skip(f"{top} has no {controller} controller of version 2; it has: {available}")
    controller = controller or available[0]
    control = top / "cgroup.subtree_control"
    enabled = controller in control.read_text().split()
    try:
        folder = Path(tempfile.mkdtemp(prefix="trunkline-test-", dir=top))
    except OSError as error:
        pytest.skip(f"no control group can be created in {top}: {error.strerror}")
    try:
        if not enabled:
            control.write_text(f"+{controller}")
        yield folder
    finally:
        cgroups.remove(str(folder))
        if not enabled:
            control.write_text(f"-{controller}")
