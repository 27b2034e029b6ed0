"""Writes Markdown: tables, code, pages, and the generated parts of pages that people write."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_PART = re.compile(r"<!-- generated: ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)
#: Columns of a block without a scroll bar.
_WIDTH = 80
NOTE = "<!-- Made by scripts/docs generate; do not edit. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table.

    Args:
        heads: of the columns.
        rows: their cells, in Markdown.
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def code(text: str) -> str:
    """Return a text as code within a line; empty for none."""
    return f"`{text}`" if text else ""


def block(value: object, reading: str = "") -> str:
    """Return a value as a block of JSON: on one line when it fits 80 columns.

    Args:
        value: to write.
        reading: how the test of the page reads it, such as ``spec`` or ``data``; empty for a block that it leaves out.
    """
    line = json.dumps(value, ensure_ascii=False)
    text = line if len(line) <= _WIDTH else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<!-- as: {reading} -->\n```json\n{text}\n```" if reading else fence(text)


def fence(text: str) -> str:
    """Return a block of text that is never run."""
    return f"```text\n{text}\n```"


def example(text: str, test: str) -> str:
    """Return a block with an example that a test runs.

    Args:
        text: the commands.
        test: the path of the test.
    """
    return f"<!-- run by: {test} -->\n```sh\n{text}\n```"


def page(title: str, description: str, body: str) -> str:
    """Return a whole generated page.

    Args:
        title: its heading.
        description: of the page, one sentence.
        body: what is below the heading, in Markdown.
    """
    head = f"---\nworld: none\ndescription: {json.dumps(description, ensure_ascii=False)}\n---\n\n{NOTE}\n\n"
    return f"{head}# {title}\n\n{body.strip()}\n"


def anchor(heading: str) -> str:
    """Return the name by which links reach a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def parts(text: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return [match[1] for match in _PART.finditer(text)]


def with_parts(text: str, make: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with its generated parts made anew.

    Args:
        text: of the page.
        make: what makes each part, by its name.

    Raises:
        KeyError: the page has a part of an unknown name.
    """
    return _PART.sub(
        lambda match: f"<!-- generated: {match[1]} -->\n\n{make[match[1]]().strip()}\n\n<!-- end -->", text
    )


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
