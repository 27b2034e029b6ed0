"""Output: tables for people, JSON, YAML and CSV for programs.

The first rows determine the widths of a table, and later rows are printed as they arrive, so that a list of a million
files is neither delayed nor held in memory. No table library is used: importing one takes longer than most commands.
"""

from __future__ import annotations

import os
import sys
from itertools import chain, islice
from time import time
from typing import TYPE_CHECKING, Any, TextIO

from trunkline.cli import colour, state_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from trunkline.cli.invocation import Invocation

ALIGNED_BY = 500  # rows that determine the widths of the columns
WIDEST = 64  # characters; maximum width of a column: a datum id
WIDTH = 80  # characters of a line of text
_NARROWEST = 24  # characters of prose beside other columns
SHORT_ID = 12  # characters of an id in a table, enough to tell ids apart


class Id(str):
    """An id in a cell: tables show its beginning, the other formats all of it."""

    __slots__ = ()


class Prose(str):
    """A sentence, which may be long: the text form breaks it into lines."""

    __slots__ = ()


def show_many(
    invocation: Invocation,
    messages: Iterable[Any],
    columns: Sequence[str],
    row: Callable[[Any], Sequence[str]],
    name: Callable[[Any], str],
    following: Iterable[Any] = (),
) -> None:
    """Print messages in the selected output format.

    Args:
        invocation: has the options of ``parsing.SHOWING``.
        messages: printed as they arrive.
        columns: headings of the table, with marks before them: ``>`` aligns to the right, ``~`` shows the column with
            ``-o wide`` only, ``@`` also with ``--all-projects``.
        row: returns the cells of a message.
        name: returns the text of ``-o name``.
        following: printed as they arrive, after the others, from which they do not differ in width.
    """
    form = form_of(invocation)
    if form in ("table", "wide", "csv"):
        positions = _selection(invocation, columns, every=form != "table")
        headings = [columns[position].lstrip("~@") for position in positions]

        def cells(message: Any) -> Sequence[str]:
            selected = [row(message)[position] for position in positions]
            return _shortened(selected) if form == "table" else selected

        if form == "csv":
            _csv(headings, map(cells, chain(messages, following)))
        else:
            table(headings, map(cells, messages), cut=form == "table", following=map(cells, following))
    elif form == "name":
        for message in chain(messages, following):
            print(name(message))
    else:
        documents(chain(messages, following), form, invocation.options.jq)


def _selection(invocation: Invocation, columns: Sequence[str], *, every: bool) -> list[int]:
    """Return the positions of the columns to show.

    Args:
        invocation: may have the options ``--columns`` and ``--all-projects``.
        columns: headings with marks.
        every: also those of ``-o wide``.

    Raises:
        UsageError: a column that ``--columns`` names does not exist.
    """
    if invocation.options.columns:
        names = [column.lstrip("~@>").lower() for column in columns]
        selected = []
        for text in invocation.options.columns.split(","):
            if text.strip().lower() not in names:
                from trunkline.cli.exit_codes import UsageError

                raise UsageError(
                    f'unknown column "{text.strip()}" in --columns; the columns are: {", ".join(names)}'
                )
            selected.append(names.index(text.strip().lower()))
        return selected
    hidden = "" if every else "~" if getattr(invocation.options, "all_projects", False) else "~@"
    return [position for position, column in enumerate(columns) if not column.startswith(tuple(hidden))]


def _shortened(cells: Sequence[str]) -> Sequence[str]:
    return [cell[:SHORT_ID] if isinstance(cell, Id) else cell for cell in cells]


