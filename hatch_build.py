"""Records in the wheel which commit it is built from (read by ``trunkline.build_commit``)."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface[Any]):
    """Adds ``trunkline/COMMIT``; does nothing without git or a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to the wheel; a development install reads its clone instead."""
        if version == "editable":
            return
        try:
            commit = subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return
        folder = Path(tempfile.mkdtemp())
        (folder / "COMMIT").write_text(f"{commit}\n", encoding="utf-8")
        build_data["force_include"][str(folder / "COMMIT")] = "trunkline/COMMIT"
