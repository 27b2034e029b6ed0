"""Says whether a built handbook is that of the sources beside it; needs nothing but the standard library."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What the site is made from, below the root of the repository.
SOURCES = (
    "docs/**/*",
    "examples/*/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "mkdocs.yml",
    "scripts/docs_site/*.py",
)
#: The package's copy of the site, and the file in it that names its sources.
PLACE = "src/trunkline/handbook"
POLICY = "policy.json"


def digest(root: Path) -> str:
    """Return the hash of everything that the site is made from.

    Args:
        root: of the repository.
    """
    paths = sorted(path for pattern in SOURCES for path in root.glob(pattern) if path.is_file())
    total = hashlib.sha256()
    for path in paths:
        if "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()


def is_built(root: Path) -> bool:
    """Return whether the package has the site of the sources as they are now.

    Args:
        root: of the repository.
    """
    policy = root / PLACE / POLICY
    return policy.is_file() and json.loads(policy.read_bytes()).get("sources") == digest(root)
