"""The unit for systemd is valid."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = (Path(__file__).resolve().parents[2] / "deploy/trunkline.service").read_text()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze in PATH")
def test_systemd_reads_the_unit_without_a_warning(tmp_path: Path) -> None:
    unit = tmp_path / "trunkline.service"
    unit.write_text(UNIT.replace("/opt/trunkline/bin/trunkline", "/bin/true"))

    run = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (run.returncode, run.stderr) == (0, "")
