"""Reads rows from the content of CSV and JSON files, piece by piece.

CSV is that of RFC 4180, with one addition: an empty field is NULL (None) without quotes and an empty text with them,
as Pachyderm and PostgreSQL read it. The standard library's reader cannot tell them apart before Python 3.13.
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|$)')


class Row(NamedTuple):
    """A row of a file."""

    #: Of the file, from 1, where the row begins.
    line: int
    #: By position (CSV) or by name (JSON).
    values: list[str | None] | dict[str, Any]


def csv_rows(pieces: Iterable[bytes]) -> Iterator[Row]:
    """Yield the rows of a CSV file, its header included; empty lines are left out.

    Raises:
        InvalidArgument: it is not CSV; the message begins with the line.
    """
    record = ""
    quotes = 0
    begun = 1
    for number, line in enumerate(_lines(pieces), 1):
        if not record:
            begun = number
        record += line
        quotes += line.count('"')
        _check_length(record, begun)
        if quotes % 2:
            continue
        text = record.removesuffix("\n").removesuffix("\r")
        if text:
            yield Row(begun, _fields(text, begun))
        record, quotes = "", 0
    if record:
        raise InvalidArgument(f"line {begun}: a quoted field does not end; close its quotes")


def _fields(text: str, line: int) -> list[str | None]:
    if '"' not in text:
        return [field or None for field in text.split(",")]
    values: list[str | None] = []
    position = 0
    while True:
        match = _FIELD.match(text, position)
        if match is None:
            raise InvalidArgument(
                f"line {line}, field {len(values) + 1}: quotes in the middle of a field; put the whole field in"
                " quotes and double those in it"
            )
        quoted, plain, end = match.groups()
        values.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        if not end:
            return values
        position = match.end()


def json_rows(pieces: Iterable[bytes]) -> Iterator[Row]:
    """Yield the objects of a JSON file, which follow each other with or without space between them.

    Raises:
        InvalidArgument: it is not JSON, or something else than an object; the message begins with the line.
    """
    decoder = json.JSONDecoder(parse_float=Decimal)
    text = ""
    begun = 1
    #: Characters at which decoding is tried again: an object over many lines is not read anew with each of them.
    enough = 0
    for line in _lines(pieces):
        text += line
        _check_length(text, begun)
        if len(text) < enough:
            continue
        rows, text, begun = _objects(decoder, text, begun)
        yield from rows
        enough = 2 * len(text)
    rows, text, begun = _objects(decoder, text, begun)
    yield from rows
    if text:
        raise InvalidArgument(
            f"line {begun}: what begins here is not a JSON object, or does not end; correct it"
        )


def _objects(decoder: json.JSONDecoder, text: str, line: int) -> tuple[list[Row], str, int]:
    """Return the complete objects at the beginning of a text, what follows them, and its line."""
    rows: list[Row] = []
    while True:
        stripped = text.lstrip()
        line += text[: len(text) - len(stripped)].count("\n")
        text = stripped
        if not text:
            return rows, "", line
        if text[0] != "{":
            raise InvalidArgument(
                f"line {line}: {text[:20]!r} is not a JSON object; write one object for each row"
            )
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            return rows, text, line
        except RecursionError:
            raise InvalidArgument(f"line {line}: the values are nested too deeply; flatten them") from None
        rows.append(Row(line, value))
        line += text.count("\n", 0, end)
        text = text[end:]


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a text in UTF-8, with their ends."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest: list[str] = []
    size = 0
    number = 1
    for piece in _ended(pieces):
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise InvalidArgument(
                f"line {number} or later: the file is not UTF-8 text; convert it"
            ) from error
        lines = text.split("\n")
        for line in lines[:-1]:
            yield "".join((*rest, line, "\n"))
            rest.clear()
            size = 0
            number += 1
        if lines[-1]:
            rest.append(lines[-1])
            size += len(lines[-1])
            if size > limits.EGRESS_RECORD:
                raise limits.beyond(f"line {number}", size, limits.EGRESS_RECORD, "shorten it")
    if rest:
        yield "".join(rest)


def _ended(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces that are not empty, then an empty one."""
    for piece in pieces:
        if piece:
            yield piece
    yield b""


def _check_length(record: str, line: int) -> None:
    if len(record) > limits.EGRESS_RECORD:
        raise limits.beyond(
            f"the row that begins in line {line}", len(record), limits.EGRESS_RECORD, "shorten it"
        )
