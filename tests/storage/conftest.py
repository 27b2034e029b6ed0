from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from storage_world import WORLDS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("storage", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("storage")


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.store.close()


@pytest.fixture(autouse=True)
def _worlds_end() -> Iterator[None]:
    """End the threads of worlds that tests have made themselves; those of a module end with the module."""
    shared = set(WORLDS)
    yield
    for world in set(WORLDS) - shared:
        world.store.close()
        WORLDS.discard(world)
