"""The help of a command: usage, summary, examples, arguments and options.

Made from ``Command``, not by argparse, whose layout changes between versions of Python.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from trunkline.cli.command_table import TABLE
from trunkline.cli.overview import WIDTH
from trunkline.cli.parsing import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.cli.parsing import Argument, Command

#: Characters before the description of an option.
_INDENT = 26


def page(name: str, command: Command) -> str:
    """Return the help of a command.

    Args:
        name: of the command, such as ``put file``.
        command: its arguments and examples.
    """
    lines = [*_wrapped(usage(name, command), "       "), "", *_wrapped(TABLE[name][1])]
    if command.examples:
        lines += ["", "Examples:"]
        for example, meaning in command.examples:
            lines += [f"  {example}", *_wrapped(meaning, "      ", "      ")]
    for title, positional in (("Arguments", True), ("Options", False)):
        rows = [
            (syntax(argument), str(argument.settings.get("help", "")))
            for argument in command.arguments
            if is_positional(argument) == positional
        ]
        if rows:
            lines += ["", f"{title}:", *table(rows)]
    names = " ".join(argument.names[-1] for argument in COMMON)
    lines += ["", *_wrapped(f'Common options: {names}; see "trunkline help options"', "  ")]
    return "\n".join(lines)


def usage(name: str, command: Command) -> str:
    """Return the first line of the help of a command."""
    words = [f"usage: trunkline {name}"]
    words += [_place(argument) for argument in command.arguments if is_positional(argument)]
    words += [
        f"{argument.names[0]} {placeholder(argument)}"
        for argument in command.arguments
        if argument.settings.get("required")
    ]
    return " ".join([*words, "[OPTIONS]"])


def is_positional(argument: Argument) -> bool:
    """Tell whether an argument has a place instead of a name."""
    return not argument.names[0].startswith("-")


def syntax(argument: Argument) -> str:
    """Return an argument as it is written: ``-f, --file FILE``, or its placeholder for one without a name."""
    if is_positional(argument):
        return placeholder(argument)
    return " ".join(filter(None, (", ".join(argument.names), placeholder(argument))))


def placeholder(argument: Argument) -> str:
    """Return what stands for the value of an argument; empty when it takes none."""
    settings = argument.settings
    if str(settings.get("action", "")).startswith("store_"):
        return ""
    if metavar := settings.get("metavar"):
        return str(metavar)
    if choices := settings.get("choices"):
        return "|".join(map(str, choices))
    return str(settings.get("dest", argument.names[-1])).lstrip("-").replace("-", "_").upper()


def table(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines of terms with their descriptions.

    Args:
        rows: term and description of each.
    """
    lines = []
    for term, description in rows:
        head, indent = f"  {term}", " " * _INDENT
        if len(head) < _INDENT - 1:
            lines += _wrapped(description, indent, f"{head:{_INDENT}}") or [head]
        else:
            lines += [*_wrapped(head.strip(), "    ", "  "), *_wrapped(description, indent, indent)]
    return lines


def _place(argument: Argument) -> str:
    word = placeholder(argument)
    forms = {"?": f"[{word}]", "+": f"{word} …", "*": f"[{word} …]"}
    return forms.get(str(argument.settings.get("nargs", "")), word)


def _wrapped(text: str, later: str = "", first: str = "") -> list[str]:
    """Return the lines of a text.

    Args:
        text: to wrap.
        later: precedes each line but the first.
        first: precedes the first line.
    """
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
