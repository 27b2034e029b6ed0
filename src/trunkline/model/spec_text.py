"""Spec files: JSON or YAML text in, one JSON object per pipeline out.

A file may hold one spec, a list of specs, or several documents. Text that looks like JSON but is YAML only, such as a
list that ends with a comma, is read as YAML, as Pachyderm reads all files. Syntax errors are reported with line, column
and the line itself. A duplicate key is an error, because both formats would silently drop the first value. Fields are
checked elsewhere (``model.spec``).

The YAML library is imported on first use, because every command pays for imports.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from trunkline.errors import InvalidArgument
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE = re.compile(r"[ \t\r\n]*")
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]')
# A string that is never closed extends to the end: otherwise each quote in it would be tried as a start.
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_LONG_NUMBER = re.compile(rf'"(?:[^"\\]|\\.)*"?|(-?[0-9]{{{limits.SPEC_DIGITS + 1},}})', re.DOTALL)
#: Brackets within brackets of a spec in JSON: an object and a list for each level of inputs.
_JSON_DEPTH = 2 * limits.SPEC_DEPTH


def parse_specs(text: str, source: str) -> list[dict[str, Any]]:
    """Return the specs of a file.

    Args:
        text: its content.
        source: its name, for messages; a name ending in ``.yaml`` or ``.yml`` is YAML, one in ``.json`` is JSON,
            otherwise the first character decides; errors are those of that format.

    Raises:
        InvalidArgument: the file is not valid, has a duplicate key, or contains something that is not a spec.
    """
    text = text.removeprefix("\ufeff")
    documents = _yaml(text, source) if _is_yaml(text, source) else _json_or_yaml(text, source)
    specs: list[dict[str, Any]] = []
    for document in documents:
        for spec in document if isinstance(document, list) else [document]:
            if not isinstance(spec, dict):
                raise InvalidArgument(
                    f"{source} contains {_kind(spec)}, but a pipeline spec is expected; "
                    'write an object such as {"pipeline": {"name": "edges"}, …}'
                )
            specs.append(spec)
    if not specs:
        raise InvalidArgument(f"{source} contains no pipeline spec; write one in JSON or YAML")
    return specs


def parse_request(text: str) -> dict[str, Any]:
    """Return the one spec of a request, which is JSON.

    Raises:
        InvalidArgument: as ``parse_object``.
    """
    return parse_object(text, "the pipeline spec", '{"pipeline": {"name": "edges"}, …}')


def parse_object(text: str, source: str, example: str) -> dict[str, Any]:
    """Return the one JSON object in a text.

    Args:
        text: the text.
        source: what it is, for messages.
        example: an object as it should be, for messages.

    Raises:
        InvalidArgument: the text is not valid JSON, too long or nested too deep, has a duplicate key, or is not an
            object.
    """
    limits.check_text(text, limits.SPEC, source)
    return _single(list(_json(text.removeprefix("\ufeff"), source)), source, example)


def parse_document(text: str, source: str, example: str) -> dict[str, Any]:
    """Return the one object in a text, which is JSON or YAML.

    Args:
        text: the text.
        source: what it is, for messages.
        example: an object as it should be, for messages.

    Raises:
        InvalidArgument: as ``parse_object``.
    """
    limits.check_text(text, limits.SPEC, source)
    parse = _yaml if _is_yaml(text, "") else _json
    return _single(list(parse(text.removeprefix("\ufeff"), source)), source, example)


def _single(documents: list[object], source: str, example: str) -> dict[str, Any]:
    if len(documents) != 1 or not isinstance(documents[0], dict):
        count = len(documents)
        what = _kind(documents[0]) if count == 1 else f"{count} values" if count else "empty"
        raise InvalidArgument(f"{source} is {what}; send one object such as {example}")
    return documents[0]


def _is_yaml(text: str, source: str) -> bool:
    if source.endswith((".yaml", ".yml")):
        return True
    return not source.endswith(".json") and not text.lstrip().startswith(("{", "["))


def _json_or_yaml(text: str, source: str) -> Iterator[object]:
    try:
        return iter(list(_json(text, source)))
    except InvalidArgument as error:
        if not isinstance(error.__cause__, json.JSONDecodeError):
            raise
        try:
            return iter(list(_yaml(text, source)))
        except InvalidArgument:
            raise error from error.__cause__


# --- JSON ----------------------------------------------------------------------------------------------


class _DuplicateKey(Exception):
    """An object has a duplicate key."""


class _Constant(Exception):
    """A number that Python accepts but JSON does not."""


def _json(text: str, source: str) -> Iterator[object]:
    _check_json(text, source)
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    at = _skip_space(text, 0)
    while at < len(text):
        try:
            document, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _broken(source, "JSON", text, error.pos, error.msg) from error
        except _DuplicateKey as error:
            key, position = _first_duplicate(text, at)
            raise _broken(
                source, "JSON", text, position, f"key {key} is given twice in one object"
            ) from error
        except _Constant as error:
            position = next(token.start() for token in _CONSTANT.finditer(text, at) if token[1])
            raise _broken(
                source, "JSON", text, position, f'"{error}" is not a valid number in JSON'
            ) from error
        yield document
        at = _skip_space(text, end)


def _check_json(text: str, source: str) -> None:
    """Refuse text that would take the decoder too deep, or more than linear time.

    Raises:
        InvalidArgument: brackets are nested too deeply, or a number is too long.
    """
    depth = 0
    for token in _BRACKET.finditer(text):
        mark = token.group()
        if mark in "{[":
            depth += 1
            if depth > _JSON_DEPTH:
                raise _broken(
                    source, "JSON", text, token.start(), f"it is nested deeper than {_JSON_DEPTH} levels"
                )
        elif mark in "}]":
            depth -= 1
    number = next((token for token in _LONG_NUMBER.finditer(text) if token[1]), None)
    if number is not None:
        size = len(number[1])
        what = f"a number has {size:,} digits, the limit is {limits.SPEC_DIGITS}"
        raise _broken(source, "JSON", text, number.start(), what)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _DuplicateKey
    return members


def _no_constant(name: str) -> object:
    raise _Constant(name)


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _first_duplicate(text: str, at: int) -> tuple[str, int]:
    """Return the duplicate key of valid JSON and its position, which the decoder does not report."""
    objects: list[set[str] | None] = []  # per open bracket the keys so far; None for a list
    last = ("", at)
    for token in _TOKEN.finditer(text, at):
        mark = token.group()
        if mark in "{[":
            objects.append(set() if mark == "{" else None)
        elif mark in "}]":
            objects.pop()
        elif mark == ":":
            keys = objects[-1]
            name = json.loads(last[0])
            if keys is not None:
                if name in keys:
                    return last
                keys.add(name)
        elif mark != ",":
            last = (mark, token.start())
    raise AssertionError("no key is given twice")


# --- YAML ----------------------------------------------------------------------------------------------


def _yaml(text: str, source: str) -> Iterator[object]:
    import yaml

    try:
        for document in yaml.load_all(text, _loader()):  # a safe loader of our own
            if document is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = _position(text, mark.line, mark.column) if mark else 0
        raise _broken(
            source, "YAML", text, position, error.problem or error.context or "it cannot be read"
        ) from error
    except yaml.reader.ReaderError as error:
        raise InvalidArgument(f"{source} is broken YAML: {error.reason}; save it as UTF-8 text") from error
    except RecursionError as error:
        raise InvalidArgument(f"{source} is nested too deeply; write it flatter") from error


@cache
def _loader() -> Any:
    """Return a loader restricted to what JSON has: no dates, only strings as keys, no duplicate keys."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C library is optional in source builds

    class Loader(base):  # type: ignore[misc, valid-type]
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(
                        None, None, "a key must be a string", key.start_mark
                    )
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(
                        None, None, f'key "{key.value}" is given twice in one object', key.start_mark
                    )
                keys.add(key.value)
                if key.tag != "tag:yaml.org,2002:merge":
                    # Keys in JSON are strings: 8080: and yes: mean the strings.
                    key.tag = "tag:yaml.org,2002:str"
            return dict(super().construct_mapping(node, deep))

    # A date is a string in JSON, and protobuf reads it as one.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return Loader


# --- messages ------------------------------------------------------------------------------------------


def _position(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line):
        start = text.find("\n", start) + 1 or len(text)
    return min(start + column, len(text))


def _broken(source: str, form: str, text: str, position: int, what: str) -> InvalidArgument:
    position = min(position, len(text))
    line = text.count("\n", 0, position) + 1
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", start)
    excerpt = text[start : end if end >= 0 else len(text)].strip()
    excerpt = excerpt if len(excerpt) <= 100 else excerpt[:100] + "…"
    place = f"line {line}, column {position - start + 1}"
    what = what[:1].lower() + what[1:]
    return InvalidArgument(f"{source} is broken {form} at {place}: {what}; fix this line: {excerpt}")


def _kind(value: object) -> str:
    match value:
        case str():
            return f'the string "{value[:60]}"'
        case list():
            return "a list within a list"
        case None:
            return "null"
        case _:
            return f"the value {json.dumps(value)[:60]}"
