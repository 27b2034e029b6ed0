"""What each field of a pipeline spec means: the texts of ``trunkline help spec.FIELD`` and of the reference.

``look_up("input.pfs.glob")`` returns a ``Field``, ``every_field()`` all of them; ``as_text`` is its form for a
terminal. Types, defaults and names come from the classes of ``model.spec``. The texts are in ``spec_help_inputs``,
``spec_help_pipeline`` and ``spec_help_workers``, by the class and the name of the field, because classes such as
``ResourceSpec`` occur several times. They are not metadata of the classes: a server and most commands never need them.
"""

from __future__ import annotations

import json
import textwrap
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

from trunkline.errors import InvalidArgument, NotFound
from trunkline.model import spec, spec_fields
from trunkline.model.spec_help_inputs import INPUTS
from trunkline.model.spec_help_pipeline import PIPELINE
from trunkline.model.spec_help_workers import WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trunkline.model.spec_fields import Declared
    from trunkline.model.spec_help_entry import Entry

ENTRIES: Mapping[type, Mapping[str, Entry]] = {**INPUTS, **PIPELINE, **WORKERS}
#: The class whose objects may be within each other.
INPUT = spec.Input
#: What an example of a field is added to, so that the whole is a valid spec.
BASE: Mapping[str, object] = {
    "pipeline": {"name": "edges"},
    "transform": {"cmd": ["python3", "/edges.py"]},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
}


class Field(NamedTuple):
    """A field of a pipeline spec."""

    #: Such as ``input.pfs.glob``.
    path: str
    #: Such as ``string``; the kinds of ``spec_fields.Declared``.
    kind: str
    #: In words; empty when the field has none.
    default: str
    #: Unit of its value, or the form that it must have; empty for none.
    unit: str
    #: Allowed values; empty for all of the type.
    range: str
    #: One sentence.
    summary: str
    #: More sentences; may be empty.
    details: str
    #: Where the field has no effect or is refused; empty for nowhere.
    fleets: str
    #: The first version that has it.
    since: str
    #: The part of a spec that sets the field.
    example: Mapping[str, object]
    #: The same with a wrong value; None when only the type can be wrong.
    mistake: Mapping[str, object] | None
    #: Names of the fields of its objects.
    fields: tuple[str, ...]
    #: The class of its objects; None when it has no fields.
    message: type | None


def look_up(path: str) -> Field:
    """Return a field of a spec.

    Args:
        path: such as ``input.pfs.glob``, in snake or camel case; inputs may be within inputs.

    Raises:
        NotFound: there is no such field; the message names the fields of the last object that exists.
    """
    cls: type = spec.PipelineSpec
    place: list[str] = []
    field: Declared | None = None
    for word in path.split("."):
        if field is not None:
            if field.message is None:
                raise NotFound(f'"{".".join(place)}" is {_with_article(field.kind)} and has no fields')
            cls = field.message
        name = spec_fields.name_in(cls, word)
        if name is None:
            raise _unknown(cls, place, word)
        place.append(name)
        field = next(each for each in spec_fields.declared(cls) if each.name == name)
    assert field is not None
    return _field(tuple(place))


def every_field() -> Iterator[Field]:
    """Yield the fields of a spec, each object before its fields; inputs within inputs are not repeated."""
    yield from _below(spec.PipelineSpec, (), ())


def fields_of(cls: type) -> Iterator[tuple[Declared, Entry]]:
    """Yield the fields of a message class, with their texts."""
    for field in spec_fields.declared(cls):
        yield field, ENTRIES[cls][field.name]


def section(path: str) -> str:
    """Return the path by which the reference describes a field: the first one of its class and name."""
    cls, field = list(_way(tuple(path.split("."))))[-1]
    return _sections()[cls, field.name]


@cache
def _sections() -> dict[tuple[type, str], str]:
    sections: dict[tuple[type, str], str] = {}
    for each in every_field():
        cls, field = list(_way(tuple(each.path.split("."))))[-1]
        sections.setdefault((cls, field.name), each.path)
    return sections