def _csv(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(heading.lstrip(">").lower() for heading in headings)
    writer.writerows(rows)


def show_one(
    invocation: Invocation,
    message: Any,
    fields: Callable[[Any], Sequence[tuple[str, str]]],
    name: str,
    following: Iterable[Any] = (),
) -> None:
    """Print one message in the selected output format.

    Args:
        invocation: has the options of ``parsing.SHOWING``.
        message: to print.
        fields: returns label and value of each line of the text form; lines without a value are omitted.
        name: text of ``-o name``.
        following: the message as it becomes, printed in the same way after an empty line.
    """
    _show_once(invocation, message, fields, name)
    for later in following:
        if form_of(invocation) in ("table", "wide", "csv"):
            print()
        _show_once(invocation, later, fields, name)


def _show_once(
    invocation: Invocation, message: Any, fields: Callable[[Any], Sequence[tuple[str, str]]], name: str
) -> None:
    form = form_of(invocation)
    if form in ("table", "wide"):
        lines = [(label, value) for label, value in fields(message) if value]
        width = max((len(label) for label, _ in lines), default=0)
        for label, value in lines:
            first, *others = _broken(value, width + 2)
            print(f"{label + ':' if label else '':{width + 1}} {_coloured(first, value)}")
            for other in others:
                print(f"{'':{width + 2}}{other}")
    elif form == "csv":
        lines = [(label, value) for label, value in fields(message) if value]
        _csv([label for label, _ in lines], [[value for _, value in lines]])
    elif form == "name":
        print(name)
    else:
        documents([message], form, invocation.options.jq)


def _broken(text: str, indent: int) -> Sequence[str]:
    """Return the lines of a text that begins so many characters from the left; only prose has several."""
    return lines_of(text, max(WIDTH - indent, _NARROWEST)) if isinstance(text, Prose) else [text]


def lines_of(text: str, width: int = WIDTH) -> Sequence[str]:
    """Break a text into lines, between words.

    Args:
        text: a sentence.
        width: characters of a line; a longer word has a line of its own.
    """
    if len(text) <= width:
        return [text]
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def form_of(invocation: Invocation) -> str:
    """Return the selected output format."""
    options = invocation.options
    json_form = options.raw or options.jq
    form: str = "json" if json_form and options.output in (None, "table") else options.output or "table"
    return form


def documents(messages: Iterable[Message], form: str, expression: str = "") -> None:
    """Print messages as JSON (indented, or a line each for ``jsonl``) or YAML documents, one after the other.

    Args:
        messages: printed as they arrive.
        form: ``json``, ``jsonl`` or ``yaml``.
        expression: in jq's language; what it yields for each message is printed, strings without quotes.

    Raises:
        UsageError: the expression is not valid, or cannot be applied to a message.
    """
    from google.protobuf.json_format import MessageToDict

    plain = (MessageToDict(message, preserving_proto_field_name=True) for message in messages)
    values(_filtered(plain, expression) if expression else plain, form)


def _filtered(plain: Iterable[Any], expression: str) -> Iterator[Any]:
    import jq

    from trunkline.cli.exit_codes import UsageError

    try:
        program = jq.compile(expression)
        for value in plain:
            yield from program.input_value(value)
    except ValueError as error:
        raise UsageError(f"--jq {expression}: {' '.join(str(error).split())}") from error


def values(plain: Iterable[Any], form: str) -> None:
    """Print plain values as ``documents`` does messages."""
    for position, value in enumerate(plain):
        if form == "yaml":
            import yaml

            print("---\n" * bool(position), end="")
            print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
        else:
            import json

            text = value if isinstance(value, str) else None
            print(text or json.dumps(value, indent=2 if form == "json" else None, ensure_ascii=False))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    out: TextIO | None = None,
    *,
    cut: bool = False,
    following: Iterable[Sequence[str]] = (),
) -> None:
    """Print aligned rows under headings.

    Args:
        columns: headings; ``>`` before one aligns it to the right.
        rows: cells, printed as they arrive.
        out: standard output when None.
        cut: cut the last column where a terminal's line ends.
        following: further rows, which the widths of the columns do not wait for.
    """
    out = out or sys.stdout
    limit = os.get_terminal_size(out.fileno()).columns if cut and out.isatty() else 0
    for line in table_lines(columns, rows, coloured=colour.is_wanted(out), limit=limit, following=following):
        print(line, file=out)


