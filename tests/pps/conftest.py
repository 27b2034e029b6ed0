from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pps_world import PpsWorld

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[PpsWorld]:
    world = PpsWorld()
    yield world
    world.close()
