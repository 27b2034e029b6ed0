"""Finds the code blocks of a page; the site's sources and the runner of pages read them by the same rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPENING = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)$")


class FenceError(Exception):
    """A block that is not closed."""

    def __init__(self, line: int) -> None:
        """Make it.

        Args:
            line: number of the block's opening line, from 1.
        """
        super().__init__("the block is not closed")
        self.line = line


class Fence(NamedTuple):
    """A code block: its first and last line, counted from 0, its indentation, and what is behind the backticks."""

    start: int
    end: int
    indent: int
    info: str


def fences(lines: Sequence[str]) -> Iterator[Fence]:
    """Yield the code blocks of a page.

    Args:
        lines: of the page, without their ends.

    Raises:
        FenceError: a block is not closed.
    """
    number = 0
    while number < len(lines):
        opening = _OPENING.match(lines[number])
        if opening:
            end = next(
                (at for at in range(number + 1, len(lines)) if lines[at].strip() == opening["ticks"]), None
            )
            if end is None:
                raise FenceError(number + 1)
            yield Fence(number, end, len(opening["indent"]), opening["info"].strip())
            number = end
        number += 1
