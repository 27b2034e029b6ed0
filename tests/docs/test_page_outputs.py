"""What a page shows is compared with what commands print: exactly, but for words that differ from run to run."""

from __future__ import annotations

import pytest
from outputs import matches


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("count  08c0807d1c1e  now  4 B", "count  71225280127b  2 seconds ago    6 B"),
        ("took 0.211 s, 12.5 MiB", "took 3 min 2 s, 980 kB"),
        ("default/code@2194409b:/a, default/tests@5a3…", "default/code@33696876:/a, default/tests@eed…"),
        ("at 127.0.0.1:30650 on 2026-11-26T19:00:00Z", "at 127.0.0.1:41000 on 2027-01-02T03:04:05.678Z"),
        ("first\n...\nlast", "first\nsecond\nthird\nlast"),
        ("first\n...\nlast", "first\nlast"),
        (
            "Why:  a sentence of 8 MiB\n            that is long",
            "Why:  a sentence of 100 MiB that\n            is long",
        ),
        ("", "\n"),
    ],
)
def test_ids_ages_sizes_times_and_left_out_lines_match(page: str, printed: str) -> None:
    assert matches(page, printed)


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("1 + 2 / 3  success", "2 + 1 / 3  success"),
        ("count  08c0807d1c1e", "total  71225280127b"),
        ("texts@master", "texts@main"),
        ("one line", "one line\nand another"),
        ("first\n...\nlast", "first\nsecond"),
        ("", "created repo default/texts"),
    ],
)
def test_anything_else_that_differs_does_not_match(page: str, printed: str) -> None:
    assert not matches(page, printed)


def test_a_program_that_goes_on_is_compared_with_what_it_has_printed_so_far() -> None:
    assert matches("ready", "ready\nand a line later", so_far=True)
    assert not matches("ready\nand a line later", "ready", so_far=True)
