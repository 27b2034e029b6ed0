"""Reads spec files for commands."""

from __future__ import annotations

import sys
from typing import Any

from trunkline.errors import InvalidArgument


def read_specs(source: str) -> list[dict[str, Any]]:
    """Return the specs in a file, or on standard input for ``-``.

    Raises:
        InvalidArgument: it is not a valid spec file; the message names line and column.
    """
    from trunkline.model.spec_text import parse_specs

    if source.endswith(".jsonnet"):
        raise InvalidArgument(f"{source} is a jsonnet template; name it with --jsonnet")
    if source.startswith(("http://", "https://")):
        raise InvalidArgument(f"{source} is a URL; download the spec and name the file")
    try:
        if source == "-":
            return parse_specs(sys.stdin.read(), "standard input")
        with open(source, encoding="utf-8") as file:
            return parse_specs(file.read(), source)
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"{source} is not a spec: byte {error.start} is not UTF-8 text; name a JSON or YAML file"
        ) from error
