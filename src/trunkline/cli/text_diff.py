"""Compares the content of files line by line, as ``diff -u`` does.

Binary files, and long ones, are named with their sizes instead.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli import colour, output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

#: Larger files, and files with more lines, are not compared: difflib takes seconds for them.
MOST_BYTES, MOST_LINES = 1 << 20, 20_000
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_TABLES = (".parquet", ".arrow", ".feather", ".xlsx", ".orc", ".avro")
_COLOURS = {"+": "32", "-": "31", "@": "36"}


class Side(NamedTuple):
    """A version of a file; without ``read`` there is none."""

    name: str
    size: int = 0
    read: Callable[[], bytes] | None = None


def lines(old: Side, new: Side) -> Iterator[str]:
    """Yield the lines that show what changed in a file.

    Args:
        old: before.
        new: after.
    """
    texts = [_text(side) for side in (old, new)]
    names = [side.name if side.read else "/dev/null" for side in (old, new)]
    if texts[0] is None or texts[1] is None:
        sizes = " to ".join(output.size(side.size) if side.read else "nothing" for side in (old, new))
        yield f"{_kind(new.name)} {new.name} changed: {sizes}"
        return
    before, after = (text.splitlines(keepends=True) for text in texts if text is not None)
    if len(before) + len(after) > MOST_LINES:
        yield f"text {new.name} changed: {len(before):,} to {len(after):,} lines"
        return
    if not before and not after:
        yield f"{'added' if new.read else 'deleted'} empty file {new.name}"
    for line in difflib.unified_diff(before, after, names[0], names[1]):
        yield line.rstrip("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _text(side: Side) -> str | None:
    """Return the content as text; None when it is none, or too much."""
    if side.read is None:
        return ""
    if side.size > MOST_BYTES or side.name.lower().endswith(_IMAGES + _TABLES):
        return None
    content = side.read()
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _kind(name: str) -> str:
    if name.lower().endswith(_IMAGES):
        return "image"
    return "table" if name.lower().endswith(_TABLES) else "binary or large file"


def coloured(line: str, out: TextIO) -> str:
    """Return a line of a diff in its colour, where the stream is to have colours.

    Args:
        line: of ``lines``.
        out: that it is written to.
    """
    if not colour.is_wanted(out):
        return line
    code = "1" if line.startswith(("+++", "---")) else _COLOURS.get(line[:1], "")
    return f"\033[{code}m{line}\033[0m" if code else line
