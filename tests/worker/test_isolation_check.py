"""What a server logs at its start about the isolation of commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from worker_processes import worker_environment


def check(folder, **variables: str) -> list[str]:
    command = [sys.executable, "-m", "trunkline.worker.isolation_check", str(folder)]
    environment = worker_environment() | variables
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return checked.stdout.splitlines()


def test_a_machine_without_namespaces_is_reported(tmp_path):
    [line] = check(tmp_path, TRUNKLINE_NO_NAMESPACES="1")

    assert line.startswith("commands have no private root (TRUNKLINE_NO_NAMESPACES is set)")


def test_the_check_leaves_nothing_behind(tmp_path):
    check(tmp_path)

    assert os.listdir(tmp_path) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
