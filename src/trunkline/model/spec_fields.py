"""Reads classes of frozen values from JSON and writes them back; each field is declared once.

A message class is a dataclass whose fields are declared by the functions below (``text``, ``flag``, …).
Reading is strict: an unknown field, a wrong type or a duplicate field is an error that names the place
as the user wrote it (``input.pfs.golb``) and the nearest valid name. As in protobuf's JSON form, snake
and camel case are both accepted, 64-bit integers may be strings, and null means not set.

Types are checked here, meaning in ``model.spec_rules``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

from trunkline.errors import InvalidArgument
from trunkline.model import limits
from trunkline.model.durations import format_duration, parse_duration

_INT64 = range(-(2**63), 2**63)
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_WORD = re.compile(r"_([a-z0-9])")

M = TypeVar("M")


class _Kind(Protocol):
    """The JSON form of one field's values."""

    @property
    def title(self) -> str: ...

    def read(self, value: object, where: str) -> Any: ...

    def write(self, value: Any) -> object: ...

    def keyed(self, value: object, where: str) -> object:
        """Return ``value`` with snake-case keys, otherwise unchanged."""


# --- declaring fields ----------------------------------------------------------------------------------


def text(*aliases: str) -> Any:
    """Declare a string; empty when not set."""
    return _declare(_Text(), "", aliases)


def flag() -> Any:
    """Declare a boolean; false when not set."""
    return _declare(_Flag(), False)


def integer() -> Any:
    """Declare a 64-bit integer that may be set to zero; None when not set."""
    return _declare(_Integer(), None)


def count() -> Any:
    """Declare a 64-bit integer; zero when not set."""
    return _declare(_Integer(), 0)


def number() -> Any:
    """Declare a floating-point number; None when not set."""
    return _declare(_Number(), None)


def span() -> Any:
    """Declare a duration in seconds; None when not set."""
    return _declare(_Span(), None)


def choice(*names: str) -> Any:
    """Declare an enum by its names in wire order; the first when not set."""
    return _declare(_Choice(names), names[0])


def message(cls: Callable[[], type]) -> Any:
    """Declare a message; None when not set. The class is passed as a function because inputs contain inputs."""
    return _declare(_Message(cls), None)


def texts() -> Any:
    """Declare a list of strings."""
    return _declare(_Many(_Text()), ())


def integers() -> Any:
    """Declare a list of integers."""
    return _declare(_Many(_Integer()), ())


def messages(cls: Callable[[], type]) -> Any:
    """Declare a list of messages."""
    return _declare(_Many(_Message(cls)), ())


def mapping() -> Any:
    """Declare a map from strings to strings."""
    return field(default_factory=dict, metadata={"kind": _Mapping(), "aliases": ()})


def ignored() -> Any:
    """Declare a field of the API whose value the server sets itself."""
    return _declare(_Ignored(), None)


def _declare(kind: _Kind, default: object, aliases: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"kind": kind, "aliases": aliases})


# --- reading and writing -------------------------------------------------------------------------------


def read(cls: type[M], obj: object, where: str = "") -> M:
    """Read a message.

    Args:
        cls: its class.
        obj: JSON as ``json.loads`` returns it.
        where: the place of ``obj`` in the user's text; empty at the top.

    Raises:
        InvalidArgument: an unknown field, a duplicate field, a wrong type or nesting that is too deep.
    """
    kinds = _kinds(cast("Any", cls))
    values: dict[str, Any] = {}
    for name, value in keyed_shallow(cls, obj, where).items():
        if value is not None:
            values[name] = kinds[name].read(value, _join(where, name))
    return cls(**values)


def write(obj: object) -> dict[str, object]:
    """Return a message as JSON: snake case, without fields that have their default value."""
    written: dict[str, object] = {}
    for f in fields(cast("Any", obj)):
        value = getattr(obj, f.name)
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        if value != default:
            written[f.name] = cast("_Kind", f.metadata["kind"]).write(value)
    return {name: value for name, value in written.items() if value is not None}


def keyed(cls: type[Any], obj: object, where: str = "") -> dict[str, object]:
    """Return JSON of a message with all field names in snake case; values and nulls are unchanged.

    Args:
        cls: the message's class.
        obj: JSON as ``json.loads`` returns it.
        where: the place of ``obj`` in the user's text; empty at the top.

    Raises:
        InvalidArgument: an unknown or duplicate field.
    """
    kinds = _kinds(cast("Any", cls))
    return {
        name: None if value is None else kinds[name].keyed(value, _join(where, name))
        for name, value in keyed_shallow(cls, obj, where).items()
    }


