"""Adds to the wheel what is not in the repository: the built handbook, and what the wheel is built from and when.

A handbook that ``scripts/docs build`` has built from the same sources is taken as it is. Otherwise Zensical becomes a
build dependency and builds it. ``TRUNKLINE_HANDBOOK=none`` leaves it out, for wheels and installations that need none.
A development install (``pip install -e``) has neither: it reads its clone (``trunkline.build_info``). The source
distribution gets the commit, so that a wheel made from it can name it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts"))

#: What builds the handbook; installed where a wheel is built, never with it.
HANDBOOK_NEEDS = ["zensical==0.0.73", "PyYAML>=6.0"]


class PackageHook(BuildHookInterface[Any]):
    """Adds ``trunkline/handbook`` and ``trunkline/BUILD`` to wheels, and ``COMMIT`` to source distributions."""

    def dependencies(self) -> list[str]:
        """Return what must be installed to build the handbook; pip asks before it builds."""
        needs_none = self.target_name != "wheel" or not self._wants_handbook() or self._is_built()
        return [] if needs_none else HANDBOOK_NEEDS

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files."""
        if version == "editable":
            return
        folder = Path(tempfile.mkdtemp())
        commit = self._commit()
        if self.target_name == "sdist":
            self._add("COMMIT", commit, folder, build_data)
            return
        self._add("trunkline/BUILD", f"{_build_date()} {commit}".strip(), folder, build_data)
        if self._wants_handbook():
            build_data["force_include"][str(self._handbook(folder))] = "trunkline/handbook"

    def _add(self, name: str, text: str, folder: Path, build_data: dict[str, Any]) -> None:
        """Add a file of one line.

        Args:
            name: path in the distribution.
            text: the line.
            folder: for the file until the distribution is written.
            build_data: of the build.
        """
        file = folder / Path(name).name
        file.write_text(f"{text}\n", encoding="utf-8")
        build_data["force_include"][str(file)] = name

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
        """Return the commit of the clone, or of the source distribution; empty when neither is known."""
        root = Path(self.root)
        if (root / "COMMIT").is_file():
            return (root / "COMMIT").read_text(encoding="utf-8").strip()
        if not (root / ".git").exists():  # git would take the commit of a clone around it
            return ""
        try:
            return subprocess.run(
                ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""


def _build_date() -> str:
    """Return the time in RFC 3339 and UTC: that of ``SOURCE_DATE_EPOCH``, so that a build can be repeated, or now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = time.gmtime(int(epoch)) if epoch else time.gmtime()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
