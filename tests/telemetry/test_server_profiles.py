"""Profiles of this process: which function each thread is in, and which types of objects grow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from trunkline.telemetry import profiles

if TYPE_CHECKING:
    from collections.abc import Callable


class Grown:
    """Objects that a test makes."""


class Waits(threading.Event):
    """A pause that makes objects instead of waiting."""

    def __init__(self, during: Callable[[], None]) -> None:
        super().__init__()
        self._during = during

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        self._during()
        return super().wait(0)


def _park(begun: threading.Event, release: threading.Event) -> None:
    begun.set()
    release.wait()


def test_stacks_name_the_thread_and_the_module_of_each_function() -> None:
    begun, release = threading.Event(), threading.Event()
    thread = threading.Thread(target=_park, args=(begun, release), name="parked")
    thread.start()
    begun.wait()

    stacks = profiles.thread_stacks().splitlines()

    release.set()
    thread.join()
    (parked,) = (stack for stack in stacks if stack.startswith("parked;"))
    frames = [frame.rpartition(":")[0] for frame in parked.rpartition(" ")[0].split(";")]
    assert frames[1] == "threading._bootstrap"
    assert any(frame.endswith("test_server_profiles._park") for frame in frames)
    assert frames.index("threading.run") < next(
        index for index, frame in enumerate(frames) if frame.endswith("._park")
    )


def test_a_heap_profile_shows_how_much_each_type_grew() -> None:
    objects: list[Grown] = []

    profile = profiles.count_objects(0.1, Waits(lambda: objects.extend(Grown() for _ in range(50))))

    (line,) = (line for line in profile.splitlines() if line.endswith("test_server_profiles.Grown"))
    assert line.split()[1] == "50"
    assert line.split()[3] == "+50"