def keyed_shallow(cls: type[Any], obj: object, where: str) -> dict[str, object]:
    """Like ``keyed``, for the message's own fields only.

    Args:
        cls: the message's class.
        obj: JSON as ``json.loads`` returns it.
        where: the place of ``obj`` in the user's text; empty at the top.

    Raises:
        InvalidArgument: an unknown or duplicate field, or ``obj`` is not an object.
    """
    if not isinstance(obj, Mapping):
        raise _wrong(where or "the spec", obj, "an object with fields")
    if where.count(".") > limits.SPEC_DEPTH:
        raise InvalidArgument(
            f"{where[:60]}… is nested deeper than {limits.SPEC_DEPTH} levels; write it flatter"
        )
    names = _names(cast("Any", cls))
    members: dict[str, object] = {}
    for key, value in obj.items():
        name = names.get(key)
        if name is None:
            raise _unknown(cls, str(key), where)
        if name in members:
            raise InvalidArgument(
                f'"{_join(where, name)}" is given twice, in snake and in camel case; keep one'
            )
        members[name] = value
    return members


class Declared(NamedTuple):
    """What is declared of a field."""

    name: str
    #: string, boolean, integer, number, duration, enum, object, map of strings, ignored, or a list of one of them.
    kind: str
    #: The kind of the members of a list; empty for other kinds.
    element: str
    #: When it is not set; None when that differs from every value.
    default: object
    #: The class of its objects; None when it has no fields.
    message: type | None
    #: Other accepted spellings, besides the name in camel case.
    aliases: tuple[str, ...]
    #: Of an enum.
    choices: tuple[str, ...]


def declared(cls: type[Any]) -> list[Declared]:
    """Return what is declared of each field of a message class, in the order of the class."""
    rows = []
    for f in fields(cls):
        kind = f.metadata["kind"]
        member = kind.kind if isinstance(kind, _Many) else kind
        rows.append(
            Declared(
                name=f.name,
                kind=kind.title,
                element=member.title if isinstance(kind, _Many) else "",
                default={} if f.default is MISSING else f.default,
                message=member.cls() if isinstance(member, _Message) else None,
                aliases=f.metadata["aliases"],
                choices=member.names if isinstance(member, _Choice) else (),
            )
        )
    return rows


def name_in(cls: type[Any], spelling: str) -> str | None:
    """Return the name of the field of a message class that a spelling means; None when it has no such field."""
    return _names(cast("Any", cls)).get(spelling)


def spellings(cls: type[Any], name: str) -> list[str]:
    """Return the accepted spellings of a field of a message class, the usual one first."""
    return [spelling for spelling, meant in _names(cast("Any", cls)).items() if meant == name]


@cache
def _kinds(cls: type[Any]) -> dict[str, _Kind]:
    return {f.name: f.metadata["kind"] for f in fields(cls)}


@cache
def _names(cls: type[Any]) -> dict[str, str]:
    """Return every accepted spelling of the class's fields."""
    spellings: dict[str, str] = {}
    for f in fields(cls):
        camel = _WORD.sub(lambda m: m[1].upper(), f.name)
        for spelling in (f.name, camel, *f.metadata["aliases"]):
            spellings[spelling] = f.name
    return spellings


def _unknown(cls: type, key: str, where: str) -> InvalidArgument:
    from difflib import get_close_matches  # only a mistake needs it

    from trunkline.model import former_fields

    if former := former_fields.advice(key):
        return InvalidArgument(f'unknown field "{_join(where, key)}"; {former}')
    spellings = sorted(_kinds(cast("Any", cls)))
    # Without the common suffix, which would make "chunk_spec" similar to "scheduling_spec".
    stems = {spelling.removesuffix("_spec"): spelling for spelling in spellings}
    near = get_close_matches(key.lower().removesuffix("_spec"), stems, 1)
    hint = f'did you mean "{stems[near[0]]}"?' if near else f"valid fields: {', '.join(spellings)}"
    return InvalidArgument(f'unknown field "{_join(where, key)}"; {hint}')


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _wrong(where: str, value: object, expected: str) -> InvalidArgument:
    return InvalidArgument(f"{where} is {_described(value)}, but must be {expected}")


