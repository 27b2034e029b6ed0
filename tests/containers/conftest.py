"""One engine for all tests of this folder. ``scripts/test-containers`` runs them; other runs leave them out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import podman
import pytest

for name in ("drivers", "worker", "pps", "e2e"):
    sys.path.append(str(Path(__file__).parents[1] / name))

if TYPE_CHECKING:
    from collections.abc import Iterator

if os.environ.get("TRUNKLINE_TEST_CONTAINERS") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[podman.Podman]:
    """The engine, without containers between tests."""
    if lack := podman.missing():
        pytest.skip(lack)
    program = podman.Podman(tmp_path_factory.mktemp("engine"))
    yield program
    program.close()
