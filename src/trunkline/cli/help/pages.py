"""The help of commands (usage, examples, arguments, options), of topics and of the fields of pipeline specs.

Made from the tables that the commands use.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from trunkline import handbook_pages
from trunkline.cli import config
from trunkline.cli.command_table import TABLE
from trunkline.cli.help.overview import WIDTH
from trunkline.cli.parsing import COMMON
from trunkline.client.address import parse
from trunkline.errors import TrunklineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.cli.parsing import Argument, Command

#: First line of the page about common options.
OPTIONS = "Options of all commands. They may stand before the words of a command, too."
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
            if argument.is_positional == positional
        ]
        if rows:
            lines += ["", f"{title}:", *table(rows)]
    names = " ".join(argument.names[-1] for argument in COMMON)
    lines += ["", *_wrapped(f'Common options: {names}; see "trunkline help options"', "  ")]
    lines.append(handbook(handbook_pages.page_of_command(*name.split())))
    return "\n".join(lines)


def handbook(page: str = handbook_pages.INDEX) -> str:
    """Return the line that names a page of the handbook.

    Args:
        page: of ``handbook_pages``.
    """
    return f"Handbook: {handbook_address(page)}"


def handbook_address(page: str) -> str:
    """Return the address of a page of the handbook, as the server in use serves it.

    Args:
        page: of ``handbook_pages``.
    """
    try:
        target = config.target()
        address = parse(target.address)
    except TrunklineError:  # help does not depend on a valid configuration
        target, address = config.Target(config.DEFAULT_ADDRESS, "", "default"), parse(config.DEFAULT_ADDRESS)
    tls = bool(target.ca_files or target.ca) if address.tls is None else address.tls
    return handbook_pages.address_of(str(address), page, tls=tls)


def topic(words: list[str]) -> str | None:
    """Return the page of a topic; None when it is the name of none.

    Args:
        words: those after ``help``, such as ``output`` or ``spec.input.pfs.glob``.

    Raises:
        NotFound: a pipeline spec has no such field.
    """
    word = words[0] if len(words) == 1 else ""
    if word == "options":
        return "\n".join([OPTIONS, "", *table([(syntax(each), each.settings["help"]) for each in COMMON])])
    if word == "spec":
        return f"{_fields()}\n\n{handbook(handbook_pages.SPEC)}"
    if word.startswith("spec."):
        from trunkline.model import spec_help

        field = spec_help.look_up(word.removeprefix("spec."))
        place = handbook_pages.page_of_field(spec_help.section(field.path))
        return f"{spec_help.as_text(field)}\n\n{handbook(place)}"

    from trunkline.cli.help.topics import TOPICS

    if (page := TOPICS.get(word)) is None:
        return None
    lines = _wrapped(page.summary)
    for section in page.sections:
        lines += ["", f"{section.title}:", *_wrapped(section.text, "  ", "  ")]
        if section.text and section.rows:
            lines.append("")
        lines += table(section.rows)
    return "\n".join([*lines, "", handbook(handbook_pages.page_of_topic(word))])


def _fields() -> str:
    """Return the page about the fields of a pipeline spec: those of the spec itself."""
    from trunkline.model import spec_help

    fields = [field for field in spec_help.every_field() if "." not in field.path]
    lines = _wrapped(
        'Fields of a pipeline spec, in JSON or YAML. "trunkline help spec.input.pfs.glob" describes one field, with its'
        " type, default, range and an example."
    )
    return "\n".join(
        [*lines, "", *table([(field.path, field.summary.replace("`", '"')) for field in fields])]
    )


def usage(name: str, command: Command) -> str:
    """Return the first line of the help of a command."""
    words = [f"usage: trunkline {name}"]
    words += [_place(argument) for argument in command.arguments if argument.is_positional]
    words += [
        f"{argument.names[0]} {argument.placeholder}"
        for argument in command.arguments
        if argument.settings.get("required")
    ]
    return " ".join([*words, "[OPTIONS]"])


def syntax(argument: Argument) -> str:
    """Return an argument as it is written: ``-f, --file FILE``, or its placeholder for one without a name."""
    if argument.is_positional:
        return argument.placeholder
    return " ".join(filter(None, (", ".join(argument.names), argument.placeholder)))


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
    word = argument.placeholder
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