def _described(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'the string "{value}"' if len(value) <= 60 else f'the string "{value[:60]}…"'
        case int() | float():
            return f"the number {str(value)[:60]}"
        case list():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


# --- kinds ---------------------------------------------------------------------------------------------


class _Scalar:
    """Kinds whose JSON holds no keys."""

    title: ClassVar[str]

    def keyed(self, value: object, where: str) -> object:  # noqa: ARG002
        return value

    def write(self, value: Any) -> object:
        return cast("object", value)


@dataclass(frozen=True, slots=True)
class _Text(_Scalar):
    """A string."""

    title = "string"

    def read(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            scalar = isinstance(value, (bool, int, float))
            raise _wrong(where, value, "a string in quotes" if scalar else "a string")
        if "\0" in value:
            raise InvalidArgument(
                f"{where} holds a NUL character, which no command or file can take; remove it"
            )
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise InvalidArgument(f"{where} is not valid Unicode text; remove the lone surrogate")
        return value


@dataclass(frozen=True, slots=True)
class _Flag(_Scalar):
    """A truth value."""

    title = "boolean"

    def read(self, value: object, where: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong(where, value, "true or false")
        return value


@dataclass(frozen=True, slots=True)
class _Integer(_Scalar):
    """A 64-bit integer."""

    title = "integer"

    def read(self, value: object, where: str) -> int:
        if (isinstance(value, str) and _WHOLE.fullmatch(value)) or (
            isinstance(value, float) and value.is_integer()
        ):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(where, value, "a whole number")
        if value not in _INT64:
            raise _wrong(where, value, "a number of at most 63 bits")
        return value


@dataclass(frozen=True, slots=True)
class _Number(_Scalar):
    """A floating-point number."""

    title = "number"

    def read(self, value: object, where: str) -> float:
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise _wrong(where, value, "a number") from None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(where, value, "a number")
        if not abs(value) < 2.0**63:  # also NaN
            raise _wrong(where, value, "a smaller number")
        return float(value)

    def write(self, value: float) -> float | int:
        return int(value) if value.is_integer() else value


@dataclass(frozen=True, slots=True)
class _Span(_Scalar):
    """A duration."""

    title = "duration"

    def read(self, value: object, where: str) -> float:
        if not isinstance(value, str):
            raise _wrong(where, value, 'a duration in quotes such as "90s" or "1h30m"')
        return parse_duration(value, where)

    def write(self, value: float) -> str:
        return format_duration(value)


@dataclass(frozen=True, slots=True)
class _Choice(_Scalar):
    """An enum, by its names."""

    title = "enum"

    names: tuple[str, ...]

    def read(self, value: object, where: str) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(self.names):
            return self.names[value]
        if not isinstance(value, str) or value not in self.names:
            raise _wrong(where, value, f"one of {', '.join(self.names)}")
        return value


@dataclass(frozen=True, slots=True)
class _Message:
    """A message of a class."""

    title: ClassVar[str] = "object"

    cls: Callable[[], type]

    def read(self, value: object, where: str) -> object:
        return read(self.cls(), value, where)

    def write(self, value: object) -> object:
        return write(value)

    def keyed(self, value: object, where: str) -> object:
        return keyed(self.cls(), value, where)


@dataclass(frozen=True, slots=True)
class _Many:
    """A list."""

    kind: _Kind

    @property
    def title(self) -> str:
        return f"list of {self.kind.title}s"

    def read(self, value: object, where: str) -> tuple[object, ...]:
        return tuple(self.kind.read(v, f"{where}[{i}]") for i, v in self._members(value, where))

    def write(self, value: tuple[object, ...]) -> list[object]:
        return [self.kind.write(v) for v in value]

    def keyed(self, value: object, where: str) -> object:
        members = self._members(value, where)
        limits.check_count(len(cast("list[object]", value)), limits.SPEC_LIST, where, "write a shorter list")
        return [self.kind.keyed(v, f"{where}[{i}]") for i, v in members]

    def _members(self, value: object, where: str) -> enumerate[object]:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, value, "a list")
        for position, member in enumerate(value):
            if member is None:
                raise _wrong(f"{where}[{position}]", member, "a value")
        return enumerate(value)


@dataclass(frozen=True, slots=True)
class _Mapping(_Scalar):
    """A map from strings to strings."""

    title = "map of strings"

    _text: ClassVar[_Text] = _Text()

    def keyed(self, value: object, where: str) -> object:
        if isinstance(value, Mapping):
            limits.check_count(len(value), limits.SPEC_MAP, where, "write fewer of them")
        return value

    def read(self, value: object, where: str) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "an object of names and strings")
        return {self._text.read(k, where): self._text.read(v, f"{where}.{k}") for k, v in value.items()}

    def write(self, value: dict[str, str]) -> object:
        return dict(value)


@dataclass(frozen=True, slots=True)
class _Ignored(_Scalar):
    """Any value, which is not read."""

    title = "ignored"

    def read(self, value: object, where: str) -> None:  # noqa: ARG002
        return None
