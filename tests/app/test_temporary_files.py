"""Temporary files: read while they grow, and errors that name the folder."""

from __future__ import annotations

import contextlib
import resource
from typing import TYPE_CHECKING

import pytest

from trunkline.errors import ResourceExhausted, Unavailable
from trunkline.runtime.temporary_files import TemporaryFile

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse files beyond ``size`` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_two_readers_have_places_of_their_own() -> None:
    with contextlib.closing(TemporaryFile()) as file:
        places = [file.append(b"first"), file.append(memoryview(b"second"))]
        first, second = file.reader(4), file.reader(4)

        assert first.read(5) + second.read(2) + first.read() == b"firstfisecond"
        assert places == [0, 5]
        assert file.read(5, 100) == b"second"


def test_a_full_disk_is_named_and_what_was_written_before_stays() -> None:
    with contextlib.closing(TemporaryFile()) as file:
        file.append(b"kept")
        with largest_file(1000), pytest.raises(ResourceExhausted):
            file.append(bytes(2000))
        begin = file.append(b"after")

        assert (begin, file.read(0, 4), file.read(begin, 5), file.size) == (4, b"kept", b"after", 9)


def test_a_folder_that_cannot_be_used_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        TemporaryFile("/nonexistent/folder")
