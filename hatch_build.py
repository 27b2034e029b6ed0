"""Adds to the wheel what is not in the repository: the built handbook, and the commit that the wheel is built from.

A development install (``pip install -e``) has neither: it reads its clone (``trunkline.build_commit``), where
``scripts/docs build`` builds the handbook.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PackageHook(BuildHookInterface[Any]):
    """Adds ``trunkline/handbook``, and ``trunkline/COMMIT`` where there is git and a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to the wheel."""
        if version == "editable":
            return
        folder = Path(tempfile.mkdtemp())
        build_data["force_include"][str(self._handbook(folder))] = "trunkline/handbook"
        commit = self._commit()
        if commit:
            (folder / "COMMIT").write_text(f"{commit}\n", encoding="utf-8")
            build_data["force_include"][str(folder / "COMMIT")] = "trunkline/COMMIT"

    def _handbook(self, folder: Path) -> Path:
        """Build the handbook and return the folder with the package's copy."""
        sys.path.insert(0, str(Path(self.root) / "scripts"))
        from docs_site import build

        place = folder / "packed"
        build.pack(build.build(Path(self.root), folder / "work"), place)
        return place

    def _commit(self) -> str:
        try:
            return subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