def whole_spec(part: Mapping[str, object]) -> dict[str, object]:
    """Return a spec that has an example: the least that a spec must have, with the example in it."""
    own = part.get("input")
    beside: dict[str, object] = dict(BASE)
    if "spout" in part or (isinstance(own, dict) and "pfs" not in own):
        del beside["input"]
    if "sql_database" in cast("dict[str, object]", part.get("egress", {})):
        beside["egress"] = {"sql_database": {"url": "postgresql://etl@db.example.org:5432/shop"}}
    return cast("dict[str, object]", spec.merge(beside, part))


def mistake_message(field: Field) -> str:
    """Return the error that the wrong value of a field gives; empty when the field has none."""
    from trunkline.model import spec_rules

    if field.mistake is None:
        return ""
    try:
        read = spec.complete(spec.from_json(spec.effective(whole_spec(field.mistake))))
        spec_rules.validate(read)
        return "; ".join(spec_rules.unsupported(read))
    except InvalidArgument as error:
        return error.message


def as_text(field: Field) -> str:
    """Return what a terminal of 80 columns shows of a field."""
    rows = [
        ("Type", field.kind),
        ("Default", field.default),
        ("Unit", field.unit),
        ("Range", field.range),
        ("Fleets", field.fleets),
        ("Since", field.since),
        ("Fields", ", ".join(field.fields)),
    ]
    lines = [f"spec.{field.path}", "", *textwrap.wrap(f"{field.summary} {field.details}".strip(), 80), ""]
    for title, value in rows:
        if value:
            lines += textwrap.wrap(f"{title + ':':9}{value}", 80, subsequent_indent=" " * 9)
    lines += ["", "Example:", textwrap.indent(json.dumps(field.example, indent=2, ensure_ascii=False), "  ")]
    return "\n".join(lines).replace("`", '"')


def _below(cls: type, place: tuple[str, ...], within: tuple[type, ...]) -> Iterator[Field]:
    for field in spec_fields.declared(cls):
        inner = (*place, field.name)
        yield _field(inner)
        if field.message is not None and field.message not in (*within, cls):
            yield from _below(field.message, inner, (*within, cls))


def _field(place: tuple[str, ...]) -> Field:
    way = list(_way(place))
    entries = [ENTRIES[cls][field.name] for cls, field in way]
    field, entry = way[-1][1], entries[-1]
    return Field(
        path=".".join(place),
        kind=field.kind,
        default=entry.default or _default(field),
        unit=entry.unit,
        range=entry.range or ", ".join(field.choices),
        summary=entry.summary,
        details=entry.details,
        # A field of an object without effect has none either.
        fleets=next((each.fleets for each in entries if each.fleets), ""),
        since=entry.since,
        example=_placed(way, entry.example),
        mistake=_placed(way, entry.mistake) if entry.mistake is not None else None,
        fields=tuple(each.name for each in spec_fields.declared(field.message)) if field.message else (),
        message=field.message,
    )


def _default(field: Declared) -> str:
    if field.kind in ("object", "ignored"):
        return ""
    if field.default is None or field.default in ("", (), {}):
        return "not set" if field.default is None else "empty"
    return json.dumps(field.default)


def _way(place: tuple[str, ...]) -> Iterator[tuple[type, Declared]]:
    """Yield each field on the way to a place, that of the place last, with the class that has it."""
    cls: type = spec.PipelineSpec
    for name in place:
        field = next(each for each in spec_fields.declared(cls) if each.name == name)
        yield cls, field
        cls = field.message or cls


def _placed(way: list[tuple[type, Declared]], message: Mapping[str, object]) -> Mapping[str, object]:
    """Return the part of a spec in which a message is the object that holds a field.

    Args:
        way: the fields on the way to the field, which is the last one.
        message: the object, with the field.
    """
    part = message
    for _, field in reversed(way[:-1]):
        part = {field.name: [part] if field.element else part}
    return part


def _unknown(cls: type, place: list[str], word: str) -> NotFound:
    import difflib  # only a mistake needs it

    names = [field.name for field in spec_fields.declared(cls)]
    near = difflib.get_close_matches(word, names, 1)
    hint = f'did you mean "{near[0]}"?' if near else f"fields: {', '.join(names)}"
    return NotFound(f'a spec has no field "{".".join([*place, word])}"; {hint}')


def _with_article(type_name: str) -> str:
    return f"an {type_name}" if type_name[0] in "aeio" else f"a {type_name}"