def table_lines(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    coloured: bool,
    limit: int = 0,
    following: Iterable[Sequence[str]] = (),
) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        columns: headings; ``>`` before one aligns it to the right.
        rows: cells.
        coloured: whether to colour states.
        limit: characters of a line, beyond which the last cell is cut; 0: none is.
        following: further rows, which the widths of the columns do not wait for.
    """
    rows = iter(rows)
    first = list(islice(rows, ALIGNED_BY))
    headings = [column.lstrip(">") for column in columns]
    widths = [min(WIDEST, max(map(len, cells))) for cells in zip(headings, *first, strict=True)]
    for position, cells in enumerate(chain([headings], first, rows, following)):
        *others, last = cells
        before = sum(max(len(cell), width) + 2 for cell, width in zip(others, widths, strict=False))
        last, *more = _broken(last, before)
        if limit:
            last = _cut(last, limit - before)
        yield "  ".join(
            _aligned(cell, width, column.startswith(">"), coloured and position > 0)
            for cell, width, column in zip((*others, last), widths, columns, strict=True)
        ).rstrip()
        for line in more:
            yield f"{'':{before}}{line}"


def _cut(text: str, room: int) -> str:
    """Shorten a text to so many characters, but never to fewer than eight."""
    return text if len(text) <= max(room, 8) else f"{text[: max(room, 8) - 1]}…"


def _aligned(cell: str, width: int, right: bool, coloured: bool) -> str:
    text = f"{cell:>{width}}" if right else f"{cell:{width}}"
    return _coloured(text, cell) if coloured else text


def _coloured(text: str, word: str) -> str:
    """Colour the state at the start of ``word``, without changing the width of the column."""
    state = word.split(" ", 1)[0].split(":", 1)[0]
    number = state_colours.escape_number(state)
    if not number or not colour.is_wanted(sys.stdout):
        return text
    return text.replace(state, f"\033[{number}m{state}\033[0m", 1)


# Text forms of values -------------------------------------------------------------------------------------------


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as ``1 commit`` or ``12 commits``.

    Args:
        number: how many.
        noun: for one of them.
    """
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def size(count: int) -> str:
    """Return bytes for people: ``1.5 MiB``."""
    if count < 1024:
        return f"{count} B"
    value, units = count / 1024, iter(("KiB", "MiB", "GiB", "TiB", "PiB"))
    while value >= 999.95:
        value /= 1024
        next(units)
    return f"{value:.1f} {next(units)}"


def span(seconds: float) -> str:
    """Return a length of time for people.

    >>> span(0.0421), span(0.25), span(12.3), span(250), span(7500), span(270_000)
    ('42 ms', '0.25 s', '12.3 s', '4 min 10 s', '2 h 5 min', '3 d 3 h')
    """
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def money(dollars: float) -> str:
    """Return US dollars: three significant digits, from one dollar on cents; ``-`` when no price is known.

    >>> money(0.23304), money(12.5), money(0.00012), money(0.0)
    ('0.233', '12.50', '0.00012', '-')
    """
    if not dollars:
        return "-"
    if dollars >= 1:
        return f"{dollars:,.2f}"
    return f"{float(f'{dollars:.3g}'):.10f}".rstrip("0").rstrip(".") or "0"


def duration(value: Duration) -> str:
    """Return a protobuf duration for people."""
    return span(value.seconds + value.nanos / 1e9)


def seconds(moment: Timestamp) -> float:
    """Return a protobuf time as seconds since the epoch."""
    return moment.seconds + moment.nanos / 1e9


def when(moment: Timestamp, *, whole: bool, now: float | None = None) -> str:
    """Return a time as text; ``-`` when unset.

    Args:
        moment: the time.
        whole: whether to return RFC 3339 instead of an age such as ``5 minutes ago``.
        now: seconds since the epoch; the current time when None.
    """
    if not moment.seconds and not moment.nanos:
        return "-"
    return stamp(seconds(moment)) if whole else age((now or time()) - seconds(moment))


def stamp(moment: float) -> str:
    """Return a time as RFC 3339 in UTC, to the millisecond."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(passed: float) -> str:
    """Return how long ago something was: ``now``, ``5 minutes ago``."""
    if passed < 1:
        return "now"
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if passed >= length:
            count = int(passed // length)
            return f"{count} {unit}{'s' * (count != 1)} ago"
    return "now"


def one_line(text: str, longest: int = 50) -> str:
    """Return the first line of ``text``, shortened."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
