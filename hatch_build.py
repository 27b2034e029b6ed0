"""Adds to the wheel what is not in the repository: the built handbook, and the commit that the wheel is built from.

A handbook that ``scripts/docs build`` has built from the same sources is taken as it is. Otherwise Zensical becomes a
build dependency and builds it. ``TRUNKLINE_HANDBOOK=none`` leaves it out, for wheels and installations that need none.
A development install (``pip install -e``) has neither handbook nor commit: it reads its clone
(``trunkline.build_commit``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

#: What builds the handbook; installed where a wheel is built, never with it.
HANDBOOK_NEEDS = ["zensical==0.0.73", "PyYAML>=6.0"]


class PackageHook(BuildHookInterface[Any]):
    """Adds ``trunkline/handbook``, and ``trunkline/COMMIT`` where there is git and a clone."""

    def dependencies(self) -> list[str]:
        """Return what must be installed to build the handbook; pip asks before it builds."""
        return [] if not self._wants_handbook() or self._is_built() else HANDBOOK_NEEDS

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to the wheel."""
        if version == "editable":
            return
        folder = Path(tempfile.mkdtemp())
        if self._wants_handbook():
            build_data["force_include"][str(self._handbook(folder))] = "trunkline/handbook"
        commit = self._commit()
        if commit:
            (folder / "COMMIT").write_text(f"{commit}\n", encoding="utf-8")
            build_data["force_include"][str(folder / "COMMIT")] = "trunkline/COMMIT"

    def _wants_handbook(self) -> bool:
        return os.environ.get("TRUNKLINE_HANDBOOK") != "none"

    def _is_built(self) -> bool:
        from docs_site import digest  # type: ignore[import-not-found, unused-ignore]

        return digest.is_built(Path(self.root))

    def _handbook(self, folder: Path) -> Path:
        """Return the folder with the package's copy of the handbook; build it unless the clone has it."""
        from docs_site import digest

        root = Path(self.root)
        if self._is_built():
            return root / digest.PLACE
        from docs_site import build

        place = folder / "packed"
        build.pack(build.build(root, folder / "work"), place, digest.digest(root))
        return place

    def _commit(self) -> str:
        try:
            return subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
