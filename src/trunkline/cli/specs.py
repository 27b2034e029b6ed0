"""Spec files, for every command that takes one."""

from __future__ import annotations

import sys
from typing import Any


def read_specs(source: str) -> list[dict[str, Any]]:
    """Return the specs in a file, or on standard input for ``-``.

    Raises:
        InvalidArgument: it is broken; the message says in which line and column.
    """
    from trunkline.model.spec_text import parse_specs

    if source == "-":
        return parse_specs(sys.stdin.read(), "standard input")
    with open(source, encoding="utf-8") as file:
        return parse_specs(file.read(), source)
