"""The pages of commands, made from the tables of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs_reference.markdown import code, example, fence, page, table
from trunkline.cli import parsing
from trunkline.cli.command_table import TABLE
from trunkline.cli.help import overview
from trunkline.cli.help import pages as help_pages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.cli.parsing import Argument, Command

#: Runs the examples of all commands.
EXAMPLES_TEST = "tests/e2e/test_examples_of_help.py"
FOLDER = "docs/reference/cli"


def file_name(command: str) -> str:
    """Return the name of the page of a command."""
    return f"{command.replace(' ', '-')}.md"


def pages() -> dict[str, str]:
    """Return the pages of all commands by their paths."""
    return {f"{FOLDER}/{file_name(name)}": _page(name, parsing.load(name)) for name in TABLE}


def overview_table() -> str:
    """Return all commands by group, with links to their pages."""
    lines: list[str] = []
    listed: set[str] = set()
    for title, meaning, words in overview.GROUPS:
        names = [name for word in words.split() for name in _about(word) if name not in listed]
        listed.update(names)
        if names:
            lines += [f"### {title}", "", f"{meaning[0].upper()}{meaning[1:]}.", ""]
            lines += [table(("Command", "What it does"), map(_row, names)), ""]
    if rest := [name for name in TABLE if name not in listed]:
        raise ValueError(f"cli.overview.GROUPS lacks a group for: {', '.join(rest)}")
    return "\n".join(lines)


def common_options() -> str:
    """Return the options that every command has."""
    return table(("Option", "Meaning"), _rows(parsing.COMMON))


def _about(word: str) -> Iterable[str]:
    """Yield the commands about a noun of the overview, or that begin with a word of it, such as ``config``."""
    words = {each for _, _, names in overview.GROUPS for each in names.split()}
    for name in TABLE:
        first, *others = name.split()
        if first == word or (first not in words and word in others):
            yield name


def _row(name: str) -> tuple[str, str]:
    return f"[`{name}`]({file_name(name)})", TABLE[name][1]


def _page(name: str, command: Command) -> str:
    usage = help_pages.usage(name, command).removeprefix("usage: ")
    lines = [TABLE[name][1], "", fence(usage), ""]
    if command.examples:
        lines += ["## Examples", ""]
        for line, meaning in command.examples:
            lines += [
                f"{meaning[:1].upper()}{meaning[1:].rstrip('.')}:",
                "",
                example(line, EXAMPLES_TEST),
                "",
            ]
    for title, positional in (("Arguments", True), ("Options", False)):
        chosen = [each for each in command.arguments if each.is_positional == positional]
        if chosen:
            lines += [f"## {title}", "", table((title[:-1], "Meaning"), _rows(chosen)), ""]
    lines += [
        "[Common options](index.md#common-options) and [exit codes](../exit-codes.md) are those of every command.",
        "",
    ]
    if related := _related(name):
        lines += ["Related: " + ", ".join(f"[`{each}`]({file_name(each)})" for each in related) + ".", ""]
    lines.append("Next: [all commands](index.md).")
    return page(f"trunkline {name}", TABLE[name][1], "\n".join(lines))


def _rows(arguments: Iterable[Argument]) -> list[tuple[str, str]]:
    return [(code(_syntax(each)), _meaning(each)) for each in arguments]


def _syntax(argument: Argument) -> str:
    value = "VALUE" if argument.settings.get("choices") and not argument.settings.get("metavar") else ""
    value = (value or argument.placeholder).replace("|", " or ")
    return value if argument.is_positional else f"{', '.join(argument.names)} {value}".strip()


def _meaning(argument: Argument) -> str:
    settings = argument.settings
    text = str(settings.get("help", ""))
    if choices := settings.get("choices"):
        text += f"; one of {', '.join(code(str(choice)) for choice in choices)}"
    if settings.get("required"):
        text += "; required"
    return text


def _related(name: str) -> list[str]:
    """Return up to six commands with the same noun."""
    noun = name.split()[-1]
    return [each for each in TABLE if each != name and " " in each and each.split()[-1] == noun][:6]
