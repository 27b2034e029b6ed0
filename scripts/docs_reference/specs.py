"""The page and the schema of pipeline specs, made from the texts of ``model.spec_help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs_reference.markdown import anchor, block, code, table
from trunkline.drivers.fleets.containers.container_fields import UNSUPPORTED as IN_CONTAINERS
from trunkline.drivers.fleets.kubernetes.fleet import UNSUPPORTED as IN_PODS
from trunkline.drivers.fleets.process_fields import UNSUPPORTED as IN_PROCESSES
from trunkline.errors import InvalidArgument
from trunkline.model import spec_help, spec_rules, spec_schema
from trunkline.model.field_support import Treatment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec_help import Field

SCHEMA = "docs/reference/spec.schema.json"


def files() -> dict[str, str]:
    """Return the schema by its path."""
    return {SCHEMA: spec_schema.text()}


def pachyderm_fields() -> str:
    """Return what Trunkline does with each top-level field of a Pachyderm spec."""
    rows = [(_link(field, "../reference/spec.md"), _treatment(field), field.summary) for field in _top()]
    return table(("Field", "Trunkline", "Meaning"), rows)


def _treatment(field: Field) -> str:
    if field.summary.startswith("Refused") or "refused" in field.summary:
        return "refused"
    if field.summary.startswith("Ignored"):
        return "ignored"
    return "Kubernetes only" if field.fleets else "the same"


def least() -> str:
    """Return the least that a spec must have."""
    return block(spec_help.BASE, "spec")


def overview() -> str:
    """Return the fields of the outermost object."""
    rows = [(_link(field), field.kind, _plain(field.default), field.summary) for field in _top()]
    return table(("Field", "Type", "Default", "Meaning"), rows)


def every_field() -> str:
    """Return a section for each field; objects of one class have their fields in the first section alone."""
    lines: list[str] = []
    seen: dict[type, str] = {}
    hidden: list[str] = []
    for field in spec_help.every_field():
        if any(field.path.startswith(f"{path}.") for path in hidden):
            continue
        same = seen.get(field.message, "") if field.message else ""
        lines += _section(field, same)
        if field.message is not None:
            seen.setdefault(field.message, field.path)
            if same:
                hidden.append(field.path)
    return "\n".join(lines)


def _top() -> list[Field]:
    return [field for field in spec_help.every_field() if "." not in field.path]


def _section(field: Field, same: str) -> list[str]:
    """Return the section of a field.

    Args:
        field: the field.
        same: the path of an earlier field whose objects have the same fields; empty for none.
    """
    rows = [
        ("Type", field.kind),
        ("Default", _plain(field.default)),
        ("Unit or form", field.unit),
        ("Range", field.range),
        ("Fleets", field.fleets),
        ("Since", field.since),
        ("Fields", _fields(field, same)),
    ]
    lines = [f"### `{field.path}`", "", f"{field.summary} {field.details}".strip(), ""]
    lines += [
        *(f"- {title}: {text}" for title, text in rows if text),
        "",
        block(field.example, _reading(field)),
        "",
    ]
    if message := spec_help.mistake_message(field):
        assert field.mistake is not None
        lines += ["A mistake and its error:", "", block(field.mistake), "", f"> {_escaped(message)}", ""]
    return lines


def _reading(field: Field) -> str:
    """Return how the test of the page reads an example: as fields of a spec when nothing else must be there."""
    try:
        spec_rules.load({**spec_help.BASE, **field.example})
    except InvalidArgument:
        return "data"
    return "fields"


def _fields(field: Field, same: str) -> str:
    if same and field.fields:
        return f"as of [`{same}`](#{anchor(same)})"
    if field.path.rpartition(".")[0] == "input" and field.fields and field.message is spec_help.INPUT:
        return "inputs, as of [`input`](#input)"
    return ", ".join(f"[`{name}`](#{anchor(f'{field.path}.{name}')})" for name in field.fields)


def fleets() -> str:
    """Return the fields that a fleet does not support."""
    tables: list[Mapping[str, Unsupported]] = [IN_PROCESSES, IN_CONTAINERS, IN_PODS]
    names = sorted({name for fields in tables for name in fields})
    rows = [
        (
            f"[`{name}`](#{anchor(spec_help.section(name))})",
            *(_support(fields.get(name)) for fields in tables),
        )
        for name in names
    ]
    return table(("Field", "Processes", "Containers", "Kubernetes"), rows)


def _support(unsupported: Unsupported | None) -> str:
    if unsupported is None:
        return "yes"
    return "warning" if unsupported.treatment is Treatment.WARN else "refused"


def _link(field: Field, file: str = "") -> str:
    return f"[`{field.path}`]({file}#{anchor(field.path)})"


def _plain(default: str) -> str:
    return (
        code(default)
        if default in ("true", "false") or (default.startswith('"') and default.count('"') == 2)
        else default
    )


def _escaped(message: str) -> str:
    return code(message.replace("`", "'"))
