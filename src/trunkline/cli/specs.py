"""Reads spec files for commands."""

from __future__ import annotations

import sys
from typing import Any

from trunkline.errors import InvalidArgument, Unavailable

#: Seconds without a byte of a URL.
_PATIENCE = 30.0


def read_specs(source: str) -> list[dict[str, Any]]:
    """Return the specs in a file, at a URL, or on standard input for ``-``.

    Raises:
        InvalidArgument: it is not a valid spec file; the message names line and column.
    """
    from trunkline.model.spec_text import parse_specs

    if source.endswith(".jsonnet"):
        raise InvalidArgument(f"{source} is a jsonnet template; name it with --jsonnet")
    return parse_specs(read_text(source), "standard input" if source == "-" else source)


def read_text(source: str) -> str:
    """Return the text of a file, at a URL, or on standard input for ``-``.

    Raises:
        InvalidArgument: it is not text.
    """
    try:
        if source.startswith(("http://", "https://")):
            return _fetched(source)
        if source == "-":
            return sys.stdin.read()
        with open(source, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            f"{source} is not a spec: byte {error.start} is not UTF-8 text; name a JSON or YAML file"
        ) from error


def _fetched(url: str) -> str:
    """Return the text at a URL.

    Raises:
        Unavailable: it cannot be fetched.
        InvalidArgument: it is too long, or not UTF-8.
    """
    from urllib.error import URLError
    from urllib.request import urlopen

    from trunkline.model import limits

    try:
        with urlopen(url, timeout=_PATIENCE) as response:
            data = response.read(limits.SPEC + 1)
    except (URLError, OSError, ValueError) as error:
        raise Unavailable(f"{url} cannot be fetched: {error}; check the URL") from error
    limits.check_count(len(data), limits.SPEC, url, "split it")
    return str(data, "utf-8")
