from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from postgres_server import database_url
from pps_world import PpsWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PpsWorld]:
    """A store with a controller; on SQLite unless the test names a kind of database."""
    with database_url(getattr(request, "param", "sqlite"), tmp_path, installed=True) as url:
        world = PpsWorld(url)
        yield world
        world.close()
